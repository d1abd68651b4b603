//! Puts the blocks of all segments in order and judges each.

use std::collections::BTreeMap;
use std::sync::Arc;

use mark::mark;

use super::decision::{Evidence, Verdict, decide};
use super::report::RecoveryReport;
use super::scan::{BadEntry, Items, Scan, bad_entries, read_mirror};
use crate::block::{BLOCK_HEADER_BYTES, BlockHeader};
use crate::error::{Error, Result};
use crate::id::Lsn;
use crate::mirror::REACH as MIRROR_REACH;
use crate::options::{Options, TailPolicy};
use crate::record::Item;
use crate::segment::HEADER_BYTES;

/// A block that stays.
#[derive(Clone, Debug)]
pub(crate) struct KeptBlock {
    pub(crate) seq: u32,
    pub(crate) header: BlockHeader,
    pub(crate) items: Items,
    /// Whether a later block calls it durable.
    pub(crate) durable: bool,
    /// Its damaged entries, as far as they were looked for.
    pub(crate) bad: Vec<BadEntry>,
}

impl KeptBlock {
    /// Its header and index as they were written; `None` if they cannot be made again.
    pub(crate) fn summary(&self) -> Option<Vec<u8>> {
        let mut header = self.header.clone();
        let mut bytes = header.encode().to_vec();
        self.items.iter().for_each(|item| item.encode(&mut bytes));
        let index = &bytes[BLOCK_HEADER_BYTES..];
        let same = header.crc == self.header.crc && crc32c::crc32c(index) == header.index_crc;
        same.then_some(bytes)
    }
}

/// The blocks that stay.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) blocks: BTreeMap<Lsn, KeptBlock>,
    /// The highest lsn that a block calls durable.
    pub(crate) horizon: Lsn,
    pub(crate) report: RecoveryReport,
}

/// A block before it is judged.
#[derive(Clone, Debug)]
struct Candidate {
    /// Its segment, as a position in the list of scans.
    scan: usize,
    /// From the block itself or the footer; else from the mirror.
    header_ok: bool,
    index_ok: bool,
    header: BlockHeader,
    items: Option<Items>,
    /// Its damaged entries, if they were looked for.
    bad: Option<Vec<BadEntry>>,
}

/// Orders and judges the blocks of the segments from `first_seq` on.
pub(crate) fn assemble(
    scans: &[Scan],
    first_seq: u32,
    options: &Options,
    accepted: &[(Lsn, Lsn)],
) -> Result<Kept> {
    let from = scans.partition_point(|scan| scan.segment.id.seq < first_seq);
    let mut candidates = order(scans, from);
    check_gaps(scans, from, first_seq, &candidates)?;
    let Some((mut first, last)) = range_of(&candidates) else {
        return Ok(Kept::default());
    };
    name_from_mirrors(scans, from, &mut candidates);
    first = candidates.keys().next().copied().unwrap_or(first);
    let horizon = candidates.values().map(|block| block.header.synced).max().unwrap_or_default();
    let mut given_up = given_up(&candidates);
    given_up.extend(accepted);
    let mut kept = Kept { horizon, ..Kept::default() };
    let start_given_up =
        given_up.iter().any(|(low, high)| *low == Lsn(1) && *high >= first.previous());
    if !has_start(first_seq, &candidates) && !start_given_up {
        if first.previous() <= horizon && first > Lsn(1) && horizon > Lsn(0) {
            return Err(Error::Lost { first: Lsn(1), last: first.previous() });
        }
        kept.report.torn = Some(Lsn(1));
        check_readable(scans, &kept)?;
        return Ok(kept);
    }
    let mut before: Option<u32> = None;
    let mut lsn = first;
    while lsn <= last.max(horizon) {
        let candidate = candidates.remove(&lsn);
        let is_given_up = given_up.iter().find(|(first, last)| (*first..=*last).contains(&lsn));
        let is_named = candidate.as_ref().is_some_and(|block| block.items.is_some());
        if !is_named && let Some((_, end)) = is_given_up {
            // To the next block that is there: a range may be as long as somebody claims.
            let next = candidates.keys().find(|next| **next > lsn).copied();
            lsn = next.map_or(*end, |next| next.previous().min(*end)).min(last.max(horizon));
            before = None;
        } else {
            let crc = candidate.as_ref().map(|block| block.header.crc);
            let judged = judge(scans, lsn, candidate, before, options, &mut kept);
            let keep = judged.map_err(|error| match error {
                Error::Lost { first, .. } => {
                    let next = candidates.iter().find(|(_, block)| block.items.is_some());
                    let last = next.map_or(horizon, |(lsn, _)| lsn.previous());
                    Error::Lost { first, last }
                }
                error => error,
            })?;
            if !keep {
                break;
            }
            before = crc;
        }
        lsn = lsn.next();
    }
    kept.report.given_up = given_up;
    check_readable(scans, &kept)?;
    Ok(kept)
}

