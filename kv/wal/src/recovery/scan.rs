//! Reads one segment: from its footer if that is good, else block by block.
//!
//! Where a block's header is bad, the walk goes on at the next place that holds a good one, so
//! that later blocks can testify for it. A page that the disk refuses to read counts as zeros and
//! is remembered: it must never pass for a torn write.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::block::{BLOCK_HEADER_BYTES, BlockHeader, decode_summaries};
use crate::dir::SegmentFile;
use crate::error::{Error, Result};
use crate::fs::File;
use crate::id::{GroupId, Lsn};
use crate::record::{Item, RunKind, Stored, entry_crc};
use crate::segment::{
    HEADER_BYTES, PAGE, SEGMENT_BYTES_MAX, SegmentHeader, Trailer, decode_footer,
};

/// What is in a block; shared, since a log has many blocks and recovery looks at them several times.
pub(crate) type Items = Arc<Vec<Item>>;

/// A block that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) header: BlockHeader,
    /// `None` where the index is bad.
    pub(crate) items: Option<Items>,
    /// Its damaged entries, if they were looked for.
    pub(crate) bad: Option<Vec<BadEntry>>,
}

/// What is in a segment.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) segment: SegmentFile,
    pub(crate) file_len: u64,
    /// `None` where it is bad in both places.
    pub(crate) header: Option<SegmentHeader>,
    /// Whether the blocks are from the footer.
    pub(crate) sealed: bool,
    /// Blocks that only the footer has; looked for only where everything is verified.
    pub(crate) only_in_footer: Vec<Lsn>,
    /// In the order of their offsets.
    pub(crate) blocks: Vec<Found>,
    /// Where the disk refused to read.
    pub(crate) unreadable: Vec<Range<u64>>,
}

/// Reads in pieces; see the module for what happens to unreadable pages.
struct PageReader<'a> {
    file: &'a dyn File,
    len: u64,
    piece: Vec<u8>,
    piece_start: u64,
    /// How much is read at once.
    piece_bytes: u64,
    unreadable: Vec<Range<u64>>,
}

/// What is read at once where each page may hold a block, and where the next block is known and
/// the payload before it is passed over.
const PIECE: u64 = 1 << 20;
const SMALL_PIECE: u64 = PAGE;

impl PageReader<'_> {
    /// The bytes of a range inside the file.
    fn read(&mut self, range: Range<u64>) -> io::Result<&[u8]> {
        let piece_end = self.piece_start + self.piece.len() as u64;
        if range.start < self.piece_start || range.end > piece_end {
            let end = (range.start + self.piece_bytes).max(range.end).min(self.len);
            self.piece.resize((end - range.start) as usize, 0);
            self.piece_start = range.start;
            read_pages(self.file, range.start, &mut self.piece, &mut self.unreadable)?;
        }
        let start = (range.start - self.piece_start) as usize;
        Ok(&self.piece[start..start + (range.end - range.start) as usize])
    }
}

/// Fills `buf`; unreadable pages stay zero and are noted.
fn read_pages(
    file: &dyn File,
    offset: u64,
    buf: &mut [u8],
    unreadable: &mut Vec<Range<u64>>,
) -> io::Result<()> {
    if file.read_exact_at(buf, offset).is_ok() {
        return Ok(());
    }
    let mut at = offset;
    while at < offset + buf.len() as u64 {
        let end = ((at / PAGE + 1) * PAGE).min(offset + buf.len() as u64);
        let page = &mut buf[(at - offset) as usize..(end - offset) as usize];
        match file.read_exact_at(page, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(error),
            Err(_) => {
                page.fill(0);
                unreadable.push(at..end);
            }
            Ok(()) => {}
        }
        at = end;
    }
    Ok(())
}

