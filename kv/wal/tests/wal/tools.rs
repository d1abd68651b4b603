//! verify, dump, repair, and the scrubber.

use std::path::Path;
use std::sync::Arc;

use tinykv_wal::{
    Damage, Durability, Error, Fs, GroupId, LogBatch, MemFs, OpenMode, Options, RawEntry,
    ScrubPosition, Wal, dump, repair, verify,
};

use crate::model::{self, DIR, entry};

/// One unsealed segment with ten entries, each a block of two sectors at alignment 512.
fn build() -> (MemFs, Options) {
    let options = Options { compress_bytes_min: None, ..model::options() };
    let fs = MemFs::new();
    let mut wal = model::open(&fs, &options).unwrap().0;
    for index in 1..=10 {
        let mut batch = LogBatch::new();
        batch.append(GroupId(1), &[entry(index, 1, vec![index as u8; 500])]).unwrap();
        wal.write(batch, Durability::Synced).unwrap();
    }
    wal.mark().unwrap();
    (fs, options)
}

fn first_segment(fs: &MemFs) -> std::path::PathBuf {
    let names = fs.list(Path::new(DIR)).unwrap();
    let name = names.into_iter().find(|name| name.extension().is_some_and(|end| end == "wal"));
    Path::new(DIR).join(name.unwrap())
}

/// Zeros all of the file from one sector to another.
fn wipe(fs: &MemFs, sectors: std::ops::Range<u64>) {
    for sector in sectors {
        Damage::ZeroSector(sector).apply(fs, &first_segment(fs)).unwrap();
    }
}

#[test]
fn verify_names_what_is_damaged_and_changes_nothing() {
    let (fs, options) = build();
    let report = verify(Arc::new(fs.clone()), Path::new(DIR), &options).unwrap();
    assert!(report.is_clean(), "{report:?}");
    wipe(&fs, 13..14);
    let content = || {
        let file = fs.open(&first_segment(&fs), OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    let before = content();
    let report = verify(Arc::new(fs.clone()), Path::new(DIR), &options).unwrap();
    assert_eq!(report.faulty.len() + report.repaired.len(), 1, "{report:?}");
    assert!(content() == before, "nothing is changed");
}

#[test]
fn dump_shows_blocks_and_items() {
    let (fs, _) = build();
    let mut lines = Vec::new();
    dump(Arc::new(fs), Path::new(DIR), |line| lines.push(line.to_owned())).unwrap();
    assert!(lines[0].contains("not sealed, store 7, alignment 512"), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line == "    append group 1: 3 to 3, terms 1, 516 bytes"),
        "{lines:#?}"
    );
    assert!(lines.iter().any(|line| line.contains("start: after segment 0")), "{lines:#?}");
}

#[test]
fn repair_gives_up_only_what_is_lost_and_names_the_entries() {
    let (fs, options) = build();
    // Blocks 4 to 6 are gone without a witness: the next block's mirror tells only of the last.
    wipe(&fs, 14..20);
    let refused = model::open(&fs, &options);
    let Err(Error::Lost { first, last }) = refused else { panic!("{refused:?}") };
    let dry = repair(Arc::new(fs.clone()), Path::new(DIR), &options, true).unwrap();
    assert_eq!(dry.given_up, [(first, last)]);
    assert!(matches!(model::open(&fs, &options), Err(Error::Lost { .. })), "a dry run");
    repair(Arc::new(fs.clone()), Path::new(DIR), &options, false).unwrap();
    let (wal, report) = model::open(&fs, &options).unwrap();
    assert_eq!(report.given_up, [(first, last)]);
    assert!(!report.is_clean());
    assert_eq!(wal.last_index(GroupId(1)), Some(10));
    for index in 1..=10 {
        match wal.fetch(GroupId(1), index..index + 1, 0) {
            Ok(found) => assert_eq!(found, [entry(index, 1, vec![index as u8; 500])]),
            Err(Error::Faulty { .. }) => {
                assert!((first.0..=last.0 + 2).contains(&index), "{index}")
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_scrubber_finds_what_nobody_reads() {
    let (fs, options) = build();
    wipe(&fs, 13..14);
    let (wal, _): (Wal<RawEntry>, _) = model::open(&fs, &options).unwrap();
    let mut position = Some(ScrubPosition::default());
    let (mut entries, mut faulty, mut pieces) = (0, Vec::new(), 0);
    while let Some(from) = position {
        let scrub = wal.scrub(from, 1000);
        entries += scrub.entries;
        faulty.extend(scrub.faulty);
        position = scrub.next;
        pieces += 1;
    }
    assert_eq!(entries, 10);
    assert!(pieces >= 4, "in pieces: {pieces}");
    assert!(faulty.len() <= 1);
    let read = (1..=10).filter(|index| wal.fetch(GroupId(1), *index..index + 1, 0).is_err());
    assert_eq!(read.count(), faulty.len(), "the same as reads find");
}
