//! One fault of a file at rest, at every place: never wrong data, never silently missing data.
//!
//! The store was closed, or its process was killed, and every write was acknowledged as durable. Then
//! each sector of each file gets
//! each damage: flipped bits (`FAULT_BITS` a sector, places from `SEED`), zeros, each older content,
//! the content of another sector, an end of the file there, a failing read; and each file goes
//! missing, and is found twice. What may come of it:
//!
//! - the right data;
//! - an error that names the damaged file, from `open` or from the reads that need the place, while
//!   all other keys are right;
//! - for the last writes of the newest segment only, and only if *each* of them is damaged itself:
//!   they are cut, the store is as it was before them. Nothing on the disk can tell such a damage
//!   from a write that the power loss tore, which has to be cut. A write whose own bytes are
//!   whole is never cut.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tinykv_engine::bitcask;
use tinykv_engine::{Cf, Direction, Engine, Error, Range};
use wal::{Damage, ErrFs, Failure, Fault, Fs, FsOp, MemFs, OpenMode};

use crate::script::{Recording, Script, Step};
use crate::store::{Content, FOLDER, delete, file_of, open, put, setting, small};

const SECTOR: u64 = 512;

/// Sealed segments with and without dead data, a merged one, hints, and a newest segment in which
/// writes share sectors, span sectors, and end in the middle of one.
fn script() -> Script {
    let mut steps = Vec::new();
    let mut always = |batch| steps.push(Step::Write(batch, tinykv_engine::Durability::Always));
    for round in 0..6_u8 {
        always(put(format!("key {round}"), vec![b'a' + round; 900]));
        always(put("shared", vec![b'A' + round; 300]));
    }
    always(delete("key 1"));
    steps.push(Step::Merge);
    let mut always = |batch| steps.push(Step::Write(batch, tinykv_engine::Durability::Always));
    for round in 0..4_u8 {
        always(put(format!("new {round}"), vec![b'k' + round; 1000]));
        always(delete(format!("key {}", round + 2)));
    }
    steps.push(Step::Maintain);
    let mut always = |batch| steps.push(Step::Write(batch, tinykv_engine::Durability::Always));
    for round in 0..8_u8 {
        always(put(format!("small {round}"), vec![b'0' + round; 30]));
    }
    always(put("spans sectors", vec![b'x'; 700]));
    for round in 8..12_u8 {
        always(put(format!("small {round}"), vec![b'0' + round; 40]));
    }
    Script { name: "faults", steps }
}

/// The store, and what is known about its bytes.
struct Target {
    closed: bool,
    fs: MemFs,
    contents: Vec<Content>,
    /// Where the frames of the last writes stand: number of the write, file, bytes.
    extents: Vec<(usize, PathBuf, std::ops::Range<u64>)>,
    /// What each sector held before.
    older: BTreeMap<(PathBuf, u64), Vec<Vec<u8>>>,
}

