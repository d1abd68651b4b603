//! What happens to files while nobody looks: [`Damage`].

use std::io;
use std::path::{Path, PathBuf};

use super::{File, Fs, OpenMode};

/// The unit in which disks lose, misplace and keep bytes.
const SECTOR: u64 = 512;

/// One fault of a file at rest. Sectors are counted from 0, 512 bytes each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Another value of one bit.
    FlipBit {
        /// The byte in the file.
        offset: u64,
        /// The bit, 0 to 7.
        bit: u8,
    },
    /// A sector of zeros.
    ZeroSector(u64),
    /// A sector as it was before its last writes: they never reached the disk.
    StaleSector {
        /// The sector.
        sector: u64,
        /// What it held, at most 512 bytes.
        old: Vec<u8>,
    },
    /// A write that went to the wrong place: sector `to` holds what is in sector `from`.
    Misdirected {
        /// Where the bytes are right.
        from: u64,
        /// Where they are not.
        to: u64,
    },
    /// A file without its end.
    Truncated(u64),
    /// No file.
    Missing,
    /// The same file under a second name.
    Duplicate(PathBuf),
}

impl Damage {
    /// Does it to a closed file, durably. The answer is whether the bytes of the file, or the
    /// names in its folder, are different now.
    ///
    /// # Errors
    /// Where the file does not have the sector, or the file system fails.
    pub fn apply(&self, fs: &dyn Fs, path: &Path) -> io::Result<bool> {
        let folder = path.parent().unwrap_or(Path::new(""));
        match self {
            Damage::Missing => {
                fs.remove(path)?;
                fs.sync_dir(folder)?;
                return Ok(true);
            }
            Damage::Duplicate(copy) => {
                let bytes = read(&*fs.open(path, OpenMode::Read)?, 0, u64::MAX)?;
                write(&*fs.open(copy, OpenMode::CreateNew)?, 0, &bytes)?;
                fs.sync_dir(copy.parent().unwrap_or(Path::new("")))?;
                return Ok(true);
            }
            _ => {}
        }
        let file = fs.open(path, OpenMode::Write)?;
        let (offset, bytes) = match self {
            Damage::FlipBit { offset, bit } => {
                let mut byte = read(&*file, *offset, 1)?;
                byte[0] ^= 1 << bit;
                (*offset, byte)
            }
            Damage::ZeroSector(sector) => {
                let len = read(&*file, sector * SECTOR, SECTOR)?.len();
                (sector * SECTOR, vec![0; len])
            }
            Damage::StaleSector { sector, old } => {
                let mut bytes = read(&*file, sector * SECTOR, SECTOR)?;
                let len = bytes.len().min(old.len());
                bytes.fill(0);
                bytes[..len].copy_from_slice(&old[..len]);
                (sector * SECTOR, bytes)
            }
            Damage::Misdirected { from, to } => {
                let mut bytes = read(&*file, from * SECTOR, SECTOR)?;
                bytes.resize(read(&*file, to * SECTOR, SECTOR)?.len(), 0);
                (to * SECTOR, bytes)
            }
            Damage::Truncated(len) => {
                let changed = *len != file.len()?;
                file.set_len(*len)?;
                file.sync_data()?;
                return Ok(changed);
            }
            Damage::Missing | Damage::Duplicate(_) => unreachable!("handled above"),
        };
        let changed = read(&*file, offset, bytes.len() as u64)? != bytes;
        write(&*file, offset, &bytes)?;
        Ok(changed)
    }
}

/// At most `len` bytes, and at least one unless the file is wanted from its start.
fn read(file: &dyn File, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let rest = file.len()?.saturating_sub(offset);
    if rest == 0 && offset > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let len = usize::try_from(rest.min(len)).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn write(file: &dyn File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, offset)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemFs;

    /// A byte for each sector after the damage, and whether it told of a change.
    fn after(damage: &Damage) -> (Vec<u8>, bool) {
        let fs = MemFs::new();
        let path = Path::new("a");
        let file = fs.open(path, OpenMode::CreateNew).unwrap();
        for (sector, byte) in [1, 2, 3].into_iter().enumerate() {
            file.write_all_at(&[byte; 512], sector as u64 * SECTOR).unwrap();
        }
        file.write_all_at(&[4; 10], 3 * SECTOR).unwrap();
        file.sync_data().unwrap();
        fs.sync_dir(Path::new("")).unwrap();
        let changed = damage.apply(&fs, path).unwrap();
        assert!(fs.is_durable());
        let bytes = read(&*file, 0, u64::MAX).unwrap();
        (bytes.chunks(512).map(|sector| sector[sector.len() - 1]).collect(), changed)
    }

    #[test]
    fn each_damage_does_what_it_says() {
        assert_eq!(after(&Damage::FlipBit { offset: 511, bit: 7 }), (vec![129, 2, 3, 4], true));
        assert_eq!(after(&Damage::ZeroSector(1)), (vec![1, 0, 3, 4], true));
        assert_eq!(after(&Damage::ZeroSector(3)), (vec![1, 2, 3, 0], true));
        let stale = Damage::StaleSector { sector: 2, old: vec![9; 512] };
        assert_eq!(after(&stale), (vec![1, 2, 9, 4], true));
        let same = Damage::StaleSector { sector: 2, old: vec![3; 512] };
        assert_eq!(after(&same), (vec![1, 2, 3, 4], false));
        assert_eq!(after(&Damage::Misdirected { from: 0, to: 2 }), (vec![1, 2, 1, 4], true));
        assert_eq!(after(&Damage::Misdirected { from: 3, to: 0 }), (vec![0, 2, 3, 4], true));
        assert_eq!(after(&Damage::Truncated(600)), (vec![1, 2], true));
        assert_eq!(after(&Damage::Truncated(1546)), (vec![1, 2, 3, 4], false));
    }

    #[test]
    fn files_vanish_and_multiply() {
        let fs = MemFs::new();
        fs.open(Path::new("a"), OpenMode::CreateNew).unwrap().write_all_at(b"abc", 0).unwrap();
        Damage::Duplicate("b".into()).apply(&fs, Path::new("a")).unwrap();
        Damage::Missing.apply(&fs, Path::new("a")).unwrap();
        assert_eq!(fs.list(Path::new("")).unwrap(), [PathBuf::from("b")]);
        assert_eq!(fs.open(Path::new("b"), OpenMode::Read).unwrap().len().unwrap(), 3);
        assert!(fs.is_durable());
    }
}
