//! 2b: one replicated region of whole stores, and what clients saw of it
//!
//! The eleven scenarios of the course in virtual time, with power failures that lose what was not
//! synced, faults on the way to clients too, and keys that all clients share.

#[path = "support/stages.rs"]
mod stages;

use stages::{Stage, seeds};
use tinykv_sim::Script;
use tinykv_sim::history::{Answer, Op};
use tinykv_sim::scenario::Scenario;
use tinykv_sim::store::Store;

#[test]
fn basic() {
    Stage { clients: 1, ..Stage::default() }.run();
}

#[test]
fn concurrent() {
    Stage { clients: 5, ..Stage::default() }.run();
}

#[test]
fn unreliable() {
    Stage { clients: 5, unreliable: true, ..Stage::default() }.run();
}

#[test]
fn many_partitions_one_client() {
    Stage { clients: 1, partitions: true, ..Stage::default() }.run();
}

#[test]
fn many_partitions_many_clients() {
    Stage { clients: 5, partitions: true, ..Stage::default() }.run();
}

#[test]
fn persist_one_client() {
    Stage { clients: 1, crash: true, ..Stage::default() }.run();
}

#[test]
fn persist_concurrent() {
    Stage { clients: 5, crash: true, ..Stage::default() }.run();
}

#[test]
fn persist_concurrent_unreliable() {
    Stage { clients: 5, unreliable: true, crash: true, ..Stage::default() }.run();
}

#[test]
fn persist_partition() {
    Stage { clients: 5, crash: true, partitions: true, ..Stage::default() }.run();
}

#[test]
fn persist_partition_unreliable() {
    Stage { clients: 5, unreliable: true, crash: true, partitions: true, ..Stage::default() }.run();
}

fn put(key: &str, value: &str) -> Op {
    Op::Put { key: key.to_owned(), value: value.to_owned() }
}

fn get(key: &str) -> Op {
    Op::Get { key: key.to_owned() }
}

fn found(value: &str) -> Answer {
    Answer::Value(Some(value.to_owned()))
}

/// The leader is first in the majority, then in the minority; each time the majority serves, and
/// the minority holds nothing of what it has not seen.
#[test]
fn one_partition() {
    for seed in seeds() {
        let scenario = Scenario::calm(seed, 5);
        let mut script: Script<'_, Store> = Script::new(&scenario);
        let leader = script.leader();
        let others: Vec<u64> = (1..=5).filter(|store| *store != leader).collect();
        let (majority, minority) = ([leader, others[0], others[1]], [others[2], others[3]]);
        script.split(&[&majority, &minority]);
        script.call(&majority, &put("k1", "v1"));
        assert_eq!(script.call(&majority, &get("k1")), found("v1"));
        for store in minority {
            assert_eq!(script.peek(store, "k1"), None, "seed {seed}");
        }
        script.heal();
        script.until("the minority catches up", |script| {
            minority.iter().all(|store| script.peek(*store, "k1").as_deref() == Some("v1"))
        });

        let leader = script.leader();
        let others: Vec<u64> = (1..=5).filter(|store| *store != leader).collect();
        let (minority, majority) = ([leader, others[0]], [others[1], others[2], others[3]]);
        script.split(&[&minority, &majority]);
        assert_eq!(script.call(&majority, &get("k1")), found("v1"));
        script.call(&majority, &put("k1", "changed"));
        assert_eq!(script.call(&majority, &get("k1")), found("changed"));
        for store in minority {
            assert_eq!(script.peek(store, "k1").as_deref(), Some("v1"), "seed {seed}");
        }
        script.heal();
        script.call(&majority, &put("k2", "v2"));
        script.until("the old leader catches up", |script| {
            script.peek(leader, "k2").as_deref() == Some("v2")
                && script.peek(leader, "k1").as_deref() == Some("changed")
        });
        script.end();
    }
}
