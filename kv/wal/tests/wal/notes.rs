//! What one start names as damaged, every later one names, until it is replaced, compacted or
//! removed: whether that start looked at every entry or not, and wherever the power fails.

use std::path::Path;
use std::sync::Arc;

use tinykv_wal::{
    Damage, Durability, ErrFs, Error, Failure, Fault, FaultyEntry, Fs, FsOp, GroupId, LogBatch,
    MemFs, OpenMode, Options, RawEntry, RecoveryReport, ScrubPosition, TailPolicy, Wal, dump,
};

use crate::cases;
use crate::faults;
use crate::model::{self, entry};

const OTHER: GroupId = GroupId(999);

fn open(fs: &(impl Fs + Clone), options: &Options) -> (Wal<RawEntry>, RecoveryReport) {
    model::open(fs, options).unwrap()
}

fn replicated() -> Options {
    cases::options(TailPolicy::Replicated)
}

/// The entries that a start names.
fn named(fs: &(impl Fs + Clone), options: &Options) -> Vec<FaultyEntry> {
    open(fs, options).1.faulty
}

/// Appends an entry of 900 bytes to a group that is never damaged.
fn append(wal: &mut Wal<RawEntry>) {
    let index = wal.last_index(OTHER).unwrap_or(0) + 1;
    let mut batch = LogBatch::new();
    batch.append(OTHER, &[entry(index, 1, vec![9; 900])]).unwrap();
    wal.write(batch, Durability::Synced).unwrap();
}

/// Five entries of group 1, of which nothing says whether the last, damaged one was acknowledged.
fn doubtful() -> (MemFs, FaultyEntry) {
    let fs = cases::zero(&[cases::start(5) + 1], false);
    (fs, FaultyEntry { group: GroupId(1), index: 5, term: 2, durable: false })
}

#[test]
fn a_doubtful_last_entry_is_named_by_every_start() {
    let (fs, wanted) = doubtful();
    for round in 0..3 {
        let (mut wal, report) = open(&fs, &replicated());
        assert_eq!(report.faulty, [wanted], "start {round}");
        assert_eq!(report.torn_ambiguous, round == 0, "from now on it is known");
        assert!(matches!(wal.fetch(GroupId(1), 5..6, 0), Err(Error::Faulty { index: 5, .. })));
        append(&mut wal);
    }
}

#[test]
fn it_stays_named_when_its_segment_is_sealed_and_when_it_is_moved() {
    let (fs, wanted) = doubtful();
    let options = Options { purge_bytes: 64 << 10, ..replicated() };
    let mut wal = open(&fs, &options).0;
    while wal.low_water_mark(GroupId(1)) == Some(1) {
        append(&mut wal);
        let mut batch = LogBatch::new();
        batch.compact_to(OTHER, wal.last_index(OTHER).unwrap());
        wal.write(batch, Durability::Synced).unwrap();
        if wal.metrics().segments.is_multiple_of(2) {
            drop(wal);
            let (again, report) = open(&fs, &options);
            assert_eq!(report.faulty, [wanted]);
            wal = again;
        }
        wal.purge().unwrap();
    }
    drop(wal);
    assert_eq!(named(&fs, &options), [wanted], "its bytes are gone, and the doubt is not");
    assert_eq!(named(&fs, &options), [wanted]);
}

/// Writes a batch to a log whose fifth entry was damaged; it must not be named any more.
fn cleared_by(what: &str, batch: LogBatch<RawEntry>) {
    let (fs, wanted) = doubtful();
    let (mut wal, report) = open(&fs, &replicated());
    assert_eq!(report.faulty, [wanted]);
    wal.write(batch, Durability::Synced).unwrap();
    drop(wal);
    for verify_all in [false, true, false] {
        let (_, report) = open(&fs, &Options { verify_all, ..replicated() });
        assert!(report.is_clean(), "{what}: {report:?}");
        assert_eq!(report.damaged_before, u64::from(verify_all), "{what}");
    }
}

