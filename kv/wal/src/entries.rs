//! All entries of a range, one after another: [`Entries`].

use std::ops::Range;

use crate::entry::WalEntry;
use crate::error::{Error, Result};
use crate::id::GroupId;
use crate::reader::WalReader;

/// How much is read at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// Entries of a group in order, read in pieces. A damaged entry is an error in its place, and the
/// next one follows; any other error is the last item.
#[derive(Debug)]
pub struct Entries<E> {
    reader: WalReader<E>,
    group: GroupId,
    range: Range<u64>,
    ready: std::vec::IntoIter<E>,
}

impl<E: WalEntry> WalReader<E> {
    /// Reads all entries of a range, one after another.
    #[must_use]
    pub fn iter(&self, group: GroupId, range: Range<u64>) -> Entries<E> {
        Entries { reader: self.clone(), group, range, ready: Vec::new().into_iter() }
    }
}

impl<E: WalEntry> Entries<E> {
    /// Reads the next piece; the entries before a damaged one come first.
    fn fetch(&self) -> Result<Vec<E>> {
        let Range { start, end } = self.range;
        match self.reader.fetch(self.group, start..end, CHUNK_BYTES) {
            Err(Error::Faulty { index, .. } | Error::Entry { index, .. }) if index > start => {
                self.reader.fetch(self.group, start..index, CHUNK_BYTES)
            }
            fetched => fetched,
        }
    }
}

impl<E: WalEntry> Iterator for Entries<E> {
    type Item = Result<E>;

    fn next(&mut self) -> Option<Result<E>> {
        if let Some(entry) = self.ready.next() {
            return Some(Ok(entry));
        }
        if self.range.is_empty() {
            return None;
        }
        match self.fetch() {
            Ok(entries) => {
                self.range.start += entries.len() as u64;
                self.ready = entries.into_iter();
                self.ready.next().map(Ok)
            }
            Err(error) => {
                let one = matches!(error, Error::Faulty { .. } | Error::Entry { .. });
                self.range.start = if one { self.range.start + 1 } else { self.range.end };
                Some(Err(error))
            }
        }
    }
}
