//! T4: operations that fail, at every place of a run.

use tinykv_wal::{Durability, ErrFs, Error, Failure, Fault, FsOp, GroupId, MemFs, Seeded};

use crate::model::{self, Change, Model, entry};

fn changes(index: u64) -> Vec<Change> {
    vec![
        Change::Append(1, vec![entry(index, 1, vec![index as u8; 900])]),
        Change::Put(1, b"vote".to_vec(), index.to_le_bytes().to_vec()),
    ]
}

/// Runs with one failure; gives whether it fired.
fn run(op: FsOp, nth: u64, failure: Failure) -> bool {
    let memory = MemFs::new();
    let options = model::options();
    let fs = ErrFs::over_memory(memory.clone());
    fs.inject(Fault::nth(op, nth, failure));
    let context = format!("{failure:?} at {op:?} number {nth}");
    let mut states = vec![Model::default()];
    let mut acknowledged = 0;
    if let Ok((mut wal, _)) = model::open(&fs, &options) {
        let mut index = 1;
        let mut refusals = 0;
        while index <= 80 && refusals < 3 {
            let changes = changes(index);
            let mut model = states.last().unwrap().clone();
            changes.iter().for_each(|change| model.apply(change));
            match model::write(&mut wal, &changes, Durability::Synced) {
                Ok(()) => {
                    states.push(model);
                    acknowledged = states.len() - 1;
                    index += 1;
                }
                // Nothing was written: the same write again must do.
                Err(Error::DiskFull) => refusals += 1,
                Err(error) => {
                    // It may or may not be there; the log is closed.
                    states.push(model);
                    if !matches!(error, Error::Io { .. } | Error::Poisoned) {
                        panic!("{error}: {context}");
                    }
                    if matches!(failure, Failure::Interrupted | Failure::Short) {
                        panic!("{error}: {context} is no failure");
                    }
                    break;
                }
            }
            if index.is_multiple_of(9) {
                let _ = wal.purge();
            }
        }
        assert!(refusals < 3, "a single refusal passes: {context}");
    } else if matches!(failure, Failure::Interrupted | Failure::Short) && op != FsOp::SyncData {
        panic!("{context} is no failure");
    }
    for seed in 0..3 {
        let crashed = memory.crash(&mut Seeded::new(seed));
        let (wal, report) =
            model::open(&crashed, &options).unwrap_or_else(|error| panic!("{error}: {context}"));
        let found = (acknowledged..states.len()).find(|at| states[*at].compare(&wal).is_ok());
        let ambiguous = report.faulty.iter().any(|faulty| !faulty.durable);
        assert!(found.is_some() || ambiguous, "acknowledged writes are missing: {context}");
    }
    fs.fired() > 0
}

#[test]
fn each_operation_fails_once() {
    let mut runs = 0;
    let kinds = [
        (FsOp::Write, Failure::Io),
        (FsOp::Write, Failure::Torn),
        (FsOp::Write, Failure::NoSpace),
        (FsOp::Write, Failure::Short),
        (FsOp::Write, Failure::Interrupted),
        (FsOp::SyncData, Failure::Io),
        (FsOp::SyncData, Failure::NoSpace),
        (FsOp::SyncDir, Failure::Io),
        (FsOp::Create, Failure::NoSpace),
        (FsOp::Rename, Failure::Io),
        (FsOp::Remove, Failure::Io),
        (FsOp::Resize, Failure::Io),
        (FsOp::Read, Failure::Short),
        (FsOp::Read, Failure::Interrupted),
    ];
    for (op, failure) in kinds {
        for nth in 0..400 {
            runs += 1;
            if !run(op, nth, failure) {
                break;
            }
        }
    }
    println!("T4: {runs} runs with one failure each");
    assert!(runs > 300, "{runs}");
}

/// cockroach 32631: a full disk must neither lose the log nor need a restart.
#[test]
fn a_full_disk_is_survived_without_a_restart() {
    let fs = MemFs::new();
    let options = model::options();
    let mut wal = model::open(&fs, &options).unwrap().0;
    fs.set_capacity(Some(6 * options.segment_bytes));
    let mut model = Model::default();
    let mut index = 1;
    loop {
        let changes = changes(index);
        match model::write(&mut wal, &changes, Durability::Synced) {
            Ok(()) => changes.iter().for_each(|change| model.apply(change)),
            Err(Error::DiskFull) => break,
            Err(error) => panic!("{error}"),
        }
        index += 1;
    }
    assert!(index > 50, "{index}");
    model.compare(&wal).unwrap();
    assert!(matches!(
        model::write(&mut wal, &changes(index), Durability::Synced),
        Err(Error::DiskFull)
    ));
    // What frees space still works, from the reserve.
    for change in [Change::Put(1, b"vote".to_vec(), b"new".to_vec()), Change::Compact(1, index - 1)]
    {
        model::write(&mut wal, std::slice::from_ref(&change), Durability::Synced).unwrap();
        model.apply(&change);
    }
    assert!(wal.purge().unwrap().freed > 0);
    for _ in 0..30 {
        let changes = changes(index);
        model::write(&mut wal, &changes, Durability::Synced).unwrap();
        changes.iter().for_each(|change| model.apply(change));
        index += 1;
    }
    model.compare(&wal).unwrap();
    drop(wal);
    let (wal, report) = model::open(&fs, &options).unwrap();
    assert!(report.is_clean());
    model.compare(&wal).unwrap();
    assert_eq!(wal.last_index(GroupId(1)), Some(index - 1));
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let memory = MemFs::new();
    let fs = ErrFs::over_memory(memory.clone());
    let mut wal = model::open(&fs, &model::options()).unwrap().0;
    model::write(&mut wal, &changes(1), Durability::Synced).unwrap();
    model::write(&mut wal, &changes(2), Durability::Deferred).unwrap();
    fs.inject(Fault::nth(FsOp::SyncData, 0, Failure::Io));
    assert!(matches!(wal.sync(), Err(Error::Io { .. })));
    fs.heal();
    let before = memory.operations();
    assert!(matches!(wal.sync(), Err(Error::Poisoned)));
    assert!(matches!(wal.mark(), Err(Error::Poisoned)));
    assert!(matches!(wal.purge(), Err(Error::Poisoned) | Ok(_)));
    assert!(matches!(
        model::write(&mut wal, &changes(3), Durability::Synced),
        Err(Error::Poisoned)
    ));
    assert_eq!(memory.operations(), before, "the disk is left alone");
}