fn read_file(fs: &dyn Fs, path: &Path) -> Vec<u8> {
    let file = fs.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// The file and the bytes of a recorded write.
fn written(what: &str) -> Option<(PathBuf, std::ops::Range<u64>)> {
    let (path, place) = what.strip_prefix("write ")?.rsplit_once(" at ")?;
    let (offset, len) = place.split_once('+')?;
    let offset: u64 = offset.parse().ok()?;
    Some((path.into(), offset..offset + len.parse::<u64>().ok()?))
}

impl Target {
    /// Both ways in which a store may end.
    fn both() -> [Target; 2] {
        [true, false].map(Target::new)
    }

    fn new(closed: bool) -> Target {
        let script = script();
        let recording = Recording::new(&script);
        let end = recording.promise(u64::MAX).operations;
        let killed = recording.points.iter().rfind(|point| point.operations <= end);
        let fs =
            if closed { recording.fs.fork() } else { killed.expect("there is a first point").fs() };
        let mut extents = Vec::new();
        let mut older: BTreeMap<(PathBuf, u64), Vec<Vec<u8>>> = BTreeMap::new();
        for pair in recording.points.windows(2) {
            if let Some(path) = pair[1].what.rsplit_once(" to ").map(|(_, path)| path) {
                // A new file took the name: what the old one held is not under it any more.
                older.retain(|(other, _), _| other != Path::new(path));
            }
            let Some((path, bytes)) = written(&pair[1].what) else { continue };
            let before = read_file(&pair[0].fs(), &path);
            for sector in bytes.start / SECTOR..bytes.end.div_ceil(SECTOR) {
                let start = before.len().min((sector * SECTOR) as usize);
                let end = before.len().min(start + SECTOR as usize);
                let versions = older.entry((path.clone(), sector)).or_default();
                versions.push(before[start..end].to_vec());
                versions.dedup();
            }
            if pair[1].operations > end && !closed {
                break;
            }
            let promise = recording.promise(pair[1].operations - 1);
            if promise.begun > promise.durable {
                extents.push((promise.begun, path, bytes));
            }
        }
        Target { closed, fs, contents: script.contents(), extents, older }
    }

    fn content(&self) -> &Content {
        self.contents.last().expect("the empty one at least")
    }

    fn files(&self) -> Vec<PathBuf> {
        let names = self.fs.list(Path::new(FOLDER)).unwrap();
        names.into_iter().map(|name| Path::new(FOLDER).join(name)).collect()
    }

    /// Whether a damage of these bytes may cut the store back to so many writes.
    fn may_cut(&self, to: usize, path: &Path, damaged: &std::ops::Range<u64>) -> bool {
        (to + 1..self.contents.len()).all(|write| {
            self.extents.iter().any(|(number, file, bytes)| {
                *number == write
                    && file == path
                    && bytes.start < damaged.end
                    && damaged.start < bytes.end
            })
        })
    }
}

/// How the cases ended.
#[derive(Debug, Default)]
struct Outcomes {
    cases: usize,
    right: usize,
    refused: usize,
    partly_refused: usize,
    cut: usize,
}

/// A damage, and what it may do.
struct Case<'a> {
    target: &'a Target,
    what: String,
    path: &'a Path,
    /// The damaged bytes, where a cut is allowed at all.
    damaged: Option<std::ops::Range<u64>>,
    /// Whether the error may name another file of the folder: a missing one is noticed elsewhere.
    any_file: bool,
}