/// The blocks by lsn, without those that an earlier recovery cut.
fn order(scans: &[Scan], from: usize) -> BTreeMap<Lsn, Candidate> {
    let mut candidates = BTreeMap::new();
    for (at, scan) in scans.iter().enumerate().skip(from) {
        if let Some(first) = scan.blocks.first() {
            let mut low = first.header.lsn;
            if first.header.offset > HEADER_BYTES {
                let named = read_mirror(&*scan.segment.file, &first.header).into_iter();
                let here = named.filter(|(named, _)| named.uid == scan.segment.id.uid);
                low = here.map(|(named, _)| named.lsn).min().unwrap_or(low);
            }
            candidates.split_off(&low);
        }
        for found in &scan.blocks {
            let candidate = Candidate {
                scan: at,
                header_ok: true,
                index_ok: found.items.is_some(),
                header: found.header.clone(),
                items: found.items.clone(),
                bad: found.bad.clone(),
            };
            candidates.insert(found.header.lsn, candidate);
        }
    }
    candidates
}

fn range_of(candidates: &BTreeMap<Lsn, Candidate>) -> Option<(Lsn, Lsn)> {
    Some((*candidates.keys().next()?, *candidates.keys().next_back()?))
}

/// Refuses a folder in which a segment is missing.
fn check_gaps(
    scans: &[Scan],
    from: usize,
    first_seq: u32,
    candidates: &BTreeMap<Lsn, Candidate>,
) -> Result<()> {
    let mut expected = first_seq;
    for (at, scan) in scans.iter().enumerate().skip(from) {
        let seq = scan.segment.id.seq;
        if seq != expected {
            let before = candidates.iter().rev().find(|(_, block)| block.scan < at);
            let after = before.map_or(Lsn(0), |(lsn, _)| *lsn);
            return Err(Error::MissingSegment { seq: expected, after });
        }
        expected = seq.saturating_add(1);
    }
    Ok(())
}

/// Fills in what the mirrors know about blocks that cannot be read themselves.
fn name_from_mirrors(scans: &[Scan], from: usize, candidates: &mut BTreeMap<Lsn, Candidate>) {
    let mut unnamed = Vec::new();
    let mut named = None;
    for (lsn, block) in &*candidates {
        if named != Some(lsn.previous()) {
            unnamed.push(lsn.previous());
        }
        named = block.items.is_some().then_some(*lsn);
    }
    while let Some(lsn) = unnamed.pop() {
        let is_named = candidates.get(&lsn).is_some_and(|block| block.items.is_some());
        if lsn > Lsn(0)
            && !is_named
            && let Some(named) = named_by_later(scans, from, candidates, lsn)
        {
            candidates.insert(lsn, named);
            unnamed.push(lsn.previous());
        }
    }
}

/// A block as the mirror of a later one has it.
fn named_by_later(
    scans: &[Scan],
    from: usize,
    candidates: &BTreeMap<Lsn, Candidate>,
    lsn: Lsn,
) -> Option<Candidate> {
    let later = candidates.range(lsn.next()..).map(|(_, block)| block).take(MIRROR_REACH);
    let mut names = later
        .filter(|witness| witness.header_ok)
        .flat_map(|witness| read_mirror(&*scans[witness.scan].segment.file, &witness.header));
    let (header, items) = names.find(|(header, _)| header.lsn == lsn)?;
    let scan = scans.iter().position(|scan| scan.segment.id.uid == header.uid)?;
    (scan >= from).then(|| Candidate {
        scan,
        header_ok: candidates.contains_key(&lsn),
        index_ok: false,
        header,
        items: Some(Arc::new(items)),
        bad: None,
    })
}

