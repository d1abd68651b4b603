//! Which disk each store has: [`Disks`].
//!
//! A store that lost its disk has forgotten what it promised: it would vote twice in one term, and
//! help to elect a leader that lacks what was answered. So each store draws a number when its folder
//! is made, tells it whenever it calls, and remembers those of the others. One that comes with
//! another number is refused; it can come back as a new store.
//!
//! The file `DISKS` has a line for each store, its own first: `STORE NUMBER`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mutant::mutant;
use parking_lot::Mutex;

use crate::HOW_TO_REPLACE;

/// The most stores that are remembered; more are refused.
const STORES_MAX: usize = 1024;

/// What to do about a file that cannot be read.
const DAMAGED: &str = "DISKS is damaged, so nobody can tell whether the folder is the one that the \
     other stores know: restore the file, or replace the store";

/// The disks that were met.
#[derive(Debug)]
pub struct Disks {
    store: u64,
    own: u64,
    /// None: nothing is kept.
    folder: Option<PathBuf>,
    /// Of other stores.
    known: Mutex<BTreeMap<u64, u64>>,
}

impl Disks {
    /// Those that a folder remembers; a new one gets a number.
    ///
    /// # Errors
    /// Those of the system; `InvalidData` if the file is damaged or another store's.
    pub fn open(store: u64, folder: &Path) -> io::Result<Disks> {
        let text = match fs::read_to_string(folder.join("DISKS")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let disks = Disks { folder: Some(folder.to_owned()), ..Disks::forgetful(store) };
                disks.save(&BTreeMap::new())?;
                return Ok(disks);
            }
            result => result?,
        };
        let wrong =
            || io::Error::new(io::ErrorKind::InvalidData, format!("{DAMAGED}. {HOW_TO_REPLACE}"));
        let line = |line: &str| -> Option<(u64, u64)> {
            let (store, disk) = line.split_once(' ')?;
            Some((store.parse().ok()?, disk.parse().ok()?))
        };
        let lines: Vec<(u64, u64)> =
            text.lines().map(line).collect::<Option<_>>().ok_or_else(wrong)?;
        let (first, others) = lines.split_first().ok_or_else(wrong)?;
        if first.0 != store {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "DISKS belongs to store {}, not {store}: compare --path and --store-id",
                    first.0
                ),
            ));
        }
        let known = Mutex::new(others.iter().copied().collect());
        Ok(Disks { store, own: first.1, folder: Some(folder.to_owned()), known })
    }

    /// Remembers nothing beyond this process.
    #[must_use]
    pub fn forgetful(store: u64) -> Disks {
        // 0 means that there is none.
        let own = rand::random::<u64>().max(1);
        Disks { store, own, folder: None, known: Mutex::default() }
    }

    /// The number of this store's.
    #[must_use]
    pub fn own(&self) -> u64 {
        self.own
    }

    /// Whether this store has met others, and so may have promised them something.
    #[must_use]
    pub fn has_met(&self) -> bool {
        !self.known.lock().is_empty()
    }

    /// Checks the disk of a store that calls or answers, and remembers it. The error is for people.
    pub(super) fn check(&self, store: u64, disk: u64) -> Result<(), String> {
        let mut known = self.known.lock();
        match known.get(&store) {
            // Of an older version.
            _ if disk == 0 => Ok(()),
            Some(before) if *before == disk || mutant!("lost-disk-unnoticed") => Ok(()),
            Some(_) => Err(format!(
                "store {store} has lost the disk that it had, and so what it promised: remove it \
                 from its regions, and start it with a new --store-id and --join"
            )),
            None if known.len() >= STORES_MAX => Err("too many stores have called".to_owned()),
            None => {
                let mut more = known.clone();
                more.insert(store, disk);
                self.save(&more).map_err(|error| format!("DISKS cannot be written: {error}"))?;
                *known = more;
                Ok(())
            }
        }
    }

    /// Writes the file anew.
    fn save(&self, known: &BTreeMap<u64, u64>) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let next = folder.join("DISKS.new");
        let mut file = File::create(&next)?;
        for (store, disk) in [(&self.store, &self.own)].into_iter().chain(known) {
            writeln!(file, "{store} {disk}")?;
        }
        file.sync_all()?;
        fs::rename(&next, folder.join("DISKS"))?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_known_again_and_another_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let disks = Disks::open(1, folder.path()).unwrap();
        assert!(!disks.has_met());
        assert_eq!(disks.check(2, 22), Ok(()));
        assert_eq!(disks.check(3, 0), Ok(()));
        assert!(disks.has_met());
        let again = Disks::open(1, folder.path()).unwrap();
        assert_eq!(again.own(), disks.own());
        assert_eq!(again.check(2, 22), Ok(()));
        assert!(again.check(2, 23).unwrap_err().contains("has lost the disk"));
        assert_eq!(again.check(3, 33), Ok(()));
    }

    #[test]
    fn the_file_of_another_store_and_a_damaged_one_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(Disks::open(1, folder.path()).unwrap());
        assert!(Disks::open(2, folder.path()).unwrap_err().to_string().contains("store 1, not 2"));
        for text in ["", "1", "1 x\n", "1 1\n2\n"] {
            fs::write(folder.path().join("DISKS"), text).unwrap();
            assert!(Disks::open(1, folder.path()).is_err(), "{text:?}");
        }
    }
}