impl Case<'_> {
    fn check_error(&self, error: &Error) {
        let file = file_of(error);
        let typed = match error {
            Error::Corrupt { .. } | Error::Io { .. } => true,
            Error::Format { .. } => self.path.ends_with("FORMAT"),
            _ => false,
        };
        assert!(typed, "{}: {error}", self.what);
        if let (Some(file), false) = (&file, self.any_file) {
            assert_eq!(file, self.path, "{}: {error}", self.what);
        }
    }

    /// Looks at all keys. The answer is the content if nothing failed; wrong answers are panics.
    fn look(&self, engine: &dyn Engine) -> Option<Content> {
        let wanted = self.target.content();
        match Content::read(engine) {
            Ok(content) => return Some(content),
            Err(error) => self.check_error(&error),
        }
        for (cf, key, value) in wanted.iter() {
            match engine.get(cf, key) {
                Ok(found) => assert_eq!(found.as_deref(), Some(value), "{}: {key:?}", self.what),
                Err(error) => self.check_error(&error),
            }
        }
        let view = engine.view().unwrap();
        let keys: Vec<_> = view
            .keys(Cf::Default, Range::all(), Direction::Forward)
            .map(|key| key.unwrap().to_vec())
            .collect();
        let all: Vec<_> = wanted.iter().map(|(_, key, _)| key.to_vec()).collect();
        assert_eq!(keys, all, "{}", self.what);
        for pair in view.iter(Cf::Default, Range::all(), Direction::Forward) {
            match pair {
                Ok((key, value)) => {
                    assert_eq!(wanted.get(Cf::Default, &key), Some(&value[..]), "{}", self.what);
                }
                Err(error) => self.check_error(&error),
            }
        }
        None
    }

    fn run(&self, fs: Arc<dyn Fs>, outcomes: &mut Outcomes) {
        let before = (outcomes.refused, outcomes.partly_refused);
        let sound = bitcask::check(Arc::clone(&fs), FOLDER).is_ok_and(|report| report.is_sound());
        outcomes.cases += 1;
        if outcomes.cases % 16 == 1 {
            self.salvage(Arc::clone(&fs));
        }
        self.run_open(fs, outcomes);
        let refused = before != (outcomes.refused, outcomes.partly_refused);
        assert!(!(sound && refused), "{}: `check` finds nothing", self.what);
    }

    /// Rescues into another folder: what comes out was written once, and little is lost.
    fn salvage(&self, fs: Arc<dyn Fs>) {
        if let Err(error) = bitcask::salvage(Arc::clone(&fs), FOLDER, "rescued") {
            self.check_error(&error);
            let expected = matches!(error, Error::Io { .. }) || self.path.ends_with("FORMAT");
            assert!(expected, "{}: salvage: {error}", self.what);
            return;
        }
        let engine = bitcask::open(fs, "rescued", small()).unwrap();
        let rescued = Content::read(&engine).unwrap();
        for (cf, key, value) in rescued.iter() {
            let once =
                self.target.contents.iter().any(|content| content.get(cf, key) == Some(value));
            assert!(once, "{}: salvage makes up {key:?}", self.what);
        }
        let wanted = self.target.content();
        let lost =
            wanted.iter().filter(|(cf, key, value)| rescued.get(*cf, key) != Some(value)).count();
        let few = self.damaged.as_ref().is_none_or(|damaged| damaged.end == u64::MAX) || lost <= 8;
        assert!(few, "{}: salvage loses {lost} keys", self.what);
    }

    fn run_open(&self, fs: Arc<dyn Fs>, outcomes: &mut Outcomes) {
        let engine = match open(fs) {
            Ok(engine) => engine,
            Err(error) => {
                self.check_error(&error);
                outcomes.refused += 1;
                return;
            }
        };
        let Some(content) = self.look(&engine) else {
            outcomes.partly_refused += 1;
            // A merge must not lose what it cannot read.
            if let Err(error) = engine.merge() {
                self.check_error(&error);
            }
            assert_eq!(self.look(&engine), None, "{}: after a merge", self.what);
            return;
        };
        if content == *self.target.content() {
            outcomes.right += 1;
            // Nobody has read every byte: a merge must not believe what a read would not.
            if let Err(error) = engine.merge() {
                self.check_error(&error);
            }
            let after = self.look(&engine);
            assert_eq!(after.as_ref(), Some(self.target.content()), "{}: merged", self.what);
            return;
        }
        let to = self.target.contents.iter().rposition(|earlier| *earlier == content);
        let to = to.unwrap_or_else(|| panic!("{}: made up: {content:?}", self.what));
        let allowed = self
            .damaged
            .as_ref()
            .is_some_and(|damaged| self.target.may_cut(to, self.path, damaged));
        let all = self.target.contents.len() - 1;
        assert!(allowed, "{}: silently cut from {all} to {to} writes", self.what);
        outcomes.cut += 1;
    }

    fn run_damage(&self, damage: &Damage, outcomes: &mut Outcomes) {
        let fs = self.target.fs.fork();
        if damage.apply(&fs, self.path).unwrap() {
            self.run(Arc::new(fs), outcomes);
        }
    }
}

/// Numbers that look random (a linear congruential generator; Knuth, MMIX).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

fn sector_damages(target: &Target, path: &Path, sector: u64, seed: u64) -> Vec<Damage> {
    let len = read_file(&target.fs, path).len() as u64;
    let here = (len - sector * SECTOR).min(SECTOR);
    let mut state = seed.wrapping_add(sector);
    let mut damages = vec![Damage::ZeroSector(sector)];
    for _ in 0..setting("FAULT_BITS", 12) {
        let offset = sector * SECTOR + random(&mut state) % here;
        damages.push(Damage::FlipBit { offset, bit: (random(&mut state) % 8) as u8 });
    }
    for old in target.older.get(&(path.to_owned(), sector)).into_iter().flatten() {
        damages.push(Damage::StaleSector { sector, old: old.clone() });
    }
    for from in 0..len.div_ceil(SECTOR) {
        if from != sector && from.abs_diff(sector) <= 3 {
            damages.push(Damage::Misdirected { from, to: sector });
        }
    }
    damages.push(Damage::Truncated(sector * SECTOR));
    damages.push(Damage::Truncated(sector * SECTOR + random(&mut state) % here));
    damages
}