#[test]
fn it_is_cleared_when_it_is_replaced_truncated_compacted_or_removed() {
    let mut repair = LogBatch::new();
    repair.repair(GroupId(1), &[entry(5, 2, vec![5; 600])]).unwrap();
    cleared_by("repaired", repair);
    let mut replace = LogBatch::new();
    replace.append(GroupId(1), &[entry(5, 3, b"of another leader".to_vec())]).unwrap();
    cleared_by("replaced", replace);
    let mut same_term = LogBatch::new();
    same_term.append(GroupId(1), &[entry(5, 2, b"once more".to_vec())]).unwrap();
    cleared_by("appended again", same_term);
    let mut truncate = LogBatch::new();
    truncate.append(GroupId(1), &[entry(4, 3, b"earlier".to_vec())]).unwrap();
    cleared_by("truncated", truncate);
    let mut compact = LogBatch::new();
    compact.compact_to(GroupId(1), 6);
    cleared_by("compacted", compact);
    let mut clean = LogBatch::new();
    clean.clean(GroupId(1));
    cleared_by("removed", clean);
}

/// T3: each sector of a log, damaged: what a start names that looks at everything, those after it
/// name that do not.
#[test]
fn what_a_full_check_finds_in_any_sector_later_starts_name() {
    let options = Options { block_align: 512, ..model::options() };
    let full = Options { verify_all: true, ..options.clone() };
    let (fs, _) = faults::build(&options);
    let (mut states, mut with_names) = (0, 0);
    for (path, len) in faults::segments(&fs) {
        for sector in 0..len / 512 {
            for damage in [
                Damage::ZeroSector(sector),
                Damage::FlipBit { offset: sector * 512 + 300, bit: 3 },
                Damage::Misdirected { from: (sector + 1) % (len / 512), to: sector },
            ] {
                let fs = fs.fork();
                if !damage.apply(&fs, &path).unwrap() {
                    continue;
                }
                let context = format!("{damage:?} of {}", path.display());
                let Ok((_, report)) = model::open(&fs, &full) else { continue };
                states += 1;
                with_names += usize::from(!report.faulty.is_empty());
                for _ in 0..2 {
                    assert_eq!(named(&fs, &options), report.faulty, "{context}");
                }
            }
        }
    }
    println!("notes, T3: {states} states, {with_names} with damaged entries");
    assert!(with_names > 100, "{with_names} of {states}");
}

/// Opens a damaged log and writes on, crashing after each operation on the disk. Every start after
/// that names the same; with `full_check` only those after the start that looked at everything had
/// returned, since until then nobody was told.
fn crashes(damaged: &MemFs, options: &Options, full_check: bool) -> usize {
    let first = Options { verify_all: full_check, ..options.clone() };
    let wanted = named(&damaged.fork(), &first);
    assert!(!wanted.is_empty());
    let fs = damaged.fork();
    fs.record();
    let (mut wal, report) = open(&fs, &first);
    assert_eq!(report.faulty, wanted);
    let told = fs.operations();
    append(&mut wal);
    wal.purge().unwrap();
    wal.mark().unwrap();
    let mut states = 0;
    for point in fs.recorded() {
        for state in point.fs().crash_states(60, point.operations).states {
            states += 1;
            for start in 0..2 {
                let (mut wal, mut report) = open(&state, options);
                // The write that the crash tore.
                report.faulty.retain(|faulty| faulty.group != OTHER);
                if full_check && point.operations < told {
                    continue;
                }
                let context = format!("start {start} after a crash at {:?}", point.what);
                assert_eq!(report.faulty, wanted, "{context}");
                append(&mut wal);
            }
        }
    }
    states
}

/// T2: the power fails during and after the start that finds the damage.
#[test]
fn no_crash_makes_a_later_start_forget() {
    let mut states = crashes(&doubtful().0, &replicated(), false);
    for block in [2, 3, 4] {
        let damage = [cases::start(block) + 1];
        states += crashes(&cases::zero(&damage, true), &replicated(), true);
    }
    // A whole block, known from the next one's mirror, and so found without a full check.
    let damage = [cases::start(3), cases::start(3) + 1];
    states += crashes(&cases::zero(&damage, true), &replicated(), false);
    println!("notes, T2: {states} states");
    assert!(states > 300, "{states}");
}

