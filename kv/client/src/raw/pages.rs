//! A scan that reads a range page by page.

use bytes::{BufMut, Bytes, BytesMut};
use proto::ErrorCode;

use crate::error::{Error, Result};
use crate::raw::{Pair, Raw, Scan};

/// The pages of a scan, in its order.
///
/// Each page is read at its own moment: keys that are written meanwhile may or may not be seen,
/// but no key is seen twice.
pub struct Pages {
    raw: Raw,
    /// What is left to read; none after the last page.
    rest: Option<Scan>,
    /// Pairs of one request, at least 1. Halved when an answer would not fit into a frame.
    page: u32,
}

impl Pages {
    /// Makes the pages of `scan`, each of at most `page` pairs.
    pub(crate) fn new(raw: Raw, scan: Scan, page: u32) -> Pages {
        Pages { raw, rest: Some(scan), page: page.max(1) }
    }

    /// Reads the next page; none after the last one. A page is never empty.
    ///
    /// Dropping the future, or an error, loses nothing: the next call reads the same page.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn next(&mut self) -> Result<Option<Vec<Pair>>> {
        let Some(rest) = &mut self.rest else { return Ok(None) };
        if rest.limit == 0 {
            self.rest = None;
            return Ok(None);
        }
        let pairs = loop {
            let limit = rest.limit.min(self.page);
            match self.raw.scan(Scan { limit, ..rest.clone() }).await {
                Ok(pairs) => break pairs,
                // So the server says that the answer is larger than a frame.
                Err(Error::Rejected(error))
                    if error.code == ErrorCode::InvalidRequest && limit > 1 =>
                {
                    self.page = limit / 2;
                }
                Err(error) => return Err(error),
            }
        };
        // A server may send fewer pairs than asked for, so only an empty page is the last one.
        let Some((last, _)) = pairs.last() else {
            self.rest = None;
            return Ok(None);
        };
        if rest.reverse {
            rest.end = Some(last.clone());
        } else {
            rest.start = after(last);
        }
        if rest.limit != u32::MAX {
            rest.limit -= pairs.len() as u32;
        }
        Ok(Some(pairs))
    }
}

/// The smallest key after `key`.
fn after(key: &Bytes) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.put_u8(0);
    next.freeze()
}
