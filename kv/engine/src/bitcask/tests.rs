//! The engine on the memory file system: conformance, restarts, and what its files must refuse.

use std::path::PathBuf;

use wal::MemFs;

use super::*;

fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        allocate_bytes: 8 << 10,
        reserve_bytes: 1 << 10,
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
