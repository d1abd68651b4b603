//! One suite for every file system: each point of the contract in `fs.rs` that can be seen without
//! a crash, on real files and on the stand-in.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tinykv_wal::{ErrFs, Fs, MemFs, OpenMode, RealFs};

/// Runs the whole suite, each case in a folder of its own.
fn contract(fs: &dyn Fs, root: &Path) {
    type Case = fn(&dyn Fs, &Path);
    let cases: [(&str, Case); 14] = [
        ("open_modes", open_modes),
        ("read_and_write", read_and_write),
        ("holes_are_zeros", holes_are_zeros),
        ("set_len_cuts_and_extends", set_len_cuts_and_extends),
        ("allocate_reserves", allocate_reserves),
        ("exact_forms", exact_forms),
        ("nowait_agrees", nowait_agrees),
        ("list_is_sorted", list_is_sorted),
        ("rename_replaces", rename_replaces),
        ("handles_outlive_names", handles_outlive_names),
        ("handles_share_bytes", handles_share_bytes),
        ("missing_names", missing_names),
        ("syncs_succeed", syncs_succeed),
        ("lock_excludes", lock_excludes),
    ];
    for (name, case) in cases {
        let dir = root.join(name);
        fs.create_dir_all(&dir).unwrap();
        fs.create_dir_all(&dir).unwrap();
        case(fs, &dir);
    }
}

fn content(fs: &dyn Fs, path: &Path) -> Vec<u8> {
    let file = fs.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn create(fs: &dyn Fs, path: &Path, bytes: &[u8]) {
    fs.open(path, OpenMode::CreateNew).unwrap().write_all_at(bytes, 0).unwrap();
}

fn open_modes(fs: &dyn Fs, dir: &Path) {
    let path = dir.join("a");
    assert_eq!(fs.open(&path, OpenMode::Read).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs.open(&path, OpenMode::Write).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!fs.exists(&path).unwrap());
    let file = fs.open(&path, OpenMode::CreateNew).unwrap();
    assert!(fs.exists(&path).unwrap());
    assert!(file.is_empty().unwrap());
    assert_eq!(fs.open(&path, OpenMode::CreateNew).unwrap_err().kind(), ErrorKind::AlreadyExists);
    file.write_all_at(b"kept", 0).unwrap();
    let again = fs.open(&path, OpenMode::Write).unwrap();
    assert_eq!(again.len().unwrap(), 4, "opening must not cut the file");
    let reader = fs.open(&path, OpenMode::Read).unwrap();
    assert!(reader.write_at(b"x", 0).is_err(), "a file opened to be read cannot be written");
    assert!(reader.set_len(0).is_err());
    let orphan = dir.join("no-such-folder").join("a");
    assert_eq!(fs.open(&orphan, OpenMode::CreateNew).unwrap_err().kind(), ErrorKind::NotFound);
}

fn read_and_write(fs: &dyn Fs, dir: &Path) {
    let file = fs.open(&dir.join("a"), OpenMode::CreateNew).unwrap();
    let bytes: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
    file.write_all_at(&bytes, 0).unwrap();
    file.write_all_at(b"in the middle, over a page", 4090).unwrap();
    let mut wanted = bytes;
    wanted[4090..4116].copy_from_slice(b"in the middle, over a page");
    assert_eq!(content(fs, &dir.join("a")), wanted);
    let mut buf = [7; 100];
    assert_eq!(file.read_at(&mut buf, 9_950).unwrap(), 50, "a read ends at the end of the file");
    assert_eq!(buf[..50], wanted[9_950..]);
    assert_eq!(buf[50..], [7; 50], "bytes behind the answer are left alone");
    assert_eq!(file.read_at(&mut buf, 10_000).unwrap(), 0);
    assert_eq!(file.read_at(&mut buf, 1 << 40).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 0).unwrap(), 0);
    assert_eq!(file.write_at(b"", 20_000).unwrap(), 0);
    assert_eq!(file.len().unwrap(), 10_000, "an empty write does not grow the file");
}

fn holes_are_zeros(fs: &dyn Fs, dir: &Path) {
    let file = fs.open(&dir.join("a"), OpenMode::CreateNew).unwrap();
    file.write_all_at(b"end", 5_000).unwrap();
    let bytes = content(fs, &dir.join("a"));
    assert_eq!(bytes.len(), 5_003);
    assert!(bytes[..5_000].iter().all(|byte| *byte == 0));
    assert_eq!(bytes[5_000..], *b"end");
}

