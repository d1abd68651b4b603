//! The disk of a store: files in memory that lose power, fail, fill up and rot.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rand::RngExt;
use rand::rngs::SmallRng;
use wal::{Damage, ErrFs, Failure, Fault, Fs, FsOp, MemFs, OpenMode, Seeded};

/// What disks lose at once.
const SECTOR_BYTES: u64 = 512;

/// A disk. What its user holds becomes useless with [`Disk::crash`].
#[derive(Debug)]
pub struct Disk {
    memory: MemFs,
    failing: ErrFs,
    /// The count of changing operations at which the power fails.
    power_fails_at: Rc<Cell<Option<u64>>>,
}

/// A file that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rot {
    /// The file.
    pub path: PathBuf,
    /// What was in it.
    before: Vec<u8>,
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Disk {
        Disk::over(MemFs::new())
    }

    fn over(memory: MemFs) -> Disk {
        Disk { failing: ErrFs::over_memory(memory.clone()), memory, power_fails_at: Rc::default() }
    }

    /// The file system for whoever runs on this disk until the next crash.
    #[must_use]
    pub fn fs(&self) -> ErrFs {
        self.failing.clone()
    }

    /// Lets the power fail in the middle of the work to come: after so many more operations.
    pub fn fail_power_after(&mut self, operations: u64) {
        let at = self.memory.operations() + operations;
        self.memory.set_crash_after(at);
        self.power_fails_at.set(Some(at));
    }

    /// Lets the power fail so many operations after this thread leaves a mark, if it does before
    /// [`mark::disarm`].
    pub fn fail_power_at(&self, mark: &'static str, operations: u64) {
        let (memory, fails_at) = (self.memory.clone(), Rc::clone(&self.power_fails_at));
        mark::arm(mark, move || {
            let at = memory.operations() + operations;
            memory.set_crash_after(at);
            fails_at.set(Some(at));
        });
    }

    /// Whether the power failed in the middle of work.
    #[must_use]
    pub fn power_failed(&self) -> bool {
        self.power_fails_at.get().is_some_and(|at| self.memory.operations() >= at)
    }

    /// The power comes back after failing now: what was not synced is there, lost or torn, as the
    /// seed decides.
    pub fn crash(&mut self, seed: u64) {
        *self = Disk::over(self.memory.crash(&mut Seeded::new(seed)));
    }

    /// A new, empty disk.
    pub fn wipe(&mut self) {
        *self = Disk::new();
    }

    /// Lets one operation of a kind fail, after some that succeed.
    pub fn fail_once(&mut self, op: FsOp, after: u64, failure: Failure) {
        self.failing.inject(Fault::nth(op, after, failure));
    }

    /// Leaves room for so many bytes more; none: for any number.
    pub fn fill(&mut self, room: Option<u64>) {
        self.memory.set_capacity(room.map(|room| self.memory.used() + room));
    }

    /// Ends the faults that last.
    pub fn heal(&mut self) {
        self.failing.heal();
        self.fill(None);
    }

    /// Flips bits of a file in a folder (and not in folders below), or empties sectors of it, while
    /// nobody uses the disk. None if there is nothing to damage.
    ///
    /// # Errors
    /// Those of the files.
    pub fn rot(&mut self, rng: &mut SmallRng, folder: &Path) -> io::Result<Option<Rot>> {
        if !self.memory.exists(folder)? {
            return Ok(None);
        }
        let mut files = Vec::new();
        for name in self.memory.list(folder)? {
            let path = folder.join(name);
            if let Ok(file) = self.memory.open(&path, OpenMode::Read)
                && !file.is_empty()?
            {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Ok(None);
        }
        let path = files.swap_remove(rng.random_range(0..files.len()));
        let file = self.memory.open(&path, OpenMode::Read)?;
        let mut before = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_exact_at(&mut before, 0)?;
        // Much of a file is still empty, and nobody misses what is there. What was written last is
        // what is needed next.
        let written: Vec<usize> = (0..before.len()).filter(|at| before[*at] != 0).collect();
        let recent = [written.len(), 2_000, 500][rng.random_range(0..3)].min(written.len());
        let sectors = rng.random_bool(0.5);
        for _ in 0..rng.random_range(1..=3) {
            let at = match recent > 0 && rng.random_bool(0.9) {
                true => written[written.len() - 1 - rng.random_range(0..recent)],
                false => rng.random_range(0..before.len()),
            } as u64;
            let damage = match sectors {
                true => Damage::ZeroSector(at / SECTOR_BYTES),
                false => Damage::FlipBit { offset: at, bit: rng.random_range(0..8) },
            };
            damage.apply(&self.memory, &path)?;
        }
        Ok(Some(Rot { path, before }))
    }

    /// All is as it was before it rotted.
    ///
    /// # Errors
    /// Those of the file.
    pub fn undo(&self, rot: &Rot) -> io::Result<()> {
        let file = self.memory.open(&rot.path, OpenMode::Write)?;
        file.write_all_at(&rot.before, 0)?;
        file.sync_data()
    }
}

impl Default for Disk {
    fn default() -> Disk {
        Disk::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &Disk, name: &str, sync: bool) -> io::Result<()> {
        let fs = disk.fs();
        let file = fs.open(Path::new(name), OpenMode::CreateNew)?;
        file.write_all_at(&[7; 2000], 0)?;
        if sync {
            file.sync_data()?;
            fs.sync_dir(Path::new(""))?;
        }
        Ok(())
    }

    #[test]
    fn a_crash_keeps_what_was_synced_and_no_more_for_some_seed() {
        let mut lost = 0;
        for seed in 0..50 {
            let mut disk = Disk::new();
            write(&disk, "synced", true).unwrap();
            write(&disk, "unsynced", false).unwrap();
            disk.crash(seed);
            assert!(disk.fs().exists(Path::new("synced")).unwrap(), "seed {seed}");
            lost += u32::from(!disk.fs().exists(Path::new("unsynced")).unwrap());
        }
        assert!((1..50).contains(&lost), "{lost}");
    }

    #[test]
    fn the_power_fails_in_the_middle() {
        let mut disk = Disk::new();
        disk.fail_power_after(2);
        assert!(!disk.power_failed());
        assert!(write(&disk, "a", true).is_err());
        assert!(disk.power_failed());
        disk.crash(1);
        assert!(!disk.power_failed());
    }

    #[test]
    fn a_full_disk_has_room_again() {
        let mut disk = Disk::new();
        disk.fill(Some(100));
        assert!(write(&disk, "a", false).is_err());
        disk.heal();
        write(&disk, "b", true).unwrap();
    }

    #[test]
    fn rot_changes_a_file() {
        let mut disk = Disk::new();
        let mut rng = crate::random::stream(1, "rot", 0);
        assert_eq!(disk.rot(&mut rng, Path::new("")).unwrap(), None);
        write(&disk, "a", true).unwrap();
        let before = disk.memory.fingerprint();
        let rot = disk.rot(&mut rng, Path::new("")).unwrap().unwrap();
        assert_eq!(rot.path, PathBuf::from("a"));
        assert_ne!(disk.memory.fingerprint(), before);
        disk.undo(&rot).unwrap();
        assert_eq!(disk.memory.fingerprint(), before);
    }
}