/// Scans a segment. With `verify`, the blocks are walked even if the footer is good, and their
/// entries are checked.
pub(crate) fn scan(segment: SegmentFile, verify: bool) -> Result<Scan> {
    let what = format!("read {}", segment.id.name().display());
    let file_len = segment.file.len().map_err(Error::io(what.as_str()))?;
    if file_len > SEGMENT_BYTES_MAX {
        let (path, why) = (segment.id.name(), "it is longer than a segment can be".to_owned());
        return Err(Error::WrongSegment { path, why });
    }
    let mut first_page = vec![0; HEADER_BYTES.min(file_len) as usize];
    let mut unreadable = Vec::new();
    read_pages(&*segment.file, 0, &mut first_page, &mut unreadable).map_err(Error::io(&*what))?;
    if let Some(version) = SegmentHeader::other_version(&first_page) {
        let why = format!("its format has version {version}, which this program does not read");
        return Err(Error::WrongSegment { path: segment.id.name(), why });
    }
    let header = SegmentHeader::decode(&first_page);
    scan_file(segment, file_len, (header, unreadable), verify).map_err(Error::io(what))
}

fn scan_file(
    segment: SegmentFile,
    file_len: u64,
    (mut header, unreadable): (Option<SegmentHeader>, Vec<Range<u64>>),
    verify: bool,
) -> io::Result<Scan> {
    let file = segment.file.clone();
    let mut pages = PageReader {
        file: &*file,
        len: file_len,
        piece: Vec::new(),
        piece_start: 0,
        piece_bytes: PIECE,
        unreadable,
    };
    let (trailer, footer) = read_footer(&segment, file_len, &mut pages.unreadable)?;
    header = header.or(trailer.map(|trailer| trailer.header));
    let mut sealed = false;
    let mut only_in_footer = Vec::new();
    let mut blocks = Vec::new();
    if let Some(summaries) = footer {
        sealed = true;
        blocks = summaries
            .into_iter()
            .map(|(header, items)| Found { header, items: Some(Arc::new(items)), bad: None })
            .collect();
    }
    if !sealed || verify {
        let align = header.map_or(512, |header| u64::from(header.block_align));
        let walked = walk(&mut pages, segment.id.uid, align)?;
        if sealed {
            let good = walked.iter().filter(|block| block.items.is_some());
            let good: BTreeSet<u32> = good.map(|block| block.header.crc).collect();
            let lost = blocks.iter().filter(|block| !good.contains(&block.header.crc));
            only_in_footer = lost.map(|block| block.header.lsn).collect();
        } else {
            blocks = walked;
        }
    }
    if verify {
        for Found { header, items, bad } in &mut blocks {
            *bad = items.as_ref().map(|items| bad_entries((&*file, file_len), header, items));
        }
    }
    let mut unreadable = pages.unreadable;
    let full_len = header.map_or(2 * HEADER_BYTES, |header| header.segment_bytes);
    if !sealed && file_len < full_len {
        // A file is never shorter before it is sealed: what was behind this end is lost.
        unreadable.push(file_len..full_len);
    }
    Ok(Scan { segment, file_len, header, sealed, only_in_footer, blocks, unreadable })
}

/// The header at the start of a segment; `None` where it is bad.
pub(crate) fn read_header(segment: &SegmentFile) -> Result<Option<SegmentHeader>> {
    let what = format!("read {}", segment.id.name().display());
    let len = segment.file.len().map_err(Error::io(what.as_str()))?;
    let mut page = vec![0; HEADER_BYTES.min(len) as usize];
    read_pages(&*segment.file, 0, &mut page, &mut Vec::new()).map_err(Error::io(what))?;
    Ok(SegmentHeader::decode(&page))
}

type Summaries = Vec<(BlockHeader, Vec<Item>)>;

