//! T3: every sector and every page of a small log, with each kind of damage: what was acknowledged is
//! there, or is named as damaged, or the log refuses to open and says why. Never silently less, never
//! wrong.
//!
//! The mark at the end of the log protects its last block; the mark itself is empty.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tinykv_wal::{
    Damage, Durability, ErrFs, Error, Failure, Fault, Fs, FsOp, GroupId, LogBatch, MemFs, OpenMode,
    Options, RawEntry, TailPolicy, Wal,
};

use crate::model::{self, Change, DIR, Model, entry};

/// A log with two sealed segments and an unsealed one, closed with a mark.
pub(crate) fn build(options: &Options) -> (MemFs, Model) {
    let fs = MemFs::new();
    let mut wal = model::open(&fs, options).unwrap().0;
    let mut model = Model::default();
    let mut indexes = [0_u64; 4];
    while wal.metrics().segments < 3 {
        for group in 1..=3_u64 {
            let index = &mut indexes[group as usize];
            *index += 1;
            let data = vec![(*index * 7 + group) as u8; 300 * group as usize];
            let changes = vec![
                Change::Append(group, vec![entry(*index, 1 + *index / 5, data)]),
                Change::Put(group, b"vote".to_vec(), index.to_le_bytes().to_vec()),
            ];
            changes.iter().for_each(|change| model.apply(change));
            model::write(&mut wal, &changes, Durability::Synced).unwrap();
        }
    }
    wal.mark().unwrap();
    drop(wal);
    (fs, model)
}

/// The outcomes, by kind.
#[derive(Debug, Default)]
struct Outcomes {
    states: usize,
    unharmed: usize,
    named: usize,
    refused: usize,
}

/// Opens a damaged log and sorts the outcome; panics where something is silently missing or wrong.
fn judge(
    fs: Arc<dyn Fs>,
    options: &Options,
    model: &Model,
    context: &str,
    outcomes: &mut Outcomes,
) {
    outcomes.states += 1;
    let wal = match Wal::<RawEntry>::open(fs, Path::new(DIR), options.clone()) {
        Ok((wal, _)) => wal,
        // A bad sector or page never takes a block and all knowledge of it; a file may.
        Err(Error::Lost { .. }) if !inside_a_file(context) => {
            outcomes.refused += 1;
            return;
        }
        Err(
            Error::Chain { .. }
            | Error::MissingSegment { .. }
            | Error::DuplicateSegment { .. }
            | Error::WrongSegment { .. }
            | Error::Io { .. },
        ) => {
            outcomes.refused += 1;
            return;
        }
        Err(error) => panic!("{error}: {context}"),
    };
    let mut named = false;
    for (id, group) in &model.groups {
        let id = GroupId(*id);
        let last = group.entries.keys().next_back().copied();
        assert_eq!(wal.last_index(id), last, "{id} is shorter, {context}");
        assert_eq!(wal.keys(id), group.keys.clone().into_iter().collect::<Vec<_>>(), "{context}");
        for (index, wanted) in &group.entries {
            match wal.fetch(id, *index..index + 1, 0) {
                Ok(found) => assert_eq!(&found, std::slice::from_ref(wanted), "{id}, {context}"),
                Err(Error::Faulty { index: at, term, .. }) => {
                    assert_eq!((at, term), (*index, wanted.term), "{context}");
                    named = true;
                }
                Err(error) => panic!("{error}: {context}"),
            }
        }
    }
    if named {
        outcomes.named += 1;
    } else {
        outcomes.unharmed += 1;
    }
}

/// Whether the context tells of damage to one sector or one page.
fn inside_a_file(context: &str) -> bool {
    ["FlipBit", "ZeroSector", "StaleSector", "Misdirected", "unreadable", "page"]
        .iter()
        .any(|name| context.starts_with(name))
}

pub(crate) fn segments(fs: &MemFs) -> Vec<(PathBuf, u64)> {
    let names = fs.list(Path::new(DIR)).unwrap();
    let paths = names.into_iter().map(|name| Path::new(DIR).join(name));
    let segments = paths.filter(|path| path.extension().is_some_and(|end| end == "wal"));
    segments
        .map(|path| {
            let len = fs.open(&path, OpenMode::Read).unwrap().len().unwrap();
            (path, len)
        })
        .collect()
}

