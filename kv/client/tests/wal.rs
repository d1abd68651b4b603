//! `tinykv wal` on the folder of a write-ahead log: sound, torn, damaged, beyond naming, in use,
//! and none at all.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/program.rs"]
mod program;

use std::path::PathBuf;

use program::{Nobody, Run, Tinykv};
use serde_json::{Value, json};
use wal::{Durability, GroupId, LogBatch, Options, RawEntry, RealFs, Wal};

/// Where the blocks start in a segment, and what each takes.
const HEAD: usize = 4096;
const BLOCK: usize = 1024;

/// A folder with a log of ten entries, a block each, and the mark at the end.
struct Log {
    folder: tempfile::TempDir,
}

impl Log {
    fn new() -> Log {
        let log = Log { folder: tempfile::tempdir().unwrap() };
        let mut wal = log.open();
        for index in 1..=10 {
            let mut batch = LogBatch::new();
            let entry = RawEntry { index, term: 3, data: vec![b'v'; 500] };
            batch.append(GroupId(1), &[entry]).unwrap();
            wal.write(batch, Durability::Synced).unwrap();
        }
        wal.mark().unwrap();
        log
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("wal")
    }

    fn open(&self) -> Wal<RawEntry> {
        let options = Options {
            store_id: 7,
            segment_bytes: 64 << 10,
            block_align: 512,
            compress_bytes_min: None,
            ..Options::default()
        };
        Wal::open(RealFs::shared(), &self.path(), options).unwrap().0
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "wal"));
        files.sort();
        files
    }

    /// Changes the segment that holds the blocks.
    fn edit(&self, change: impl FnOnce(&mut [u8])) {
        let path = &self.files()[0];
        let mut bytes = std::fs::read(path).unwrap();
        change(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    }

    fn run(&self, command: &str, more: &[&str]) -> Run {
        let path = self.path();
        let args = [&["wal", command, "--path", path.to_str().unwrap()], more].concat();
        Tinykv::on(Nobody::new().address()).run(&args)
    }

    fn json(&self, command: &str) -> (i32, Value) {
        let run = self.run(command, &["--json"]);
        (run.code, serde_json::from_str(run.out()).unwrap_or_else(|_| panic!("{}", run.err())))
    }
}

#[test]
fn a_sound_log_is_told_so_whoever_it_belongs_to() {
    let log = Log::new();
    let run = log.run("verify", &[]);
    assert_eq!((run.code, run.err()), (0, ""));
    let path = log.path().display().to_string();
    let sound = "nothing is damaged; 1 segment, 11 blocks, to lsn 11\n";
    assert_eq!(run.out(), format!("{path}: {sound}"));
    let (code, report) = log.json("verify");
    assert_eq!((code, &report["clean"], &report["last_lsn"]), (0, &true.into(), &11.into()));
    let run = log.run("verify", &["--store-id", "7"]);
    assert_eq!((run.code, run.err()), (0, ""));
    let run = log.run("repair", &[]);
    assert_eq!((run.code, run.err()), (0, ""));
    assert!(run.out().ends_with("the log opens as it is.\n"), "{}", run.out());
}

#[test]
fn another_stores_log_is_refused_when_asked_for() {
    let log = Log::new();
    let run = log.run("verify", &["--store-id", "8"]);
    assert_eq!((run.code, run.out()), (1, ""));
    assert!(run.err().contains("store 7, not 8"), "{}", run.err());
}

#[test]
fn a_dump_shows_what_was_written_also_while_the_log_is_in_use() {
    let log = Log::new();
    let wal = log.open();
    let run = log.run("dump", &[]);
    drop(wal);
    assert_eq!((run.code, run.err()), (0, ""));
    assert!(run.out().contains("store 7, alignment 512"), "{}", run.out());
    let entry = "    append group 1: 3 to 3, terms 3, 516 bytes\n";
    assert!(run.out().contains(entry), "{}", run.out());
    let run = log.run("dump", &["--json"]);
    assert_eq!((run.code, run.out()), (1, ""));
    assert!(run.err().contains("no JSON"), "{}", run.err());
}

#[test]
fn an_unfinished_write_is_told_and_is_no_damage() {
    let log = Log::new();
    // The mark goes, and the header of the last entry's block: as if it had not arrived.
    log.edit(|bytes| bytes[HEAD + 9 * BLOCK..HEAD + 13 * BLOCK].fill(0));
    let run = log.run("verify", &[]);
    assert_eq!((run.code, run.err()), (0, ""));
    assert!(run.out().contains("nothing is damaged; 1 segment, 9 blocks"), "{}", run.out());

    // Now the header arrived, and the entry did not.
    let log = Log::new();
    log.edit(|bytes| bytes[HEAD + 9 * BLOCK + 512..HEAD + 13 * BLOCK].fill(0));
    let run = log.run("verify", &[]);
    assert_eq!((run.code, run.err()), (1, ""));
    assert!(run.out().contains("damaged: group 1, index 10, term 3\n"), "{}", run.out());
    assert!(run.out().contains("nothing says whether it was ever acknowledged"), "{}", run.out());
}