/// The trailer and the footer, as far as they are good.
fn read_footer(
    segment: &SegmentFile,
    file_len: u64,
    unreadable: &mut Vec<Range<u64>>,
) -> io::Result<(Option<Trailer>, Option<Summaries>)> {
    if file_len < 2 * HEADER_BYTES {
        return Ok((None, None));
    }
    let mut page = vec![0; HEADER_BYTES as usize];
    let at = file_len - HEADER_BYTES;
    read_pages(&*segment.file, at, &mut page, unreadable)?;
    let trailer = Trailer::decode(&page).filter(|trailer| {
        trailer.header.id == segment.id
            && trailer.footer_offset.saturating_add(u64::from(trailer.footer_len)) <= at
    });
    let Some(trailer) = trailer else { return Ok((None, None)) };
    let mut footer = vec![0; trailer.footer_len as usize];
    read_pages(&*segment.file, trailer.footer_offset, &mut footer, unreadable)?;
    let summaries = decode_footer(&trailer, &footer);
    Ok((Some(trailer), summaries))
}

/// Finds the blocks from the first to the last good header.
fn walk(pages: &mut PageReader<'_>, uid: u64, align: u64) -> io::Result<Vec<Found>> {
    let mut blocks = Vec::new();
    let mut at = HEADER_BYTES;
    while at + BLOCK_HEADER_BYTES as u64 <= pages.len {
        let bytes = pages.read(at..at + BLOCK_HEADER_BYTES as u64)?;
        let header =
            BlockHeader::decode(bytes).filter(|header| header.uid == uid && header.offset == at);
        match header.filter(|header| header.end() <= pages.len) {
            Some(header) => {
                let index_at = at + BLOCK_HEADER_BYTES as u64;
                let index = pages.read(index_at..index_at + u64::from(header.index_len))?;
                let items = header.items(index).map(Arc::new);
                at = header.end();
                let is_long = u64::from(header.payload_len) >= 2 * SMALL_PIECE;
                pages.piece_bytes = if is_long { SMALL_PIECE } else { PIECE };
                blocks.push(Found { header, items, bad: None });
            }
            None => {
                at += align;
                pages.piece_bytes = PIECE;
            }
        }
    }
    Ok(blocks)
}

/// The headers and items of earlier blocks that a block's mirror has; none where it is bad.
pub(crate) fn read_mirror(file: &dyn File, header: &BlockHeader) -> Summaries {
    let mut mirror = vec![0; header.mirror_len as usize];
    let read = file.read_exact_at(&mut mirror, header.mirror_offset());
    if read.is_err() || crc32c::crc32c(&mirror) != header.mirror_crc {
        return Vec::new();
    }
    decode_summaries(&mirror).unwrap_or_default()
}

/// An entry of a block whose bytes do not match.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BadEntry {
    pub(crate) group: GroupId,
    pub(crate) index: u64,
    /// Where its bytes start in the file.
    pub(crate) at: u64,
    pub(crate) stored: Stored,
}

/// Checks the entries of a block and gives the bad ones. Bytes that cannot be read are bad, and so
/// are those behind the end of the file.
pub(crate) fn bad_entries(
    (file, file_len): (&dyn File, u64),
    header: &BlockHeader,
    items: &[Item],
) -> Vec<BadEntry> {
    let start = header.payload_offset();
    let len = u64::from(header.payload_len).min(file_len.saturating_sub(start));
    let mut payload = vec![0; len as usize];
    let all_read = file.read_exact_at(&mut payload, start).is_ok();
    let mut bad = Vec::new();
    let mut offset = start;
    for item in items {
        let Item::Run(run) = item else { continue };
        if run.kind != RunKind::Faulty {
            for (index, _, at, stored) in run.placed(offset) {
                let from = (at - start) as usize;
                let good = payload.get_mut(from..from + stored.len as usize).is_some_and(|bytes| {
                    // Where the disk refuses some of the payload, the rest may be sound.
                    (all_read || file.read_exact_at(bytes, at).is_ok())
                        && entry_crc(header.uid, run.group, index, bytes) == stored.crc
                });
                if !good {
                    bad.push(BadEntry { group: run.group, index, at, stored });
                }
            }
        }
        offset += run.payload_len();
    }
    bad
}
