//! Finding the end of a line without looking at a byte twice.

use memchr::memchr;
use mutant::mutant;

use super::ProtocolError;

/// Where the search for a line's end has come to.
///
/// All positions count from the front of the buffer. Invariant: no byte before `scanned` ends
/// the line that starts at `start`, and `start <= scanned`.
#[derive(Clone, Debug, Default)]
pub(super) struct LineScan {
    /// The first byte of the line.
    pub(super) start: usize,
    /// The first byte that was not examined yet.
    pub(super) scanned: usize,
    /// How many bytes were examined so far, in all lines.
    pub(super) examined: u64,
}

impl LineScan {
    /// Begins with the line at `start`, all of which is still to be examined.
    pub(super) fn begin(&mut self, start: usize) {
        self.start = start;
        self.scanned = start;
    }

    /// Goes on looking for `end` in `buffer`; gives its position, or none if it is not there
    /// yet. `too_big` is the error when more than `limit` bytes come before it.
    pub(super) fn find(
        &mut self,
        buffer: &[u8],
        end: u8,
        limit: usize,
        too_big: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        if mutant!("resp-rescan") {
            self.scanned = self.start;
        }
        // One byte more than the limit: the end of the longest line.
        let bound = buffer.len().min(self.start.saturating_add(limit).saturating_add(1));
        let unseen = &buffer[self.scanned..bound];
        match memchr(end, unseen) {
            Some(offset) => {
                self.examined += offset as u64 + 1;
                let position = self.scanned + offset;
                self.scanned = position + 1;
                Ok(Some(position))
            }
            None => {
                self.examined += unseen.len() as u64;
                self.scanned = bound;
                if bound - self.start > limit && !mutant!("resp-line-limit") {
                    return Err(too_big);
                }
                Ok(None)
            }
        }
    }

    /// Finds a line that ends in CRLF; gives its bytes and the position behind the CRLF.
    pub(super) fn find_crlf<'a>(
        &mut self,
        buffer: &'a [u8],
        limit: usize,
        too_big: ProtocolError,
    ) -> Result<Option<(&'a [u8], usize)>, ProtocolError> {
        let Some(end) = self.find(buffer, b'\r', limit, too_big)? else { return Ok(None) };
        match buffer.get(end + 1) {
            Some(b'\n') => Ok(Some((&buffer[self.start..end], end + 2))),
            Some(_) => Err(ProtocolError::ExpectedCrlf),
            None => {
                // The line feed is still to come: the next search meets the carriage return again.
                self.scanned = end;
                self.examined -= 1;
                Ok(None)
            }
        }
    }
}
