//! T9: `kill -9` of a process that writes with several threads, again and again on one folder.
//!
//! The process is this program itself, started again for the one test [`child`]. It writes through
//! `SharedWal` (waiting and handing in, durable and deferred), compacts, purges and rolls through
//! small segments, and prints each durable write once it is answered. At a random answer, or
//! while it still recovers, it is killed. Then the folder is opened here: every answered write is
//! there or was compacted, each batch is there whole or not at all, and nothing is damaged.
//!
//! A killed process loses nothing that the kernel has. What a power loss takes is tested in
//! `wal/crash.rs`, on a file system that forgets.
//!
//! `KILLS` says how often (12), `SEED` when: `KILLS=200 SEED=7 cargo test -p tinykv-wal --test
//! kill`.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tinykv_wal::{Durability, GroupId, LogBatch, Options, RawEntry, RealFs, SharedWal, Wal};

/// Groups that wait for each write, and groups that hand in several.
const WAITING: u64 = 3;
const SUBMITTING: u64 = 2;
/// Batches that a submitting thread has in flight.
const DEPTH: u64 = 4;
/// Entries that a group keeps.
const KEPT: u64 = 40;
const FOLDER: &str = "TINYKV_WAL_KILL_FOLDER";

fn options() -> Options {
    Options {
        store_id: 3,
        segment_bytes: 128 << 10,
        purge_bytes: 512 << 10,
        straggler_bytes_max: 4 << 10,
        compress_bytes_min: Some(1 << 10),
        ..Options::default()
    }
}

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// The entry of a group at an index; its length varies, and some compress.
fn entry(group: u64, index: u64) -> RawEntry {
    let len = (group * 31 + index * 97) % 3000;
    let mut rng = StdRng::seed_from_u64(index);
    let data =
        (0..len).map(|at| if index.is_multiple_of(3) { at as u8 } else { rng.random() }).collect();
    RawEntry { index, term: 1 + index / 10, data }
}

/// What a group writes at once: an entry, and its index under two keys. Half of the batches touch
/// a second group too.
fn batch(group: u64, index: u64) -> LogBatch<RawEntry> {
    let mut batch = LogBatch::new();
    batch.append(GroupId(group), &[entry(group, index)]).unwrap();
    batch.put(GroupId(group), b"first".to_vec(), index.to_le_bytes());
    batch.put(GroupId(group + 100), b"second".to_vec(), index.to_le_bytes());
    if index.is_multiple_of(16) && index > KEPT {
        batch.compact_to(GroupId(group), index - KEPT);
    }
    batch
}

/// Tells the parent, in one write, that a group's writes up to an index are durable.
fn answer(group: u64, index: u64) {
    let line = format!("{group} {index}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

/// Writes until it is killed; does nothing unless it is told a folder.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let opened = SharedWal::<RawEntry>::open(RealFs::shared(), Path::new(&folder), options());
    let (wal, report) = opened.unwrap();
    assert!(report.is_clean(), "{report:?}");
    std::thread::scope(|scope| {
        for group in 1..=WAITING {
            let wal = wal.clone();
            scope.spawn(move || {
                for index in wal.last_index(GroupId(group)).unwrap_or(0) + 1.. {
                    // Every fourth is made durable by the next.
                    let durable = !index.is_multiple_of(4);
                    let durability =
                        if durable { Durability::Synced } else { Durability::Deferred };
                    wal.write(batch(group, index), durability).unwrap();
                    if durable {
                        answer(group, index);
                    }
                }
            });
        }
        for group in WAITING + 1..=WAITING + SUBMITTING {
            let wal = wal.clone();
            scope.spawn(move || {
                let (sender, done) = mpsc::channel();
                let first = wal.last_index(GroupId(group)).unwrap_or(0) + 1;
                for index in first.. {
                    let sender = sender.clone();
                    let done_here = move |result: tinykv_wal::Result<_>| {
                        result.unwrap();
                        sender.send(index).unwrap();
                    };
                    wal.submit(batch(group, index), Durability::Synced, done_here).unwrap();
                    if index >= first + DEPTH {
                        answer(group, done.recv().unwrap());
                    }
                }
            });
        }
        scope.spawn(|| {
            loop {
                wal.purge().unwrap();
                std::thread::park_timeout(std::time::Duration::from_millis(2));
            }
        });
    });
}

/// Runs the child until it gave so many answers; notes them.
fn run_and_kill(folder: &Path, answers_max: u64, answered: &mut BTreeMap<u64, u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut seen = 0;
    loop {
        let mut line = String::new();
        if seen == answers_max {
            child.kill().unwrap();
        }
        // What it answered before it died counts too; a line that has no end was cut.
        if lines.read_line(&mut line).unwrap() == 0 {
            break;
        }
        let numbers = line.strip_suffix('\n').and_then(|line| line.split_once(' '));
        let parsed = numbers.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        if let Some((group, index)) = parsed {
            answered.insert(group, index);
            seen += 1;
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success(), "it ends only by being killed");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "it failed first");
}

/// Opens the folder and compares it with what was answered.
fn check(folder: &Path, answered: &BTreeMap<u64, u64>) {
    let (wal, report) = Wal::<RawEntry>::open(RealFs::shared(), folder, options()).unwrap();
    assert!(report.is_clean(), "{report:?}");
    for group in 1..=WAITING + SUBMITTING {
        let id = GroupId(group);
        let last = wal.last_index(id).unwrap_or(0);
        let answered = answered.get(&group).copied().unwrap_or(0);
        assert!(last >= answered, "{id}: {answered} was answered, the last one is {last}");
        let number = |group: u64, key: &[u8]| {
            let value = wal.get(GroupId(group), key);
            value.map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap()))
        };
        let both = (number(group, b"first"), number(group + 100, b"second"));
        assert_eq!(both, (last, last), "{id}: a batch is there in part");
        let Some(first) = wal.first_index(id) else { continue };
        assert!(first == 1 || first + KEPT <= last, "{id}: {first} to {last}");
        for (index, found) in (first..).zip(wal.iter(id, first..last + 1)) {
            assert_eq!(found.unwrap(), entry(group, index), "{id}");
        }
    }
}

#[test]
fn what_was_answered_survives_kill_9() {
    let (kills, seed) = (env("KILLS", 12), env("SEED", 1));
    println!("replay with KILLS={kills} SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut answered = BTreeMap::new();
    let mut total = 0;
    for round in 0..kills {
        // Now and then before the first answer, which may be during recovery.
        let answers = if round % 4 == 3 { 0 } else { rng.random_range(1..400) };
        run_and_kill(folder.path(), answers, &mut answered);
        total += answers;
        println!("kill {round} after {answers} answers: {answered:?}");
        if folder.path().read_dir().unwrap().count() > 0 {
            check(folder.path(), &answered);
        }
    }
    println!("T9: {kills} kills, {total} answers");
}
