//! Crashes of folders, the power switch, space, and the enumeration. What the contract says without
//! a crash is in `tests/fs_contract.rs`, crashes of one file are in `content.rs`.

use super::*;

const NO_LIMIT: usize = 100_000;

fn create(fs: &MemFs, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = fs.open(Path::new(path), OpenMode::CreateNew).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    file
}

fn sync_root(fs: &MemFs) {
    fs.sync_dir(Path::new("")).unwrap();
}

/// The names and bytes of the top folder, as text.
fn look(fs: &MemFs) -> String {
    let mut text = Vec::new();
    for name in fs.list(Path::new("/")).unwrap() {
        match fs.open(&name, OpenMode::Read) {
            Ok(file) => {
                let mut bytes = vec![0; file.len().unwrap() as usize];
                file.read_exact_at(&mut bytes, 0).unwrap();
                text.push(format!("{}={}", name.display(), String::from_utf8_lossy(&bytes)));
            }
            Err(_) => {
                let inside = fs.list(&name).unwrap();
                text.push(format!("{}/{}", name.display(), inside.len()));
            }
        }
    }
    text.join(" ")
}

fn looks(fs: &MemFs) -> Vec<String> {
    let states = fs.crash_states(NO_LIMIT, 0);
    assert!(states.complete);
    let mut looks: Vec<_> = states.states.iter().map(look).collect();
    looks.sort();
    looks
}

#[test]
fn a_new_file_is_lost_without_its_folder() {
    let fs = MemFs::new();
    create(&fs, "a", b"1");
    assert_eq!(looks(&fs), ["", "a=1"]);
    sync_root(&fs);
    assert_eq!(looks(&fs), ["a=1"]);
    assert!(fs.is_durable());
}

#[test]
fn a_removed_file_may_be_back() {
    let fs = MemFs::new();
    create(&fs, "a", b"1");
    sync_root(&fs);
    fs.remove(Path::new("a")).unwrap();
    assert_eq!(look(&fs), "");
    assert_eq!(looks(&fs), ["", "a=1"]);
    sync_root(&fs);
    assert_eq!(looks(&fs), [""]);
}

#[test]
fn changes_of_a_folder_come_in_any_order() {
    let fs = MemFs::new();
    create(&fs, "old", b"1");
    sync_root(&fs);
    create(&fs, "tmp", b"2");
    fs.rename(Path::new("tmp"), Path::new("new")).unwrap();
    fs.remove(Path::new("old")).unwrap();
    let wanted =
        ["", "new=2", "new=2 old=1", "new=2 old=1", "new=2", "old=1", "old=1 tmp=2", "tmp=2"];
    let wanted: BTreeSet<_> = wanted.into_iter().map(str::to_owned).collect();
    assert_eq!(looks(&fs).into_iter().collect::<BTreeSet<_>>(), wanted);
}

#[test]
fn a_replacing_rename_is_old_or_new() {
    let fs = MemFs::new();
    create(&fs, "a", b"1");
    create(&fs, "b", b"2");
    sync_root(&fs);
    fs.rename(Path::new("b"), Path::new("a")).unwrap();
    assert_eq!(looks(&fs), ["a=1 b=2", "a=2"]);
}

#[test]
fn a_file_renamed_before_its_bytes_are_synced_may_be_empty() {
    let fs = MemFs::new();
    create(&fs, "a", b"1");
    sync_root(&fs);
    let file = fs.open(Path::new("b"), OpenMode::CreateNew).unwrap();
    file.write_all_at(b"2", 0).unwrap();
    fs.rename(Path::new("b"), Path::new("a")).unwrap();
    sync_root(&fs);
    assert_eq!(looks(&fs), ["a=", "a=\0", "a=2"]);
}

#[test]
fn a_folder_not_synced_in_its_parent_is_lost_with_all_in_it() {
    let fs = MemFs::new();
    fs.create_dir_all(Path::new("d/e")).unwrap();
    create(&fs, "d/e/a", b"1");
    fs.sync_dir(Path::new("d/e")).unwrap();
    sync_root(&fs);
    assert_eq!(looks(&fs), ["d/0", "d/1"]);
    fs.sync_dir(Path::new("d")).unwrap();
    assert_eq!(looks(&fs), ["d/1"]);
}