/// Each damage of one sector.
fn damages(sector: u64, sectors: u64) -> Vec<Damage> {
    let mut damages = vec![
        Damage::ZeroSector(sector),
        Damage::StaleSector { sector, old: vec![0xa5; 512] },
        Damage::Misdirected { from: (sector + 1) % sectors, to: sector },
        Damage::Misdirected { from: (sector + 8) % sectors, to: sector },
    ];
    for at in [0, 9, 77, 100, 255, 300, 511] {
        damages.push(Damage::FlipBit { offset: sector * 512 + at, bit: (at % 8) as u8 });
    }
    damages
}

#[test]
fn single_faults_of_every_sector() {
    for (block_align, tail) in [(512, TailPolicy::Replicated), (4096, TailPolicy::Single)] {
        let options = Options { block_align, tail, ..model::options() };
        let (fs, model) = build(&options);
        let mut outcomes = Outcomes::default();
        for (path, len) in segments(&fs) {
            for sector in 0..len / 512 {
                for damage in damages(sector, len / 512) {
                    let fs = fs.fork();
                    if damage.apply(&fs, &path).unwrap() {
                        let context = format!("{damage:?} of {}", path.display());
                        judge(Arc::new(fs), &options, &model, &context, &mut outcomes);
                    }
                }
                let bad = ErrFs::over_memory(fs.fork());
                let name = path.file_name().unwrap().to_str().unwrap();
                let fault = Fault::sticky(FsOp::Read, Failure::Io).at(name);
                bad.inject(fault.touching(sector * 512..sector * 512 + 512));
                let context = format!("unreadable sector {sector} of {}", path.display());
                judge(Arc::new(bad), &options, &model, &context, &mut outcomes);
            }
        }
        println!("T3 sectors, alignment {block_align}, {tail:?}: {outcomes:?}");
        assert!(outcomes.unharmed > 0 && outcomes.named > 0, "{outcomes:?}");
    }
}

/// Disks with sectors of 4 KiB lose that much at once.
#[test]
fn single_faults_of_every_page() {
    for block_align in [512, 4096] {
        let options = Options { block_align, ..model::options() };
        let (fs, model) = build(&options);
        let mut outcomes = Outcomes::default();
        for (path, len) in segments(&fs) {
            let pages = len / 4096;
            for page in 0..pages {
                let sectors = page * 8..page * 8 + 8;
                let of = |damage: &dyn Fn(u64) -> Damage| sectors.clone().map(damage).collect();
                let damages: [Vec<Damage>; 3] = [
                    of(&Damage::ZeroSector),
                    of(&|sector| Damage::StaleSector { sector, old: vec![0xa5; 512] }),
                    of(&|to| Damage::Misdirected { from: (to + 8) % (pages * 8), to }),
                ];
                for damages in damages {
                    let fs = fs.fork();
                    let changed = damages.iter().filter(|damage| damage.apply(&fs, &path).unwrap());
                    if changed.count() > 0 {
                        let context =
                            format!("page {page} of {}, {:?}", path.display(), damages[0]);
                        judge(Arc::new(fs), &options, &model, &context, &mut outcomes);
                    }
                }
            }
        }
        println!("T3 pages, alignment {block_align}: {outcomes:?}");
        assert!(outcomes.unharmed > 0 && outcomes.named > 0, "{outcomes:?}");
    }
}

#[test]
fn short_missing_and_duplicate_files() {
    let options = model::options();
    let (fs, model) = build(&options);
    let mut outcomes = Outcomes::default();
    for (path, len) in segments(&fs) {
        let mut damages = vec![Damage::Missing];
        damages.extend((0..len).step_by(512).map(Damage::Truncated));
        let name = path.file_name().unwrap().to_str().unwrap();
        let seq: u32 = name[..10].parse().unwrap();
        for seq in [seq, seq + 1, seq + 7] {
            let copy = format!("{seq:010}-{:016x}.wal", 0xdead);
            damages.push(Damage::Duplicate(Path::new(DIR).join(copy)));
        }
        for damage in damages {
            let fs = fs.fork();
            if damage.apply(&fs, &path).unwrap() {
                let context = format!("{damage:?} of {}", path.display());
                judge(Arc::new(fs), &options, &model, &context, &mut outcomes);
            }
        }
    }
    println!("T3 files: {outcomes:?}");
    assert!(outcomes.refused > 0, "{outcomes:?}");
}

