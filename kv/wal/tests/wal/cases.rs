//! Each verdict of recovery's table, reached through damage on a disk: see
//! `recovery/decision.rs`, where the table itself is tested.
//!
//! The log has six blocks: five entries, and the mark in a page of its own. Block `n` of an entry
//! starts at sector `8 + 2 (n - 1)`; the first sector holds its header, index and mirror, the second
//! more of its entry. Blocks 1 to 4 are in one page, whose names block 5 repeats.

use std::path::{Path, PathBuf};

use tinykv_wal::{
    Damage, Durability, Error, Fs, GroupId, LogBatch, Lsn, MemFs, Options, RecoveryReport,
    TailPolicy,
};

use crate::model::{self, DIR, entry};

pub(crate) fn options(tail: TailPolicy) -> Options {
    Options { compress_bytes_min: None, tail, ..model::options() }
}

pub(crate) fn build(marked: bool) -> (MemFs, PathBuf) {
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options(TailPolicy::Single)).unwrap().0;
    for index in 1..=5 {
        let mut batch = LogBatch::new();
        batch.append(GroupId(1), &[entry(index, 2, vec![index as u8; 600])]).unwrap();
        wal.write(batch, Durability::Synced).unwrap();
    }
    if marked {
        wal.mark().unwrap();
    }
    drop(wal);
    let names = fs.list(Path::new(DIR)).unwrap();
    let name = names.into_iter().find(|name| name.extension().is_some_and(|end| end == "wal"));
    (fs, Path::new(DIR).join(name.unwrap()))
}

/// The sector in which a block starts.
pub(crate) fn start(block: u64) -> u64 {
    8 + 2 * (block - 1)
}

pub(crate) fn zero(sectors: &[u64], marked: bool) -> MemFs {
    let (fs, path) = build(marked);
    for sector in sectors {
        assert!(Damage::ZeroSector(*sector).apply(&fs, &path).unwrap());
    }
    fs
}

fn report(fs: &MemFs, tail: TailPolicy) -> RecoveryReport {
    model::open(fs, &options(tail)).unwrap().1
}

#[test]
fn intact() {
    for tail in [TailPolicy::Single, TailPolicy::Replicated] {
        let report = report(&zero(&[], true), tail);
        assert!(report.is_clean() && report.torn.is_none());
        assert_eq!((report.blocks, report.last_lsn), (6, Lsn(6)));
    }
}

#[test]
fn repaired_a_block_is_known_from_the_next_ones_mirror() {
    let (fs, path) = build(true);
    Damage::FlipBit { offset: start(3) * 512 + 9, bit: 0 }.apply(&fs, &path).unwrap();
    let report = report(&fs, TailPolicy::Replicated);
    assert_eq!((report.repaired, report.faulty.len(), report.blocks), (vec![Lsn(3)], 0, 6));
}

#[test]
fn faulty_a_durable_entry_is_named() {
    let fs = zero(&[start(3), start(3) + 1], true);
    let report = report(&fs, TailPolicy::Single);
    assert_eq!((report.repaired, report.blocks), (vec![Lsn(3)], 6));
    let faulty = report.faulty[0];
    assert_eq!((faulty.group, faulty.index, faulty.term), (GroupId(1), 3, 2));
    assert!(faulty.durable);
}

#[test]
fn lost_a_durable_block_that_nothing_names_is_refused() {
    let fs = zero(&[start(3), start(4), start(5)], true);
    let refused = model::open(&fs, &options(TailPolicy::Replicated)).map(|_| ());
    assert!(matches!(refused, Err(Error::Lost { first: Lsn(3), last: Lsn(4) })), "{refused:?}");
}

#[test]
fn repaired_a_page_of_blocks_is_known_from_the_mirror_in_the_next_page() {
    let fs = zero(&[start(3), start(4)], true);
    let report = report(&fs, TailPolicy::Replicated);
    assert_eq!((report.repaired, report.blocks), (vec![Lsn(3), Lsn(4)], 6));
    let damaged: Vec<u64> = report.faulty.iter().map(|entry| entry.index).collect();
    assert_eq!(damaged, [3, 4]);
}

#[test]
fn a_log_of_another_version_is_refused() {
    let (fs, path) = build(true);
    let file = fs.open(&path, tinykv_wal::OpenMode::Write).unwrap();
    let mut header = [0; 56];
    file.read_exact_at(&mut header, 0).unwrap();
    header[8] = 9;
    let crc = crc32c::crc32c(&header[..52]);
    header[52..].copy_from_slice(&crc.to_le_bytes());
    file.write_all_at(&header, 0).unwrap();
    let refused = model::open(&fs, &options(TailPolicy::Single)).map(|_| ()).unwrap_err();
    assert!(matches!(refused, Error::WrongSegment { .. }), "{refused}");
    assert!(refused.to_string().contains("version 9"), "{refused}");
}