#[test]
fn a_damaged_entry_is_named() {
    let log = Log::new();
    log.edit(|bytes| bytes[HEAD + 5 * BLOCK + 600] ^= 1);
    let run = log.run("verify", &[]);
    assert_eq!((run.code, run.err()), (1, ""));
    assert!(run.out().starts_with("damaged: group 1, index 6, term 3\n"), "{}", run.out());
    assert!(run.out().contains(": DAMAGED; 1 segment, 11 blocks"), "{}", run.out());
    let (code, report) = log.json("verify");
    let entry = json!({ "group": 1, "index": 6, "term": 3, "durable": true });
    assert_eq!((code, &report["damaged_entries"]), (1, &json!([entry])));
}

#[test]
fn damage_of_what_is_not_needed_any_more_is_told() {
    let log = Log::new();
    let mut wal = log.open();
    let mut batch = LogBatch::new();
    batch.compact_to(GroupId(1), 8);
    wal.write(batch, Durability::Synced).unwrap();
    wal.mark().unwrap();
    drop(wal);
    log.edit(|bytes| bytes[HEAD + 5 * BLOCK + 600] ^= 1);
    let run = log.run("verify", &[]);
    assert_eq!((run.code, run.err()), (0, ""));
    let told = "damaged, but not needed: 1 entry that was replaced, compacted or removed\n";
    assert!(run.out().starts_with(told), "{}", run.out());
    let (code, report) = log.json("verify");
    assert_eq!((code, &report["damaged_before"]), (0, &json!(1)));
}

#[test]
fn a_damaged_header_is_known_from_a_copy() {
    let log = Log::new();
    log.edit(|bytes| bytes[HEAD + 4 * BLOCK + 9] ^= 1);
    let run = log.run("verify", &[]);
    assert_eq!((run.code, run.err()), (1, ""));
    let known = "damaged, but known from a copy: the block at lsn 5\n";
    assert!(run.out().starts_with(known), "{}", run.out());
}

#[test]
fn what_is_lost_is_given_up_only_when_told_to() {
    let log = Log::new();
    // A page of four blocks, and the first one of the next page, which names them.
    log.edit(|bytes| bytes[HEAD + 4 * BLOCK..HEAD + 9 * BLOCK].fill(0));
    let run = log.run("verify", &[]);
    assert_eq!((run.code, run.err()), (1, ""));
    assert!(run.out().starts_with("lost: blocks 5 to 8; nothing says what"), "{}", run.out());
    assert!(run.out().contains("tinykv wal repair --path"), "{}", run.out());
    let (code, report) = log.json("verify");
    assert_eq!((code, &report["lost"]), (1, &json!({ "first": 5, "last": 8 })));

    let before = log.files().iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>();
    let run = log.run("repair", &[]);
    assert_eq!((run.code, run.err()), (1, ""));
    assert!(run.out().contains("lost and given up: blocks 5 to 8\n"), "{}", run.out());
    assert!(run.out().contains("Nothing is changed yet."), "{}", run.out());
    let after = log.files().iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>();
    assert!(before == after, "nothing is changed");

    let run = log.run("repair", &["--accept-loss"]);
    assert_eq!((run.code, run.err()), (1, ""));
    assert!(run.out().contains("given up; the log opens."), "{}", run.out());
    let (code, report) = log.json("verify");
    assert_eq!((code, &report["given_up"]), (1, &json!([{ "first": 5, "last": 8 }])));
    let wal = log.open();
    assert_eq!(wal.last_index(GroupId(1)), Some(10));
    assert!(wal.fetch(GroupId(1), 5..6, 0).is_err());
    assert!(wal.fetch(GroupId(1), 9..10, 0).is_err(), "known by name only");
    assert_eq!(wal.fetch(GroupId(1), 10..11, 0).unwrap().len(), 1);
}

#[test]
fn a_log_in_use_and_none_at_all_are_refused() {
    let log = Log::new();
    let wal = log.open();
    for command in ["verify", "repair"] {
        let run = log.run(command, &[]);
        assert_eq!((run.code, run.out()), (1, ""));
        assert!(run.err().contains("is in use"), "{}", run.err());
    }
    drop(wal);
    std::fs::remove_dir_all(log.path()).unwrap();
    let refused = |log: &Log| {
        for command in ["verify", "dump", "repair"] {
            let run = log.run(command, &[]);
            assert_eq!((run.code, run.out()), (1, ""));
            assert!(run.err().contains("there is no write-ahead log in"), "{}", run.err());
        }
    };
    refused(&log);
    std::fs::create_dir(log.path()).unwrap();
    refused(&log);
    assert_eq!(std::fs::read_dir(log.path()).unwrap().count(), 0, "nothing was made");
    std::fs::remove_dir(log.path()).unwrap();
    std::fs::write(log.path(), "a file").unwrap();
    refused(&log);
}

#[test]
fn a_missing_segment_is_named() {
    let log = Log::new();
    let mut wal = log.open();
    for index in 11..=100 {
        let mut batch = LogBatch::new();
        batch.append(GroupId(1), &[RawEntry { index, term: 3, data: vec![b'w'; 3000] }]).unwrap();
        wal.write(batch, Durability::Synced).unwrap();
    }
    drop(wal);
    std::fs::remove_file(&log.files()[1]).unwrap();
    let run = log.run("verify", &[]);
    assert_eq!((run.code, run.out()), (1, ""));
    assert!(run.err().contains("segment 2 is missing"), "{}", run.err());
}
