//! 2c: logs are cut off and lagging stores rebuilt by snapshot, and what clients saw of it
//!
//! The six scenarios of the course, as in 2b.

#[path = "support/stages.rs"]
mod stages;

use stages::{Stage, seeds};
use tinykv_sim::Script;
use tinykv_sim::history::Op;
use tinykv_sim::queue::SECOND;
use tinykv_sim::scenario::Scenario;
use tinykv_sim::store::Store;

/// As many applied entries as a log keeps.
const LOG: Stage =
    Stage { clients: 5, unreliable: false, crash: false, partitions: false, log_max: Some(100) };

#[test]
fn snapshot_recover() {
    Stage { clients: 1, crash: true, ..LOG }.run();
}

#[test]
fn snapshot_recover_many_clients() {
    Stage { clients: 20, crash: true, ..LOG }.run();
}

#[test]
fn snapshot_unreliable() {
    Stage { unreliable: true, ..LOG }.run();
}

#[test]
fn snapshot_unreliable_recover() {
    Stage { unreliable: true, crash: true, ..LOG }.run();
}

#[test]
fn snapshot_unreliable_recover_concurrent_partition() {
    Stage { unreliable: true, crash: true, partitions: true, ..LOG }.run();
}

/// A store that was away while logs were cut off can only come back by a snapshot, which also takes
/// away what was deleted meanwhile.
#[test]
fn one_snapshot() {
    for seed in seeds() {
        let mut scenario = Scenario::calm(seed, 3);
        scenario.features.insert("log_entries_max".to_owned(), 10);
        scenario.features.insert("compact_ticks".to_owned(), 1);
        let mut script: Script<'_, Store> = Script::new(&scenario);
        let put = |key: &str, value: &str| Op::Put { key: key.to_owned(), value: value.to_owned() };
        script.leader();
        script.call(&[1, 2, 3], &put("k1", "v1"));
        script.call(&[1, 2, 3], &put("k2", "v2"));
        script.until("store 1 has both", |script| script.peek(1, "k2").is_some());

        script.split(&[&[1], &[2, 3]]);
        for key in 100..115 {
            script.call(&[2, 3], &put(&format!("k{key}"), "v"));
        }
        script.call(&[2, 3], &Op::Delete { key: "k2".to_owned() });
        script.until("logs are cut off", |script| {
            script.log_entries(2) <= 10 && script.log_entries(3) <= 10
        });
        assert_eq!(script.peek(1, "k100"), None, "seed {seed}");
        assert_eq!(script.peek(1, "k2").as_deref(), Some("v2"), "seed {seed}");

        script.heal();
        script.until("store 1 is rebuilt", |script| script.peek(1, "k114").is_some());
        assert_eq!(script.peek(1, "k1").as_deref(), Some("v1"), "seed {seed}");
        assert_eq!(script.peek(1, "k2"), None, "seed {seed}: what was deleted is back");
        script.crash(1, SECOND);
        script.until("store 1 is back", |script| script.peek(1, "k1").is_some());
        script
            .until("logs are short", |script| (1..=3).all(|store| script.log_entries(store) <= 20));
        script.end();
    }
}
