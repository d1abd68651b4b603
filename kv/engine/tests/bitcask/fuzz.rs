//! Any bytes in the files: opening never panics, never hangs, and never allocates by what they say.
//!
//! `CASES` folders from `SEED`: files of random bytes under the names that the store uses, and
//! files of a real store with random changes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use tinykv_engine::{Durability, Engine};
use wal::{Fs, MemFs, OpenMode};

use crate::script::Recording;
use crate::store::{Content, FOLDER, maintain, open, put, setting};

/// Most bytes that opening these small folders may ask for at once.
const ALLOCATION_MAX: usize = 16 << 20;

/// The allocator of the system, which notes the largest request of each thread.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn note(size: usize) {
    // A thread that ends has no such variable any more.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every call goes to the allocator of the system as it came.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn replace(fs: &MemFs, path: &Path, bytes: &[u8]) {
    if fs.exists(path).unwrap() {
        fs.remove(path).unwrap();
    }
    fs.open(path, OpenMode::CreateNew).unwrap().write_all_at(bytes, 0).unwrap();
}

/// Opens, and if that works uses it. An answer of any kind is right.
fn use_it(fs: &MemFs) {
    LARGEST.set(0);
    if let Ok(engine) = open(Arc::new(fs.clone())) {
        let _ = Content::read(&engine);
        let _ = engine.write(put("key 0", "x"), Durability::Always);
        let _ = engine.merge();
        let _ = maintain(&engine);
        let _ = Content::read(&engine);
    }
    let largest = LARGEST.get();
    assert!(largest <= ALLOCATION_MAX, "{largest} bytes were asked for at once");
}

/// A closed store with all kinds of files.
fn real_store() -> MemFs {
    let scripts = crate::script::scripts();
    let script = scripts.into_iter().find(|script| script.name == "reopen and hints").unwrap();
    Recording::new(&script).fs
}

fn files(fs: &MemFs) -> Vec<PathBuf> {
    let names = fs.list(Path::new(FOLDER)).unwrap();
    names.iter().map(|name| Path::new(FOLDER).join(name)).collect()
}

fn config() -> Config {
    Config {
        cases: setting("CASES", 200) as u32,
        rng_seed: RngSeed::Fixed(setting("SEED", 1)),
        failure_persistence: None,
        ..Config::default()
    }
}

/// Bytes that are random, or look like small and large numbers.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    (any::<u64>(), 0..1500_usize, 1..4_u64).prop_map(|(seed, len, kinds)| {
        let mut state = seed;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 33
        };
        let byte = |_| match random() % kinds {
            0 => (random() % 256) as u8,
            1 => 0,
            _ => [1, 0xFF][(random() % 2) as usize],
        };
        (0..len).map(byte).collect()
    })
}

proptest! {
    #![proptest_config(config())]

    /// Files of nothing but random bytes, beside the right marker and manifest, or instead of them.
    #[test]
    fn random_files(contents in proptest::collection::vec(bytes(), 8), which in any::<u16>()) {
        let fs = real_store();
        for (number, (path, bytes)) in files(&fs).iter().zip(contents.iter().cycle()).enumerate() {
            if which >> (number % 16) & 1 == 1 {
                replace(&fs, path, bytes);
            }
        }
        use_it(&fs);
    }

    /// A new folder with random bytes under the first names.
    #[test]
    fn random_folder(segment in bytes(), hint in bytes(), manifest in bytes()) {
        let fs = MemFs::new();
        fs.create_dir_all(Path::new(FOLDER)).unwrap();
        for (name, bytes) in
            [("00000001.seg", &segment), ("00000001.hint", &hint), ("MANIFEST", &manifest)]
        {
            replace(&fs, &Path::new(FOLDER).join(name), bytes);
        }
        use_it(&fs);
    }

    /// Files of a real store in which some places hold other bytes.
    #[test]
    fn random_changes(
        changes in proptest::collection::vec((any::<usize>(), any::<usize>(), bytes()), 1..6),
        lens in proptest::collection::vec(1..40_usize, 6),
    ) {
        let fs = real_store();
        let files = files(&fs);
        for ((file, place, bytes), len) in changes.iter().zip(lens) {
            let file = fs.open(&files[file % files.len()], OpenMode::Write).unwrap();
            let place = *place as u64 % (file.len().unwrap() + 1);
            file.write_all_at(&bytes[..bytes.len().min(len)], place).unwrap();
        }
        use_it(&fs);
    }
}