/// The bytes that a damage changes.
fn damaged(damage: &Damage) -> std::ops::Range<u64> {
    match damage {
        Damage::FlipBit { offset, .. } => *offset..offset + 1,
        Damage::ZeroSector(sector)
        | Damage::StaleSector { sector, .. }
        | Damage::Misdirected { to: sector, .. } => sector * SECTOR..(sector + 1) * SECTOR,
        Damage::Truncated(len) => *len..u64::MAX,
        Damage::Missing | Damage::Duplicate(_) => 0..0,
    }
}

fn every_sector_and_every_damage_of(target: &Target) {
    let seed = setting("SEED", 1);
    for path in target.files() {
        let mut outcomes = Outcomes::default();
        let sectors = (read_file(&target.fs, &path).len() as u64).div_ceil(SECTOR);
        for sector in 0..sectors {
            for damage in sector_damages(target, &path, sector, seed) {
                let case = Case {
                    target,
                    what: format!("{}: {damage:?} (SEED={seed})", path.display()),
                    path: &path,
                    damaged: Some(damaged(&damage)),
                    any_file: false,
                };
                case.run_damage(&damage, &mut outcomes);
            }
        }
        println!("{}: {sectors} sectors, {outcomes:?}", path.display());
    }
}

#[test]
fn every_sector_and_every_damage() {
    for target in Target::both() {
        println!("closed: {}", target.closed);
        every_sector_and_every_damage_of(&target);
    }
}

fn missing_files_of(target: &Target) {
    let mut outcomes = Outcomes::default();
    for path in target.files() {
        let case = Case {
            target,
            what: format!("{} is missing", path.display()),
            path: &path,
            damaged: None,
            any_file: true,
        };
        case.run_damage(&Damage::Missing, &mut outcomes);
    }
    println!("{outcomes:?}");
}

#[test]
fn missing_files() {
    for target in Target::both() {
        println!("closed: {}", target.closed);
        missing_files_of(&target);
    }
}

fn files_found_twice_of(target: &Target) {
    let mut outcomes = Outcomes::default();
    for path in target.files() {
        let extension = path.extension().map_or("", |extension| extension.to_str().unwrap());
        let copies =
            ["00000000", "00000099", "1", "copy"].map(|stem| format!("{stem}.{extension}"));
        for copy in copies.iter().map(|name| Path::new(FOLDER).join(name)) {
            let case = Case {
                target,
                what: format!("{} is found again as {}", path.display(), copy.display()),
                path: &path,
                damaged: None,
                any_file: true,
            };
            case.run_damage(&Damage::Duplicate(copy), &mut outcomes);
        }
    }
    // One segment in the place of another.
    for path in target.files() {
        for other in target.files() {
            if path == other || path.extension() != other.extension() {
                continue;
            }
            let case = Case {
                target,
                what: format!("{} holds {}", path.display(), other.display()),
                path: &path,
                damaged: None,
                any_file: true,
            };
            let fs = target.fs.fork();
            Damage::Missing.apply(&fs, &path).unwrap();
            Damage::Duplicate(path.clone()).apply(&fs, &other).unwrap();
            case.run(Arc::new(fs), &mut outcomes);
        }
    }
    println!("{outcomes:?}");
}

#[test]
fn files_found_twice() {
    for target in Target::both() {
        println!("closed: {}", target.closed);
        files_found_twice_of(&target);
    }
}

fn unreadable_sectors_of(target: &Target) {
    for path in target.files() {
        let mut outcomes = Outcomes::default();
        let sectors = (read_file(&target.fs, &path).len() as u64).div_ceil(SECTOR);
        for sector in 0..sectors {
            let fs = ErrFs::over_memory(target.fs.fork());
            let bytes = sector * SECTOR..(sector + 1) * SECTOR;
            let fault = Fault::sticky(FsOp::Read, Failure::Io).touching(bytes);
            fs.inject(fault.at(path.to_str().unwrap()));
            let case = Case {
                target,
                what: format!("{}: sector {sector} cannot be read", path.display()),
                path: &path,
                damaged: None,
                any_file: false,
            };
            case.run(Arc::new(fs), &mut outcomes);
        }
        println!("{}: {sectors} sectors, {outcomes:?}", path.display());
    }
}

#[test]
fn unreadable_sectors() {
    for target in Target::both() {
        println!("closed: {}", target.closed);
        unreadable_sectors_of(&target);
    }
}