#[test]
fn torn_what_nobody_can_have_been_told_of_is_cut() {
    let report = report(&zero(&[start(5), start(5) + 1], false), TailPolicy::Replicated);
    assert!(report.is_clean());
    assert_eq!((report.torn, report.last_lsn), (None, Lsn(4)), "nothing of it is there at all");
}

#[test]
fn ambiguous_the_last_write_is_kept_for_peers_to_decide_or_cut_and_told() {
    let fs = zero(&[start(5) + 1], false);
    let kept = report(&fs.fork(), TailPolicy::Replicated);
    assert!(kept.torn_ambiguous && kept.torn.is_none());
    assert_eq!((kept.faulty[0].index, kept.faulty[0].durable), (5, false));
    let cut = report(&fs, TailPolicy::Single);
    assert!(cut.torn_ambiguous);
    assert_eq!((cut.torn, cut.last_lsn), (Some(Lsn(5)), Lsn(4)));
}

/// Two logs of the same store and seed, of which one lost a segment to the other.
#[test]
fn unchained_a_mix_of_logs_is_refused() {
    let long = |fill: u8| {
        let fs = MemFs::new();
        let mut wal = model::open(&fs, &options(TailPolicy::Single)).unwrap().0;
        let mut index = 0;
        while wal.metrics().segments < 3 {
            index += 1;
            let mut batch = LogBatch::new();
            batch.append(GroupId(1), &[entry(index, 2, vec![fill; 900])]).unwrap();
            wal.write(batch, Durability::Synced).unwrap();
        }
        fs
    };
    let (ours, theirs) = (long(1), long(2));
    let mut segments = ours
        .list(Path::new(DIR))
        .unwrap()
        .into_iter()
        .filter(|name| name.extension().is_some_and(|end| end == "wal"));
    let path = Path::new(DIR).join(segments.nth(1).unwrap());
    let mode = tinykv_wal::OpenMode::Write;
    let from = theirs.open(&path, mode).unwrap();
    let mut bytes = vec![0; from.len().unwrap() as usize];
    from.read_exact_at(&mut bytes, 0).unwrap();
    let to = ours.open(&path, mode).unwrap();
    to.write_all_at(&bytes, 0).unwrap();
    let refused = model::open(&ours, &options(TailPolicy::Single));
    assert!(matches!(refused, Err(Error::Chain { .. })), "{refused:?}");
}

#[test]
fn a_file_that_is_longer_than_a_segment_is_refused() {
    let (fs, path) = build(true);
    fs.open(&path, tinykv_wal::OpenMode::Write).unwrap().set_len((1 << 30) + 512).unwrap();
    let refused = model::open(&fs, &options(TailPolicy::Single));
    assert!(matches!(refused, Err(Error::WrongSegment { .. })), "{refused:?}");
}

#[test]
fn segments_that_are_too_small_for_their_largest_batch_are_refused() {
    for (segment_bytes, block_align, fits) in [
        (16 << 10, 512, true),
        (16 << 10, 1024, true),
        (16 << 10, 2048, false),
        (24 << 10, 4096, false),
        (32 << 10, 4096, true),
        (64 << 10, 4096, true),
    ] {
        let options = Options { segment_bytes, block_align, ..Options::default() };
        assert_eq!(options.validate().is_ok(), fits, "{segment_bytes} {block_align}");
    }
}

#[test]
fn the_progress_of_a_start_is_told_after_each_segment() {
    use std::sync::{Arc, Mutex};
    let (fs, _) = crate::faults::build(&model::options());
    let told: Arc<Mutex<Vec<tinykv_wal::Progress>>> = Arc::default();
    let notes = Arc::clone(&told);
    let watch = tinykv_wal::Watch::new(move |progress| notes.lock().unwrap().push(progress));
    let options = Options { recovery_threads: 3, progress: Some(watch), ..model::options() };
    let of = crate::faults::segments(&fs).len();
    let report = model::open(&fs, &options).unwrap().1;
    assert!(of > report.segments, "prepared ones count too");
    let told = told.lock().unwrap();
    let wanted: Vec<_> = (1..=of).map(|segments| tinykv_wal::Progress { segments, of }).collect();
    assert_eq!(*told, wanted);
}