#[test]
fn the_power_fails_after_so_many_operations() {
    let fs = MemFs::new();
    let file = create(&fs, "a", b"1");
    assert_eq!(fs.operations(), 3);
    fs.set_crash_after(4);
    file.write_all_at(b"2", 0).unwrap();
    assert!(file.write_all_at(b"3", 0).is_err());
    assert!(file.read_at(&mut [0], 0).is_err() && file.len().is_err() && file.sync_data().is_err());
    assert!(fs.open(Path::new("a"), OpenMode::Read).is_err());
    assert!(fs.list(Path::new("")).is_err() && fs.exists(Path::new("a")).is_err());
    assert!(fs.create_dir_all(Path::new("d")).is_err() && fs.lock(Path::new("L")).is_err());
    assert_eq!(fs.operations(), 4);
    assert_eq!(looks(&fs), ["", "a=1", "a=2"], "after the crash the power is back");
}

#[test]
fn every_operation_is_a_crash_point() {
    let fs = MemFs::new();
    fs.record();
    let file = create(&fs, "a", b"1");
    sync_root(&fs);
    file.write_all_at(b"2", 0).unwrap();
    let points = fs.recorded();
    let what: Vec<_> = points.iter().map(|point| point.what.as_str()).collect();
    let wanted =
        ["the start", "create a", "write a at 0+1", "sync a", "sync folder ", "write a at 0+1"];
    assert_eq!(what, wanted);
    assert_eq!(points.last().unwrap().operations, fs.operations());
    let states: Vec<_> = points.iter().map(|point| looks(&point.fs()).len()).collect();
    assert_eq!(states, [1, 2, 4, 2, 1, 2]);
    assert_eq!(looks(&points[3].fs()), ["", "a=1"]);
}

#[test]
fn a_full_disk_takes_what_fits() {
    let fs = MemFs::new();
    let file = create(&fs, "a", b"12345678");
    fs.set_capacity(Some(10));
    assert_eq!(file.write_at(b"abcd", 8).unwrap(), 2);
    assert_eq!(file.write_at(b"cd", 10).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.write_at(b"abcd", 0).unwrap(), 4, "what is there can be written over");
    assert_eq!(file.allocate(11).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.set_len(11).unwrap_err().kind(), io::ErrorKind::StorageFull);
    let other = fs.open(Path::new("b"), OpenMode::CreateNew).unwrap();
    assert_eq!(other.write_at(b"x", 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.set_len(5).unwrap();
    assert_eq!(other.write_at(b"123456", 0).unwrap(), 5);
    fs.remove(Path::new("a")).unwrap();
    assert_eq!(fs.used(), 10, "an open file keeps its space");
    drop(file);
    assert_eq!(fs.used(), 5);
    sync_root(&fs);
    assert_eq!(fs.used(), 5);
}

#[test]
fn a_fork_goes_its_own_way() {
    let fs = MemFs::new();
    let file = create(&fs, "a", b"1");
    let fork = fs.fork();
    file.write_all_at(b"2", 0).unwrap();
    sync_root(&fs);
    assert_eq!((look(&fs), look(&fork)), ("a=2".to_owned(), "a=1".to_owned()));
    assert_eq!(looks(&fork), ["", "a=1"]);
}

#[test]
fn too_many_states_are_sampled() {
    let fs = MemFs::new();
    let file = create(&fs, "a", &[b'o'; 40 * 512]);
    sync_root(&fs);
    file.write_all_at(&[b'n'; 40 * 512], 0).unwrap();
    let found = fs.crash_states(300, 1);
    assert!(!found.complete);
    assert_eq!(found.states.len(), 300);
    let new_sectors = |fs: &MemFs| look(fs).bytes().filter(|byte| *byte == b'n').count() / 512;
    let counts: Vec<_> = found.states.iter().map(new_sectors).collect();
    for (count, states) in [(0, 1), (1, 40), (39, 40), (40, 1)] {
        assert!(counts.iter().filter(|n| **n == count).count() >= states, "{count} new sectors");
    }
    let again: Vec<_> = fs.crash_states(300, 1).states.iter().map(new_sectors).collect();
    assert_eq!(again, counts, "the same seed gives the same states");
}
