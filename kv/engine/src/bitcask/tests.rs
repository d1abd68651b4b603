//! The engine on the memory file system: conformance, restarts, and what its files must refuse.

use std::path::PathBuf;

use wal::MemFs;

use super::*;

fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        allocate_bytes: 8 << 10,
        reserve_bytes: 1 << 10,
        merge_slice_bytes: 4 << 10,
        background: false,
        ..Options::default()
    }
}

fn start(fs: &MemFs) -> Result<Bitcask> {
    open(Arc::new(fs.clone()), "data", options())
}

fn put(engine: &Bitcask, key: &str, value: &str) {
    let mut batch = Batch::new();
    batch.put(Cf::Default, key.to_owned(), value.to_owned());
    engine.write(batch, Durability::Always).unwrap();
}

fn get(engine: &Bitcask, key: &str) -> Option<String> {
    let value = engine.get(Cf::Default, key.as_bytes()).unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn segments(fs: &MemFs) -> Vec<PathBuf> {
    let names = fs.list(Path::new("data")).unwrap().into_iter();
    let is_segment = |name: &PathBuf| name.extension().is_some_and(|e| e == "seg");
    names.filter(is_segment).map(|name| Path::new("data").join(name)).collect()
}

#[test]
fn writes_survive_a_restart_and_many_segments() {
    let fs = MemFs::new();
    let engine = start(&fs).unwrap();
    for i in 0..2000 {
        put(&engine, &format!("key{}", i % 500), &format!("value{i:0>100}"));
    }
    let mut batch = Batch::new();
    batch.delete(Cf::Default, "key7").delete_range(Cf::Default, Range::new("key4", "key5"));
    batch.put(Cf::Default, "key44", "again").put(Cf::Lock, "key44", "");
    engine.write(batch, Durability::Never).unwrap();
    assert!(segments(&fs).len() > 3);
    let stats = engine.stats();
    drop(engine);
    for _ in 0..3 {
        let engine = start(&fs).unwrap();
        assert_eq!(get(&engine, "key7"), None);
        assert_eq!(get(&engine, "key450"), None);
        assert_eq!(get(&engine, "key44").as_deref(), Some("again"));
        assert_eq!(engine.get(Cf::Lock, b"key44").unwrap(), Some(Bytes::new()));
        assert_eq!(get(&engine, "key399"), Some(format!("value{:0>100}", 1899)));
        assert_eq!(engine.stats().cfs, stats.cfs);
        assert_eq!(engine.stats().dead_bytes, stats.dead_bytes);
    }
}

#[test]
fn an_open_folder_is_locked() {
    let fs = MemFs::new();
    let engine = start(&fs).unwrap();
    assert!(matches!(start(&fs), Err(Error::Locked { .. })));
    drop(engine);
    start(&fs).unwrap();
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    let fs = MemFs::new();
    fs.create_dir_all(Path::new("data")).unwrap();
    let write = |name: &str, text: &str| {
        let folder = Folder { fs: Arc::new(fs.clone()), path: "data".into() };
        folder.replace(&Path::new("data").join(name), text.as_bytes()).unwrap();
    };
    write("data.mdb", "");
    assert!(matches!(start(&fs), Err(Error::Format { .. })));
    let marker = |lines: &str| {
        let crc = crc32c::crc32c(lines.as_bytes());
        write("FORMAT", &format!("{lines}crc {crc:08x}\n"));
    };
    marker("engine rocksdb\nversion 1\n");
    assert!(matches!(start(&fs), Err(Error::WrongEngine { found, .. }) if found == "rocksdb"));
    marker("engine bitcask\nversion 2\nuid 0000000000000000\n");
    assert!(matches!(start(&fs), Err(Error::Format { .. })));
    write("FORMAT", "engine bitcask\nversion 1\nuid 0\ncrc 00000000\n");
    assert!(matches!(start(&fs), Err(Error::Corrupt { .. })));
}

#[test]
fn each_damaged_bit_of_a_record_is_noticed() {
    let fs = MemFs::new();
    let engine = start(&fs).unwrap();
    put(&engine, "key", "value");
    let path = segments(&fs).remove(0);
    let file = fs.open(&path, wal::OpenMode::Write).unwrap();
    for at in 88..88 + 12 + 8 {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
        let error = engine.get(Cf::Default, b"key").unwrap_err();
        assert!(matches!(error, Error::Corrupt { offset: 88, .. }), "byte {at}: {error}");
        file.write_all_at(&byte, at).unwrap();
    }
    assert_eq!(get(&engine, "key").as_deref(), Some("value"));
}

#[test]
fn a_full_disk_refuses_puts_takes_deletes_and_recovers() {
    let fs = MemFs::new();
    let engine = start(&fs).unwrap();
    put(&engine, "key", "value");
    fs.set_capacity(Some(fs.used()));
    let mut batch = Batch::new();
    batch.put(Cf::Default, "large", vec![1; 20 << 10]);
    let error = engine.write(batch.clone(), Durability::Always).unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    let mut delete = Batch::new();
    delete.delete(Cf::Default, "key");
    engine.write(delete, Durability::Always).unwrap();
    fs.set_capacity(None);
    engine.write(batch, Durability::Always).unwrap();
    drop(engine);
    let engine = start(&fs).unwrap();
    assert_eq!(get(&engine, "key"), None);
    assert_eq!(engine.get(Cf::Default, b"large").unwrap().unwrap().len(), 20 << 10);
}

#[test]
fn concurrent_writers_share_groups_and_lose_nothing() {
    let fs = MemFs::new();
    let engine = start(&fs).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let engine = &engine;
            scope.spawn(move || {
                for i in 0..200 {
                    put(engine, &format!("{thread}-{i}"), "value");
                }
            });
        }
    });
    assert_eq!(engine.stats().cfs[0].keys, 1600);
    assert!(engine.stats().syncs <= 1600);
    drop(engine);
    assert_eq!(start(&fs).unwrap().stats().cfs[0].keys, 1600);
}