/// The last blocks hold entries of so many groups that their notes take more than one block, and
/// nothing says that they were acknowledged.
fn many_doubtful() -> (MemFs, Options, usize) {
    const LOST: &[u8] = b"to be lost";
    let (blocks, groups_each) = (4, 60);
    let options = replicated();
    let fs = MemFs::new();
    let mut wal = open(&fs, &options).0;
    for block in 0..blocks {
        let mut batch = LogBatch::new();
        for group in block * groups_each..(block + 1) * groups_each {
            batch.append(GroupId(group), &[entry(1, 3, LOST)]).unwrap();
        }
        wal.write(batch, Durability::Deferred).unwrap();
    }
    wal.sync().unwrap();
    drop(wal);
    let (path, len) = faults::segments(&fs).remove(0);
    let file = fs.open(&path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    for (offset, found) in bytes.windows(LOST.len()).enumerate() {
        if found == LOST {
            Damage::FlipBit { offset: offset as u64, bit: 1 }.apply(&fs, &path).unwrap();
        }
    }
    (fs, options, (blocks * groups_each) as usize)
}

#[test]
fn no_crash_forgets_some_of_many() {
    let (fs, options, groups) = many_doubtful();
    let report = open(&fs.fork(), &options).1;
    assert!(report.torn_ambiguous, "{report:?}");
    assert_eq!(report.faulty.len(), groups);
    let states = crashes(&fs, &options, false);
    println!("notes, T2: {states} states with {groups} damaged entries");
}

/// What the disk refuses once is noted, but is not lost when the disk gives it again.
#[test]
fn an_entry_that_can_be_read_again_is_named_no_more() {
    let memory = MemFs::new();
    let options = Options { segment_bytes: 64 << 10, ..replicated() };
    let mut wal = open(&memory, &options).0;
    let long = entry(1, 2, vec![7; 12_000]);
    let mut batch = LogBatch::new();
    batch.append(GroupId(1), std::slice::from_ref(&long)).unwrap();
    wal.write(batch, Durability::Synced).unwrap();
    wal.mark().unwrap();
    drop(wal);
    let fs = ErrFs::over_memory(memory);
    // A page of nothing but the entry.
    fs.inject(Fault::sticky(FsOp::Read, Failure::Io).at("0000000001-").touching(8192..8193));
    let full = Options { verify_all: true, ..options.clone() };
    let wanted = FaultyEntry { group: GroupId(1), index: 1, term: 2, durable: true };
    assert_eq!(named(&fs, &full), [wanted]);
    assert_eq!(named(&fs, &options), [wanted], "it is still refused");
    fs.heal();
    let (wal, report) = open(&fs, &options);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(wal.fetch(GroupId(1), 1..2, 0).unwrap(), [long]);
}

/// Zeros the third entry of a log with a mark.
fn rotten() -> (MemFs, FaultyEntry) {
    let fs = cases::zero(&[cases::start(3) + 1], true);
    (fs, FaultyEntry { group: GroupId(1), index: 3, term: 2, durable: true })
}

#[test]
fn what_a_read_or_a_scrub_finds_the_next_block_notes() {
    for scrub in [false, true] {
        let (fs, wanted) = rotten();
        let (mut wal, report) = open(&fs, &replicated());
        assert!(report.is_clean(), "nobody looked: {report:?}");
        if scrub {
            assert_eq!(wal.scrub(ScrubPosition::default(), u64::MAX).faulty, [wanted]);
        } else {
            let read = wal.fetch(GroupId(1), 1..6, u64::MAX);
            assert!(matches!(read, Err(Error::Faulty { index: 3, .. })), "{read:?}");
        }
        append(&mut wal);
        drop(wal);
        for _ in 0..2 {
            assert_eq!(named(&fs, &replicated()), [wanted], "found by a scrub: {scrub}");
        }
    }
}

#[test]
fn damage_is_noted_once() {
    let (fs, wanted) = rotten();
    let full = Options { verify_all: true, ..replicated() };
    let blocks = |fs: &MemFs| {
        let (wal, report) = open(fs, &full);
        assert_eq!(report.faulty, [wanted]);
        wal.last_lsn()
    };
    // The note and the mark behind it.
    let after = blocks(&fs);
    assert_eq!(after.0, 8);
    assert_eq!(blocks(&fs), after, "a start that finds what is noted writes nothing");
    let mut wal = open(&fs, &replicated()).0;
    for _ in 0..3 {
        assert!(wal.fetch(GroupId(1), 3..4, 0).is_err());
        append(&mut wal);
    }
    let mut notes = 0;
    drop(wal);
    let count = |line: &str| notes += usize::from(line.contains("found damaged"));
    dump(Arc::new(fs), Path::new(model::DIR), count).unwrap();
    assert_eq!(notes, 1);
}
