//! `tinykv check` and `tinykv salvage` on a data folder.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/program.rs"]
mod program;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::bitcask::{self, Options};
use engine::{Batch, Cf, Durability, Engine};
use program::{Nobody, Run, Tinykv};
use serde_json::Value;

/// A data folder with ten keys.
struct Store {
    folder: tempfile::TempDir,
}

impl Store {
    fn new() -> Store {
        let store = Store { folder: tempfile::tempdir().unwrap() };
        let engine = store.open(&store.path());
        for n in 0..10 {
            let mut batch = Batch::new();
            batch.put(Cf::Default, format!("key {n}"), vec![b'v'; 1000]);
            engine.write(batch, Durability::Always).unwrap();
        }
        store
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn open(&self, path: &Path) -> impl Engine {
        // What a crash may have left behind is searched byte by byte: keep it small.
        let options =
            Options { segment_bytes: 1 << 20, allocate_bytes: 4096, ..Options::default() };
        bitcask::open(Arc::new(wal::RealFs), path, options).unwrap()
    }

    /// Runs a subcommand on the folder.
    fn run(&self, command: &str, more: &[&str]) -> Run {
        let path = self.path();
        let nobody = Nobody::new();
        let args = [&[command, "--path", path.to_str().unwrap()], more].concat();
        Tinykv::on(nobody.address()).run(&args)
    }

    /// Changes a byte of a value in the middle of the data.
    fn damage(&self) {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort_by_key(|file| std::fs::metadata(file).unwrap().len());
        let largest = files.last().unwrap();
        let mut bytes = std::fs::read(largest).unwrap();
        let values = bytes.windows(100).position(|window| window == [b'v'; 100]).unwrap();
        bytes[values + 50] ^= 1;
        std::fs::write(largest, bytes).unwrap();
    }
}

#[test]
fn a_sound_folder_is_told_so() {
    let store = Store::new();
    let run = store.run("check", &[]);
    assert_eq!((run.code, run.err()), (0, ""));
    assert!(run.out().contains("no stored data is damaged"), "{}", run.out());
    let report: Value = serde_json::from_str(store.run("check", &["--json"]).out()).unwrap();
    assert_eq!((&report["sound"], &report["damage"]), (&true.into(), &Value::Array(vec![])));
    let again = store.run("check", &["--json"]);
    assert_eq!(serde_json::from_str::<Value>(again.out()).unwrap(), report, "nothing changed");
}

#[test]
fn damage_is_found_and_the_rest_rescued() {
    let store = Store::new();
    store.damage();
    let run = store.run("check", &[]);
    assert_eq!((run.code, run.err()), (1, ""));
    assert!(run.out().contains("DAMAGED") && run.out().contains("tinykv salvage"), "{}", run.out());
    let run = store.run("check", &["--json"]);
    assert_eq!(run.code, 1);
    let report: Value = serde_json::from_str(run.out()).unwrap();
    assert_eq!((&report["sound"], &report["damage"][0]["what"]), (&false.into(), &"data".into()));

    let out = store.folder.path().join("rescued");
    let run = store.run("salvage", &["--out", out.to_str().unwrap(), "--json"]);
    assert_eq!((run.code, run.err()), (1, ""));
    let report: Value = serde_json::from_str(run.out()).unwrap();
    assert_eq!((&report["whole"], &report["keys"]), (&false.into(), &9.into()));
    let engine = store.open(&out);
    let keys = (0..10).filter(|n| {
        engine.view().unwrap().get(Cf::Default, format!("key {n}").as_bytes()).unwrap().is_some()
    });
    assert_eq!(keys.count(), 9);
}

#[test]
fn a_sound_folder_is_copied_whole() {
    let store = Store::new();
    let out = store.folder.path().join("copy");
    let run = store.run("salvage", &["--out", out.to_str().unwrap()]);
    assert_eq!((run.code, run.err()), (0, ""));
    assert!(run.out().contains("10 keys"), "{}", run.out());
    let run = store.run("salvage", &["--out", out.to_str().unwrap()]);
    assert_eq!((run.code, run.out()), (1, ""), "a folder that holds data is not written to");
    assert!(run.err().contains("already holds data"), "{}", run.err());
}

#[test]
fn a_folder_in_use_and_none_at_all_are_refused() {
    let store = Store::new();
    let engine = store.open(&store.path());
    let run = store.run("check", &[]);
    assert_eq!((run.code, run.out()), (1, ""));
    assert!(run.err().contains("in use"), "{}", run.err());
    drop(engine);
    std::fs::remove_dir_all(store.path()).unwrap();
    for run in [store.run("check", &[]), store.run("salvage", &["--out", "/nowhere/at/all"])] {
        assert_eq!((run.code, run.out()), (1, ""));
        assert!(run.err().contains("cannot find the folder"), "{}", run.err());
    }
}

/// The folder itself has no engine's files, and would pass for one that lost all.
#[test]
fn the_folder_of_a_store_of_a_cluster_is_not_taken_for_a_damaged_one() {
    let store = Store::new();
    let cluster = store.folder.path().join("cluster");
    std::fs::create_dir(&cluster).unwrap();
    std::fs::rename(store.path(), cluster.join("engine")).unwrap();
    std::fs::write(cluster.join("DISKS"), "1 1\n").unwrap();
    std::fs::rename(&cluster, store.path()).unwrap();
    let out = store.folder.path().join("out");
    for run in [store.run("check", &[]), store.run("salvage", &["--out", out.to_str().unwrap()])] {
        assert_eq!((run.code, run.out()), (1, ""));
        assert!(run.err().contains("store of a cluster: its data is in"), "{}", run.err());
    }
    assert!(!out.exists());
}

/// The stores of a cluster know each other: more would stay outside, fewer would have no majority.
#[test]
fn a_cluster_is_started_with_as_many_stores_as_it_has() {
    let folder = tempfile::tempdir().unwrap();
    for id in 1..=3 {
        let data = folder.path().join(format!("store-{id}/data"));
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("DISKS"), format!("{id} 1\n")).unwrap();
    }
    let nobody = Nobody::new();
    let path = folder.path().to_str().unwrap();
    for nodes in ["1", "5"] {
        let args = ["cluster", "start", "--path", path, "--nodes", nodes];
        let run = Tinykv::on(nobody.address()).run(&args);
        assert_eq!((run.code, run.out()), (1, ""));
        assert!(run.err().contains("has the data of 3 stores"), "{}", run.err());
    }
}