fn fill(engine: &Bitcask, rounds: usize) {
    for round in 0..rounds {
        for i in 0..500 {
            put(engine, &format!("key{i}"), &format!("{round}-{i:0>100}"));
        }
    }
}

#[test]
fn a_merge_frees_what_is_dead_and_keeps_what_is_not() {
    let fs = MemFs::new();
    let engine = start(&fs).unwrap();
    fill(&engine, 2);
    let view = engine.view().unwrap();
    fill(&engine, 4);
    let mut batch = Batch::new();
    batch.delete_range(Cf::Default, Range::new("key1", "key2")).delete(Cf::Default, "key3");
    engine.write(batch, Durability::Always).unwrap();
    let before = engine.stats();
    engine.merge().unwrap();
    let after = engine.stats();
    assert_eq!(after.cfs, before.cfs);
    assert!(after.disk_bytes < before.disk_bytes / 2, "{after:?}");
    let check = |view: &dyn View| {
        for i in 0..500 {
            let value = view.get(Cf::Default, format!("key{i}").as_bytes()).unwrap().unwrap();
            assert_eq!(value, format!("1-{i:0>100}"));
        }
        assert_eq!(view.iter(Cf::Default, Range::all(), Direction::Backward).count(), 500);
    };
    check(&*view);
    drop(view);
    engine.merge().unwrap();
    let last = engine.stats();
    assert!(last.disk_bytes < after.disk_bytes, "{last:?}");
    assert_eq!(last.dead_bytes, 0);
    let removals: u64 =
        engine.shared.segments.load().iter().map(|s| s.removals.load(Ordering::Relaxed)).sum();
    assert_eq!(removals, 0, "nothing older is left that a removal would hide");
    drop(engine);
    let engine = start(&fs).unwrap();
    assert_eq!(engine.stats().cfs, before.cfs);
    assert_eq!(get(&engine, "key3"), None);
    assert_eq!(get(&engine, "key15"), None);
    assert_eq!(get(&engine, "key499"), Some(format!("3-{:0>100}", 499)));
}