fn set_len_cuts_and_extends(fs: &dyn Fs, dir: &Path) {
    let file = fs.open(&dir.join("a"), OpenMode::CreateNew).unwrap();
    file.write_all_at(&[1; 6_000], 0).unwrap();
    file.set_len(1_000).unwrap();
    assert_eq!(file.len().unwrap(), 1_000);
    file.set_len(6_000).unwrap();
    let bytes = content(fs, &dir.join("a"));
    assert!(bytes[..1_000].iter().all(|byte| *byte == 1));
    assert!(bytes[1_000..].iter().all(|byte| *byte == 0), "cut bytes must not come back");
}

fn allocate_reserves(fs: &dyn Fs, dir: &Path) {
    let file = fs.open(&dir.join("a"), OpenMode::CreateNew).unwrap();
    file.write_all_at(b"head", 0).unwrap();
    file.allocate(0).unwrap();
    assert_eq!(file.len().unwrap(), 4);
    file.allocate(9_000).unwrap();
    let bytes = content(fs, &dir.join("a"));
    assert_eq!(bytes.len(), 9_000);
    assert_eq!(bytes[..4], *b"head");
    assert!(bytes[4..].iter().all(|byte| *byte == 0));
    file.allocate(100).unwrap();
    assert_eq!(file.len().unwrap(), 9_000, "allocating never cuts");
}