/// Whether the first block is where the log starts: nothing before it that was not purged.
fn has_start(first_seq: u32, candidates: &BTreeMap<Lsn, Candidate>) -> bool {
    let Some((lsn, first)) = candidates.first_key_value() else { return true };
    let Some(items) = &first.items else { return *lsn == Lsn(1) };
    matches!(items.first(), Some(Item::Start(start)) if start.prev_seq < first_seq)
}

/// What the user gave up in an earlier repair.
fn given_up(candidates: &BTreeMap<Lsn, Candidate>) -> Vec<(Lsn, Lsn)> {
    let ranges = |block: &Candidate| -> Vec<(Lsn, Lsn)> {
        let items = block.items.iter().flat_map(|items| items.iter());
        items
            .filter_map(|item| match item {
                Item::GaveUp { first, last } => Some((*first, *last)),
                _ => None,
            })
            .collect()
    };
    candidates.values().flat_map(ranges).collect()
}

/// Judges one block; false if the log ends before it.
fn judge(
    scans: &[Scan],
    lsn: Lsn,
    candidate: Option<Candidate>,
    before: Option<u32>,
    options: &Options,
    kept: &mut Kept,
) -> Result<bool> {
    let durable = lsn <= kept.horizon;
    let mut bad = Vec::new();
    let mut evidence = Evidence {
        header: false,
        index: false,
        payload: false,
        chain: false,
        named: false,
        durable,
    };
    if let Some(block) = &candidate {
        evidence.header = block.header_ok;
        evidence.index = block.index_ok;
        evidence.named = !block.index_ok && block.items.is_some();
        evidence.chain = before.is_none_or(|crc| crc == block.header.prev_crc);
        if let Some(items) = &block.items {
            let scan = &scans[block.scan];
            let file = (&*scan.segment.file, scan.file_len);
            bad = match &block.bad {
                Some(bad) => bad.clone(),
                // Whoever wrote on after it had looked at it, and noted what was bad.
                None if durable && block.index_ok && !options.verify_all => Vec::new(),
                None => bad_entries(file, &block.header, items),
            };
            evidence.payload = bad.is_empty();
        }
    }
    let verdict = decide(evidence);
    let keep = match verdict {
        Verdict::Intact => true,
        Verdict::Repaired => {
            mark!("a block is repaired from its mirror");
            kept.report.repaired.push(lsn);
            true
        }
        Verdict::Faulty => {
            mark!("a durable block is damaged");
            if !evidence.index {
                kept.report.repaired.push(lsn);
            }
            true
        }
        Verdict::Lost => return Err(Error::Lost { first: lsn, last: lsn }),
        Verdict::Unchained => return Err(Error::Chain { lsn }),
        Verdict::Torn => {
            mark!("a torn block is cut off");
            kept.report.torn = Some(lsn);
            false
        }
        Verdict::Ambiguous => {
            kept.report.torn_ambiguous = true;
            let keep = options.tail == TailPolicy::Replicated;
            match keep {
                true => mark!("a torn block's entries are kept as damaged"),
                false => mark!("a torn block of a store alone is cut off"),
            }
            kept.report.torn = (!keep).then_some(lsn);
            keep
        }
    };
    if keep && let Some(Candidate { scan, header, items: Some(items), .. }) = candidate {
        let seq = scans[scan].segment.id.seq;
        kept.blocks.insert(lsn, KeptBlock { seq, header, items, durable, bad });
    }
    Ok(keep)
}

/// Refuses a log whose end lies where the disk refuses to read: that is no torn write.
fn check_readable(scans: &[Scan], kept: &Kept) -> Result<()> {
    let end = kept.blocks.values().next_back();
    for scan in scans {
        let seq = scan.segment.id.seq;
        let from = match end {
            Some(block) if block.seq > seq => continue,
            Some(block) if block.seq == seq => block.header.end(),
            _ => HEADER_BYTES,
        };
        if let Some(range) = scan.unreadable.iter().find(|range| range.end > from && !scan.sealed) {
            let what = format!(
                "read {} at {}, where the log ends",
                scan.segment.id.name().display(),
                range.start
            );
            return Err(Error::Io { what, source: std::io::ErrorKind::InvalidData.into() });
        }
    }
    Ok(())
}