#[test]
fn a_removal_stays_while_an_older_segment_holds_the_key() {
    let fs = MemFs::new();
    let engine = start(&fs).unwrap();
    put(&engine, "removed", "value");
    fill(&engine, 1);
    let mut batch = Batch::new();
    batch.delete(Cf::Default, "removed");
    engine.write(batch, Durability::Always).unwrap();
    let segment = engine.shared.log.lock().segment.id;
    while engine.shared.log.lock().segment.id == segment {
        put(&engine, "key0", "again and again");
    }
    // Only the segment with the removal is merged.
    let input = engine.shared.segments.load().get(segment).cloned().unwrap();
    *engine.shared.merge.lock() = Some(engine.shared.begin(vec![input]).unwrap());
    while engine.shared.merge.lock().is_some() {
        engine.merge_step().unwrap();
    }
    assert!(engine.shared.segments.load().get(segment).is_none());
    drop(engine);
    assert_eq!(get(&start(&fs).unwrap(), "removed"), None);
}

#[test]
fn writes_during_a_merge_win() {
    let fs = MemFs::new();
    let engine = start(&fs).unwrap();
    fill(&engine, 3);
    let mut steps = 0;
    while engine.merge_step().unwrap() {
        put(&engine, &format!("key{}", steps % 500), &format!("new{steps}"));
        steps += 1;
    }
    assert!(steps > 20, "{steps}");
    let check = |engine: &Bitcask| {
        for i in 0..500 {
            let newest = (0..steps).rev().find(|step| step % 500 == i);
            let value = newest.map_or(format!("2-{i:0>100}"), |step| format!("new{step}"));
            assert_eq!(get(engine, &format!("key{i}")), Some(value));
        }
    };
    check(&engine);
    let stats = engine.stats();
    drop(engine);
    let engine = start(&fs).unwrap();
    check(&engine);
    assert_eq!((engine.stats().cfs, engine.stats().dead_bytes), (stats.cfs, stats.dead_bytes));
}

#[test]
fn a_hint_is_used_and_a_bad_one_is_not() {
    let fs = MemFs::new();
    let engine = start(&fs).unwrap();
    fill(&engine, 1);
    while engine.merge_step().unwrap() {}
    drop(engine);
    let hints: Vec<PathBuf> =
        segments(&fs).iter().map(|path| path.with_extension("hint")).collect();
    assert!(fs.exists(&hints[0]).unwrap());
    let hinted = |fs: &MemFs| {
        let engine = start(fs).unwrap();
        assert_eq!(engine.stats().cfs[0].keys, 500);
        assert_eq!(get(&engine, "key0"), Some(format!("0-{:0>100}", 0)));
        let segments = engine.shared.segments.load();
        segments.iter().next().unwrap().hinted.load(Ordering::Relaxed)
    };
    assert!(hinted(&fs));
    let file = fs.open(&hints[0], wal::OpenMode::Write).unwrap();
    for at in 0..file.len().unwrap() {
        if at > 100 && at % 97 > 0 {
            continue;
        }
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        assert!(!hinted(&fs), "byte {at}");
        file.write_all_at(&byte, at).unwrap();
    }
    assert!(hinted(&fs));
}

#[test]
fn the_interval_syncs_in_time_and_only_then() {
    let fs = MemFs::new();
    let engine = start(&fs).unwrap();
    let mut batch = Batch::new();
    batch.put(Cf::Default, "key", "value");
    let before = Instant::now();
    engine.write(batch.clone(), Durability::Interval).unwrap();
    assert!(!engine.sync_due(before).unwrap());
    assert!(engine.sync_due(Instant::now() + std::time::Duration::from_millis(500)).unwrap());
    engine.write(batch, Durability::Never).unwrap();
    assert!(!engine.sync_due(Instant::now() + std::time::Duration::from_secs(9)).unwrap());
}