fn exact_forms(fs: &dyn Fs, dir: &Path) {
    let file = fs.open(&dir.join("a"), OpenMode::CreateNew).unwrap();
    file.write_all_at(b"abcdef", 0).unwrap();
    let mut buf = [0; 3];
    file.read_exact_at(&mut buf, 3).unwrap();
    assert_eq!(buf, *b"def");
    assert_eq!(file.read_exact_at(&mut buf, 4).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

fn nowait_agrees(fs: &dyn Fs, dir: &Path) {
    let file = fs.open(&dir.join("a"), OpenMode::CreateNew).unwrap();
    file.write_all_at(&[5; 5_000], 0).unwrap();
    let mut buf = [0; 5_000];
    match file.read_at_nowait(&mut buf, 0) {
        Ok(count) => assert!(count > 0 && buf[..count].iter().all(|byte| *byte == 5)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
    match file.read_at_nowait(&mut buf, 5_000) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
}

fn list_is_sorted(fs: &dyn Fs, dir: &Path) {
    assert_eq!(fs.list(dir).unwrap(), Vec::<PathBuf>::new());
    for name in ["b", "c", "a"] {
        create(fs, &dir.join(name), b"");
    }
    fs.create_dir_all(&dir.join("aa").join("inner")).unwrap();
    let names: Vec<PathBuf> = ["a", "aa", "b", "c"].iter().map(PathBuf::from).collect();
    assert_eq!(fs.list(dir).unwrap(), names);
    assert_eq!(fs.list(&dir.join("aa")).unwrap(), [PathBuf::from("inner")]);
    assert!(fs.exists(&dir.join("aa")).unwrap());
    assert_eq!(fs.list(&dir.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
}

fn rename_replaces(fs: &dyn Fs, dir: &Path) {
    create(fs, &dir.join("new"), b"new");
    create(fs, &dir.join("old"), b"old");
    fs.rename(&dir.join("new"), &dir.join("old")).unwrap();
    assert_eq!(content(fs, &dir.join("old")), b"new");
    assert!(!fs.exists(&dir.join("new")).unwrap());
    fs.rename(&dir.join("old"), &dir.join("old")).unwrap();
    assert_eq!(content(fs, &dir.join("old")), b"new", "renaming to itself changes nothing");
    fs.create_dir_all(&dir.join("sub")).unwrap();
    fs.rename(&dir.join("old"), &dir.join("sub").join("moved")).unwrap();
    assert_eq!(content(fs, &dir.join("sub").join("moved")), b"new");
    assert_eq!(fs.list(dir).unwrap(), [PathBuf::from("sub")]);
}

fn handles_outlive_names(fs: &dyn Fs, dir: &Path) {
    create(fs, &dir.join("removed"), b"one");
    create(fs, &dir.join("replaced"), b"two");
    create(fs, &dir.join("renamed"), b"three");
    let removed = fs.open(&dir.join("removed"), OpenMode::Write).unwrap();
    let replaced = fs.open(&dir.join("replaced"), OpenMode::Read).unwrap();
    let renamed = fs.open(&dir.join("renamed"), OpenMode::Write).unwrap();
    fs.remove(&dir.join("removed")).unwrap();
    fs.rename(&dir.join("renamed"), &dir.join("replaced")).unwrap();
    create(fs, &dir.join("removed"), b"another");
    let mut buf = [0; 16];
    assert_eq!(removed.read_at(&mut buf, 0).unwrap(), 3);
    assert_eq!(buf[..3], *b"one");
    removed.write_all_at(b"more", 3).unwrap();
    removed.sync_data().unwrap();
    assert_eq!(removed.len().unwrap(), 7);
    assert_eq!(content(fs, &dir.join("removed")), b"another");
    assert_eq!(replaced.read_at(&mut buf, 0).unwrap(), 3);
    assert_eq!(buf[..3], *b"two");
    renamed.write_all_at(b"T", 0).unwrap();
    assert_eq!(content(fs, &dir.join("replaced")), b"Three");
}

fn handles_share_bytes(fs: &dyn Fs, dir: &Path) {
    let path = dir.join("a");
    create(fs, &path, b"0000");
    let one = fs.open(&path, OpenMode::Write).unwrap();
    let two = fs.open(&path, OpenMode::Read).unwrap();
    one.write_all_at(b"11", 1).unwrap();
    let mut buf = [0; 4];
    two.read_exact_at(&mut buf, 0).unwrap();
    assert_eq!(buf, *b"0110", "written bytes are seen at once, synced or not");
    one.set_len(2).unwrap();
    assert_eq!(two.len().unwrap(), 2);
}

fn missing_names(fs: &dyn Fs, dir: &Path) {
    let none = dir.join("none");
    assert_eq!(fs.remove(&none).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs.rename(&none, &dir.join("to")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs.sync_dir(&none).unwrap_err().kind(), ErrorKind::NotFound);
    fs.create_dir_all(&dir.join("folder")).unwrap();
    assert!(fs.remove(&dir.join("folder")).is_err(), "remove is for files");
    create(fs, &dir.join("file"), b"");
    assert!(fs.create_dir_all(&dir.join("file").join("sub")).is_err());
    assert!(fs.rename(&dir.join("file"), &dir.join("folder")).is_err());
}

fn syncs_succeed(fs: &dyn Fs, dir: &Path) {
    let file = fs.open(&dir.join("a"), OpenMode::CreateNew).unwrap();
    file.sync_data().unwrap();
    file.write_all_at(b"bytes", 0).unwrap();
    file.sync_data().unwrap();
    file.sync_data().unwrap();
    fs.sync_dir(dir).unwrap();
    fs.sync_dir(dir.parent().unwrap()).unwrap();
}

fn lock_excludes(fs: &dyn Fs, dir: &Path) {
    let path = dir.join("LOCK");
    let held = fs.lock(&path).unwrap();
    assert_eq!(fs.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    let other = fs.lock(&dir.join("OTHER")).unwrap();
    drop(held);
    let again = fs.lock(&path).unwrap();
    assert_eq!(fs.lock(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop((again, other));
    assert!(fs.exists(&path).unwrap(), "the file stays: removing it would be a race");
}

#[test]
fn real_files() {
    let dir = tempfile::tempdir().unwrap();
    contract(&RealFs, dir.path());
}

#[test]
fn files_in_memory() {
    contract(&MemFs::new(), Path::new("/data"));
    contract(&MemFs::new(), Path::new(""));
}

#[test]
fn files_that_could_fail_but_do_not() {
    contract(&ErrFs::over_memory(MemFs::new()), Path::new("data"));
    let dir = tempfile::tempdir().unwrap();
    contract(&ErrFs::new(RealFs::shared()), dir.path());
}

#[test]
fn a_lock_excludes_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("LOCK");
    let _held = RealFs.lock(&path).unwrap();
    let status = std::process::Command::new("flock")
        .args(["--nonblock", "--conflict-exit-code", "9"])
        .arg(&path)
        .arg("true")
        .status();
    match status {
        Ok(status) => assert_eq!(status.code(), Some(9)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "only where flock(1) is not"),
    }
}
