//! The bytes of a file in memory: [`Pages`].
//!
//! Sparse and copied on write, so that a copy of a whole file system at every operation, and a
//! file of 64 MiB that holds a few records, are cheap.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What a disk writes as a whole, in bytes.
pub(super) const SECTOR: usize = 512;

/// What is copied as a whole when it changes, in bytes.
pub(super) const PAGE: usize = 4096;

/// The bytes of one sector.
pub(super) type Sector = [u8; SECTOR];

/// A sequence of bytes. Those past `len` are zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pages {
    /// By number; a page that is not here is all zeros.
    pages: BTreeMap<u64, Arc<[u8; PAGE]>>,
    len: u64,
}

impl Pages {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Copies bytes out; the answer is how many there were.
    pub(super) fn read(&self, buf: &mut [u8], offset: u64) -> usize {
        let rest = self.len.saturating_sub(offset);
        let count = buf.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        let mut done = 0;
        while done < count {
            let (page, at) = split(offset + done as u64);
            let part = (PAGE - at).min(count - done);
            match self.pages.get(&page) {
                Some(bytes) => buf[done..done + part].copy_from_slice(&bytes[at..at + part]),
                None => buf[done..done + part].fill(0),
            }
            done += part;
        }
        count
    }

    /// Copies bytes in, and grows as needed.
    pub(super) fn write(&mut self, buf: &[u8], offset: u64) {
        let mut done = 0;
        while done < buf.len() {
            let (page, at) = split(offset + done as u64);
            let part = (PAGE - at).min(buf.len() - done);
            self.page(page)[at..at + part].copy_from_slice(&buf[done..done + part]);
            done += part;
        }
        if !buf.is_empty() {
            self.len = self.len.max(offset + buf.len() as u64);
        }
    }

    /// Cuts, or extends with zeros.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let (page, at) = split(len);
            self.pages.split_off(&(page + u64::from(at > 0)));
            if at > 0 && self.pages.contains_key(&page) {
                self.page(page)[at..].fill(0);
            }
        }
        self.len = len;
    }

    /// The bytes of a sector, zeros past the end.
    pub(super) fn sector(&self, number: u64) -> Sector {
        let mut sector = [0; SECTOR];
        self.read(&mut sector, number * SECTOR as u64);
        sector
    }

    /// Replaces the part of a sector that is inside the file.
    pub(super) fn put_sector(&mut self, number: u64, sector: &Sector) {
        let start = number * SECTOR as u64;
        let inside = self.len.saturating_sub(start).min(SECTOR as u64);
        self.write(&sector[..inside as usize], start);
    }

    /// The numbers of the sectors from byte `from` on that may hold something else than zeros.
    pub(super) fn sectors_from(&self, from: u64) -> Vec<u64> {
        let per_page = (PAGE / SECTOR) as u64;
        let first = from / SECTOR as u64;
        let pages = self.pages.range(from / PAGE as u64..).map(|(page, _)| page);
        pages
            .flat_map(|page| page * per_page..(page + 1) * per_page)
            .filter(|sector| *sector >= first && self.sector(*sector) != [0; SECTOR])
            .collect()
    }

    fn page(&mut self, number: u64) -> &mut [u8; PAGE] {
        Arc::make_mut(self.pages.entry(number).or_insert_with(|| Arc::new([0; PAGE])))
    }
}

impl Hash for Pages {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len.hash(state);
        for (number, page) in &self.pages {
            if page[..] != [0; PAGE] {
                (number, page).hash(state);
            }
        }
    }
}

/// The page of an offset, and the place in it.
fn split(offset: u64) -> (u64, usize) {
    (offset / PAGE as u64, (offset % PAGE as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_bytes_read_as_zeros() {
        let mut pages = Pages::default();
        pages.write(&[1; 3 * PAGE], 0);
        pages.set_len(PAGE as u64 + 10);
        pages.set_len(3 * PAGE as u64);
        let mut buf = vec![9; 4 * PAGE];
        assert_eq!(pages.read(&mut buf, 0), 3 * PAGE);
        assert!(buf[..PAGE + 10].iter().all(|byte| *byte == 1));
        assert!(buf[PAGE + 10..3 * PAGE].iter().all(|byte| *byte == 0));
        assert_eq!(pages.sectors_from(4000), [7, 8]);
        pages.set_len(0);
        assert_eq!(pages.sectors_from(0), Vec::<u64>::new());
    }

    #[test]
    fn a_sector_never_grows_the_file() {
        let mut pages = Pages::default();
        pages.write(b"abc", 510);
        pages.put_sector(1, &[7; SECTOR]);
        assert_eq!((pages.len(), pages.sector(1)[..2].to_vec()), (513, vec![7, 0]));
        pages.put_sector(2, &[7; SECTOR]);
        assert_eq!(pages.len(), 513);
    }
}
