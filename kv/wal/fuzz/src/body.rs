//! What the fuzzer does with its bytes; a plain test does the same with random ones.
//!
//! Whatever is in the files, recovery must not panic, must not take more memory than the files
//! justify, and what it opens must be readable, writable and open again.

use std::path::Path;
use std::sync::Arc;

use tinykv_wal::{
    Durability, Fs, GroupId, LogBatch, MemFs, OpenMode, Options, RawEntry, Wal, dump, repair,
    verify,
};

const DIR: &str = "log";

fn options() -> Options {
    Options {
        segment_bytes: 16 << 10,
        block_align: 512,
        pool_segments: 1,
        recovery_threads: 1,
        ..Options::default()
    }
}

thread_local! {
    static SAMPLE: MemFs = sample();
}

/// A log of a few blocks.
fn sample() -> MemFs {
    let fs = MemFs::new();
    let (mut wal, _) =
        Wal::<RawEntry>::open(Arc::new(fs.clone()), Path::new(DIR), options()).expect("it is new");
    for index in 1..=6_u64 {
        let mut batch = LogBatch::new();
        let entry = RawEntry { index, term: 1 + index / 3, data: vec![index as u8; 90] };
        batch.append(GroupId(index % 2), &[entry]).unwrap_or_default();
        batch.put(GroupId(2), b"vote".to_vec(), vec![index as u8]);
        // A refused batch (the second group starts with another index) is as good as none.
        let _ = wal.write(batch, Durability::Synced);
    }
    drop(wal);
    fs
}

/// Makes the checksums of the block at `at` fit its bytes again.
fn fix_checksums(bytes: &mut [u8], at: usize) {
    let Some(block) = bytes.get_mut(at..) else { return };
    if block.len() < 80 {
        return;
    }
    let number = |at: usize, block: &[u8]| {
        u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]) as usize
    };
    if let Some(index) = block.get(80..80 + number(44, block).min(1 << 20)) {
        let crc = crc32c::crc32c(index);
        block[48..52].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32c::crc32c(&block[..76]);
    block[76..80].copy_from_slice(&crc.to_le_bytes());
}

/// The first byte says how the rest is used: as a whole file, or as edits (where, what) of a good
/// one, with or without checksums that fit.
pub(crate) fn recover_from(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    let fs = SAMPLE.with(MemFs::fork);
    let names = fs.list(Path::new(DIR)).expect("it was made");
    let Some(name) = names.iter().find(|name| name.extension().is_some_and(|e| e == "wal")) else {
        return;
    };
    let path = Path::new(DIR).join(name);
    let file = fs.open(&path, OpenMode::Write).expect("it was made");
    let mut bytes = vec![0; file.len().expect("it is open") as usize];
    file.read_exact_at(&mut bytes, 0).expect("it is that long");
    if mode % 3 == 0 {
        let len = data.len().min(bytes.len());
        bytes[..len].copy_from_slice(&data[..len]);
    } else {
        for edit in data.chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len();
            bytes[at] = edit[2];
        }
        if mode % 3 == 2 {
            (4096..12288).step_by(512).for_each(|at| fix_checksums(&mut bytes, at));
        }
    }
    file.write_all_at(&bytes, 0).expect("the disk has space");
    drop(file);
    check(&fs);
}

fn check(fs: &MemFs) {
    let fs: Arc<dyn Fs> = Arc::new(fs.clone());
    let dir = Path::new(DIR);
    let mut lines = 0;
    let _ = dump(Arc::clone(&fs), dir, |_| lines += 1);
    let _ = verify(Arc::clone(&fs), dir, &options());
    let opened = Wal::<RawEntry>::open(Arc::clone(&fs), dir, options());
    let Ok((mut wal, _)) = opened else {
        let _ = repair(fs, dir, &options(), false);
        return;
    };
    for group in wal.groups() {
        let (Some(first), Some(last)) = (wal.first_index(group), wal.last_index(group)) else {
            continue;
        };
        for index in (first..=last).take(100) {
            let _ = wal.fetch(group, index..index + 1, 0);
        }
    }
    let mut batch = LogBatch::<RawEntry>::new();
    batch.put(GroupId(77), b"alive".to_vec(), b"yes".to_vec());
    wal.write(batch, Durability::Synced).expect("what opens can be written");
    let _ = wal.purge();
    drop(wal);
    let (wal, _) = Wal::<RawEntry>::open(fs, dir, options()).expect("and opens again");
    assert_eq!(wal.get(GroupId(77), b"alive").as_deref(), Some(&b"yes"[..]));
}