/// With two faults the log may refuse more often, but never gives a wrong entry.
#[test]
fn double_faults_never_give_a_wrong_entry() {
    let options = model::options();
    let (fs, model) = build(&options);
    let sectors: Vec<(PathBuf, u64)> = segments(&fs)
        .into_iter()
        .flat_map(|(path, len)| (0..len / 512).map(move |sector| (path.clone(), sector)))
        .collect();
    let (mut opened, mut refused) = (0, 0);
    for first in (0..sectors.len()).step_by(3) {
        for second in [first + 1, first + 2, first + 9, first * 7 + 3] {
            let fs = fs.fork();
            for at in [first, second % sectors.len()] {
                let (path, sector) = &sectors[at];
                Damage::ZeroSector(*sector).apply(&fs, path).unwrap();
            }
            let Ok((wal, _)) = model::open(&fs, &options) else {
                refused += 1;
                continue;
            };
            opened += 1;
            for (id, group) in &model.groups {
                for (index, wanted) in &group.entries {
                    if let Ok(found) = wal.fetch(GroupId(*id), *index..index + 1, 0) {
                        assert_eq!(
                            &found,
                            std::slice::from_ref(wanted),
                            "sectors {first}, {second}"
                        );
                    }
                }
            }
        }
    }
    println!("T3 double faults: {opened} opened, {refused} refused");
}

/// A damaged entry is put back by its owner, and survives purges as damaged until then.
#[test]
fn damage_stays_named_through_purge_and_is_repaired_by_the_owner() {
    let options = Options { straggler_bytes_max: 1 << 20, ..model::options() };
    let options = Options { compress_bytes_min: None, ..options };
    let (fs, model) = build(&options);
    let wanted = model.groups[&3].entries[&2].clone();
    for (path, len) in segments(&fs) {
        for sector in 8..len / 512 {
            let damaged = fs.fork();
            Damage::ZeroSector(sector).apply(&damaged, &path).unwrap();
            let Ok((wal, _)) = model::open(&damaged, &options) else { continue };
            if matches!(wal.fetch(GroupId(3), 2..3, 0), Err(Error::Faulty { .. })) {
                drop(wal);
                return check_named_and_repaired(&damaged, &options, &wanted);
            }
        }
    }
    panic!("no sector holds the entry");
}

fn check_named_and_repaired(fs: &MemFs, options: &Options, wanted: &RawEntry) {
    let mut wal = model::open(fs, options).unwrap().0;
    let faulty = |wal: &Wal<RawEntry>| {
        matches!(wal.fetch(GroupId(3), 2..3, 0), Err(Error::Faulty { index: 2, .. }))
    };
    assert!(faulty(&wal));
    let mut index = wal.last_index(GroupId(1)).unwrap();
    // Write until purge rewrites the first segment.
    while wal.low_water_mark(GroupId(3)) == Some(1) {
        index += 1;
        let mut batch = LogBatch::new();
        batch.append(GroupId(1), &[entry(index, 9, vec![1; 900])]).unwrap();
        batch.compact_to(GroupId(1), index);
        wal.write(batch, Durability::Synced).unwrap();
        wal.purge().unwrap();
    }
    assert!(faulty(&wal), "still named after it was rewritten");
    drop(wal);
    let mut wal = model::open(fs, options).unwrap().0;
    assert!(faulty(&wal), "and after a restart");
    let last = wal.last_index(GroupId(3));
    let mut batch = LogBatch::new();
    batch.repair(GroupId(3), std::slice::from_ref(wanted)).unwrap();
    wal.write(batch, Durability::Synced).unwrap();
    assert_eq!(wal.fetch(GroupId(3), 2..3, 0).unwrap(), std::slice::from_ref(wanted));
    assert_eq!(wal.last_index(GroupId(3)), last, "what follows is kept");
    drop(wal);
    let wal = model::open(fs, options).unwrap().0;
    assert_eq!(wal.fetch(GroupId(3), 2..3, 0).unwrap(), std::slice::from_ref(wanted));
}