#[test]
fn a_clean_end_vouches_for_the_last_batch() {
    let fs = MemFs::new();
    let engine = start(&fs).unwrap();
    put(&engine, "key", "value");
    let end = engine.shared.log.lock().end;
    drop(engine);
    let file = fs.open(&segments(&fs)[0], wal::OpenMode::Write).unwrap();
    file.write_all_at(b"?", end - 6).unwrap();
    let error = start(&fs).unwrap_err();
    assert!(matches!(error, Error::Corrupt { offset: 64, .. }), "{error}");
}

#[test]
fn check_and_salvage_name_the_damage_and_save_the_rest() {
    let fs = MemFs::new();
    let shared: Arc<dyn Fs> = Arc::new(fs.clone());
    let engine = start(&fs).unwrap();
    fill(&engine, 1);
    let mut batch = Batch::new();
    for i in 0..10 {
        batch.put(Cf::Lock, format!("lock{i}"), "x".repeat(50));
    }
    engine.write(batch, Durability::Always).unwrap();
    fill(&engine, 1);
    let locks = engine.shared.index.get(Cf::Lock, b"lock5").unwrap().1;
    assert!(matches!(check(Arc::clone(&shared), "data"), Err(Error::Locked { .. })));
    drop(engine);
    let report = check(Arc::clone(&shared), "data").unwrap();
    assert!(report.is_sound() && report.damage.is_empty(), "{report:?}");
    assert_eq!(report.last_seq, 1001);

    let paths = segments(&fs);
    let flip = |path: &Path, at: u64| {
        let file = fs.open(path, wal::OpenMode::Write).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    };
    // The head of the first frame, a record within the batch of ten, and the head of a segment.
    flip(&paths[0], 66);
    let torn = &paths[locks.segment.get() as usize - 1];
    flip(torn, u64::from(locks.offset) + 20);
    flip(&paths[2], 9);
    assert!(matches!(start(&fs), Err(Error::Corrupt { .. })));
    let report = check(Arc::clone(&shared), "data").unwrap();
    let places: Vec<_> = report.damage.iter().map(|d| (&d.file, d.offset)).collect();
    assert!(places.contains(&(&paths[0], 64)) && places.contains(&(&paths[2], 0)), "{report:?}");
    assert_eq!(places.len(), 3, "{report:?}");

    let salvaged = salvage(Arc::clone(&shared), "data", "out").unwrap();
    assert_eq!(salvaged.damage.len(), 3);
    let out = open(shared, "out", options()).unwrap();
    assert_eq!(out.stats().cfs[0].keys, 500, "the record of the first frame was intact");
    assert_eq!(out.stats().cfs[1].keys, 5, "the records before the damaged one of the batch");
    assert_eq!(get(&out, "key77"), Some(format!("0-{:0>100}", 77)));
}

#[test]
fn check_tells_an_unfinished_write_from_damage() {
    let fs = MemFs::new();
    let engine = start(&fs).unwrap();
    put(&engine, "key", "value");
    let end = engine.shared.log.lock().end;
    let crashed = fs.fork();
    let file = crashed.open(&segments(&crashed)[0], wal::OpenMode::Write).unwrap();
    file.write_all_at(b"half of a frame", end).unwrap();
    let crashed = crashed.crash(&mut wal::Seeded::new(1));
    let file = crashed.open(&segments(&crashed)[0], wal::OpenMode::Write).unwrap();
    file.write_all_at(b"half of a frame", end).unwrap();
    let report = check(Arc::new(crashed.clone()), "data").unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.damage[0].severity, Severity::Tail);
    assert_eq!(report.damage[0].offset, end);
    assert_eq!(get(&start(&crashed).unwrap(), "key").as_deref(), Some("value"));
    assert!(check(Arc::new(crashed), "data").unwrap().damage.is_empty());
}
