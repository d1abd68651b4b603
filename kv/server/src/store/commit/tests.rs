//! What clients hear when the engine misbehaves in the middle of a group.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use engine::{Batch, Cf, Durability, Engine, Memory, Stats, View, Write as EngineWrite};
use node::{Chunk, Expiry, Response, Write};
use tokio::sync::oneshot;

use crate::metrics::Metrics;
use crate::pool::{NaivePool, PoolOptions};
use crate::store::mailbox::{Outcome, Reply, Submission};
use crate::store::{Destination, Limits, Store, StoreError, StoreOptions};

/// An engine whose disk is full for puts, or that panics at a key.
#[derive(Debug, Default)]
struct Faulty {
    memory: Memory,
    full: bool,
    writes: AtomicU64,
}

impl Engine for Faulty {
    fn write(&self, batch: Batch, durability: Durability) -> engine::Result<()> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        for write in batch.writes() {
            match write {
                EngineWrite::Put { key, .. } if &key[..] == b"rpanic" => panic!("on purpose"),
                EngineWrite::Put { .. } if self.full => {
                    let (file, source) = (PathBuf::from("f"), io::ErrorKind::StorageFull.into());
                    return Err(engine::Error::DiskFull { file, source });
                }
                _ => {}
            }
        }
        self.memory.write(batch, durability)
    }

    fn get(&self, cf: Cf, key: &[u8]) -> engine::Result<Option<Bytes>> {
        self.memory.get(cf, key)
    }

    fn view(&self) -> engine::Result<Arc<dyn View>> {
        self.memory.view()
    }

    fn flush(&self) -> engine::Result<()> {
        Ok(())
    }

    fn merge(&self) -> engine::Result<()> {
        Ok(())
    }

    fn stats(&self) -> Stats {
        self.memory.stats()
    }
}

fn store(engine: Arc<Faulty>) -> Store {
    let options = StoreOptions {
        engine,
        durability: Durability::Always,
        pool: Arc::new(NaivePool::new(PoolOptions { threads: 1, jobs_max: 1 })),
        metrics: Arc::new(Metrics::default()),
        limits: Limits { requests_max: 100, bytes_max: 1000 },
    };
    Store::new(options).expect("the engine is empty")
}

fn put(key: &'static str) -> Write {
    let (key, value) = (Bytes::from_static(key.as_bytes()), Bytes::from_static(b"value"));
    Write::Put { cf: Cf::Default, key, value, expiry: Expiry::Never }
}

fn delete(key: &'static str) -> Write {
    Write::Delete { cf: Cf::Default, keys: vec![Bytes::from_static(key.as_bytes())] }
}

/// Carries out chunks of one write each, as one group.
fn commit(store: &Store, writes: Vec<Write>) -> Vec<Outcome> {
    let submissions = writes.into_iter().map(|write| {
        let (to, _) = oneshot::channel();
        let permit = store.admission.enter(1, 0).expect("there is room");
        let chunk = Chunk::from(vec![write.into()]);
        Submission { chunk, reply: Reply::new(Destination::Once(to), permit) }
    });
    store.commit(submissions.collect()).into_iter().map(|answer| answer.outcome).collect()
}

#[test]
fn after_a_panic_nothing_is_written_and_everybody_is_told() {
    let engine = Arc::new(Faulty::default());
    let store = store(Arc::clone(&engine));
    let outcomes = commit(&store, vec![put("a"), put("panic")]);
    assert!(outcomes.iter().all(|it| matches!(it, Err(StoreError::Lost))), "{outcomes:?}");
    let outcomes = commit(&store, vec![put("b")]);
    assert!(matches!(outcomes[..], [Err(StoreError::Stopped)]), "{outcomes:?}");
    assert!(!store.tick());
    assert_eq!(engine.writes.load(Ordering::SeqCst), 1);
    assert!(store.failure().is_some());
    assert_eq!(store.admission.requests(), 0);
}

#[test]
fn on_a_full_disk_a_delete_is_done_beside_puts_that_fail() {
    let engine = Arc::new(Faulty { full: true, ..Faulty::default() });
    let mut batch = Batch::new();
    let value = node::format::encode_value(b"1", None);
    batch.put(Cf::Default, node::format::encode_key(b"a"), value);
    engine.memory.write(batch, Durability::Never).expect("memory takes it");
    let store = store(engine);
    let outcomes = commit(&store, vec![put("b"), delete("a"), put("c")]);
    assert!(matches!(outcomes[0], Err(StoreError::Failed(_))), "{outcomes:?}");
    assert!(matches!(outcomes[1].as_deref(), Ok([Response::Count(1)])), "{outcomes:?}");
    assert!(matches!(outcomes[2], Err(StoreError::Failed(_))), "{outcomes:?}");
    assert_eq!(store.keys(), 0);
}
