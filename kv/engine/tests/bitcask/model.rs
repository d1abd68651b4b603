//! Random operations against a model: `CASES` series from `SEED`, shrunk when they fail.
//!
//! The model knows every content that the store had since what is durable for sure. After a crash one
//! of these must be there; everything else must be as the model says, at every step.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use tinykv_engine::bitcask::Bitcask;
use tinykv_engine::{Batch, Cf, Durability, Engine, Range, View, Write};
use wal::{MemFs, Seeded};

use crate::store::{Content, maintain, open, setting};

/// One operation.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Write(Batch, Durability),
    Flush,
    Merge,
    Maintain,
    TakeView,
    DropView(usize),
    Reopen,
    /// A power loss, and what it keeps.
    Crash(u64),
    /// A power loss during an operation of the store: after so many operations of the disk.
    CrashIn(u64, u64, Batch),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0..12_u8).prop_map(|n| format!("key {n}").into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), prop_oneof![Just(0), 0..60_usize, 400..700_usize, 2000..5000_usize])
        .prop_map(|(byte, len)| (0..len).map(|n| byte.wrapping_add(n as u8)).collect())
}

fn batch() -> impl Strategy<Value = Batch> {
    let cf = || (0..Cf::ALL.len()).prop_map(|index| Cf::ALL[index]);
    let one = prop_oneof![
        6 => (cf(), key(), value()).prop_map(|(cf, key, value)| {
            let mut batch = Batch::new();
            batch.put(cf, key, value);
            batch
        }),
        3 => (cf(), key()).prop_map(|(cf, key)| {
            let mut batch = Batch::new();
            batch.delete(cf, key);
            batch
        }),
        1 => (cf(), key(), proptest::option::of(key())).prop_map(|(cf, start, end)| {
            let mut batch = Batch::new();
            batch.delete_range(cf, Range { start: start.into(), end: end.map(Into::into) });
            batch
        }),
    ];
    proptest::collection::vec(one, 1..5).prop_map(|parts| {
        let mut batch = Batch::new();
        for part in parts {
            batch.append(part);
        }
        batch
    })
}

/// Whether there is nothing to write, so that nothing need be synced.
fn is_empty(batch: &Batch) -> bool {
    batch.writes().iter().all(|write| match write {
        Write::DeleteRange { range, .. } => range.end.as_ref().is_some_and(|e| *e <= range.start),
        _ => false,
    })
}

/// Which series of operations there are: all.
pub(crate) struct Any;

impl ReferenceStateMachine for Any {
    type State = ();
    type Transition = Op;

    fn init_state() -> BoxedStrategy<()> {
        Just(()).boxed()
    }

    fn transitions((): &()) -> BoxedStrategy<Op> {
        let durability = prop_oneof![Just(Durability::Always), Just(Durability::Never)];
        prop_oneof![
            12 => (batch(), durability).prop_map(|(batch, durability)| Op::Write(batch, durability)),
            1 => Just(Op::Flush),
            2 => Just(Op::Merge),
            1 => Just(Op::Maintain),
            1 => Just(Op::TakeView),
            1 => any::<usize>().prop_map(Op::DropView),
            1 => Just(Op::Reopen),
            1 => any::<u64>().prop_map(Op::Crash),
            1 => (any::<u64>(), 0..12_u64, batch())
                .prop_map(|(seed, after, batch)| Op::CrashIn(seed, after, batch)),
        ]
        .boxed()
    }

    fn apply((): (), _: &Op) {}
}

/// The store and the model.
pub(crate) struct Store {
    fs: MemFs,
    engine: Option<Bitcask>,
    /// Every content since the one that is durable for sure, which is the first; the last is now.
    contents: Vec<Content>,
    views: Vec<(Arc<dyn View>, Content)>,
}

impl Store {
    fn engine(&self) -> &Bitcask {
        self.engine.as_ref().expect("open between the operations")
    }

    fn now(&self) -> &Content {
        self.contents.last().expect("at least one")
    }

    fn wrote(&mut self, batch: &Batch) {
        let mut content = self.now().clone();
        content.apply(batch);
        self.contents.push(content);
    }

    fn made_durable(&mut self) {
        let now = self.now().clone();
        self.contents = vec![now];
    }

    fn reopen(&mut self) {
        self.views.clear();
        drop(self.engine.take());
        self.engine = Some(open(Arc::new(self.fs.clone())).unwrap());
    }

    fn crash(&mut self, seed: u64) {
        self.fs = self.fs.crash(&mut Seeded::new(seed));
        self.reopen();
        let found = Content::read(self.engine()).unwrap();
        assert!(self.contents.contains(&found), "after a crash: {found:?}");
        self.contents = vec![found];
    }
}

impl StateMachineTest for Store {
    type SystemUnderTest = Store;
    type Reference = Any;

    fn init_test((): &()) -> Store {
        let fs = MemFs::new();
        let engine = Some(open(Arc::new(fs.clone())).unwrap());
        Store { fs, engine, contents: vec![Content::default()], views: Vec::new() }
    }

    fn apply(mut store: Store, (): &(), op: Op) -> Store {
        match op {
            Op::Write(batch, durability) => {
                store.engine().write(batch.clone(), durability).unwrap();
                store.wrote(&batch);
                if durability == Durability::Always && !is_empty(&batch) {
                    store.made_durable();
                }
            }
            Op::Flush => {
                store.engine().flush().unwrap();
                store.made_durable();
            }
            Op::Merge => store.engine().merge().unwrap(),
            Op::Maintain => maintain(store.engine()).unwrap(),
            Op::TakeView => {
                let view = store.engine().view().unwrap();
                store.views.push((view, store.now().clone()));
            }
            Op::DropView(number) => {
                if !store.views.is_empty() {
                    let number = number % store.views.len();
                    store.views.swap_remove(number);
                }
            }
            Op::Reopen => store.reopen(),
            Op::Crash(seed) => store.crash(seed),
            Op::CrashIn(seed, after, batch) => {
                store.fs.set_crash_after(store.fs.operations() + after);
                let written = store.engine().write(batch.clone(), Durability::Always).is_ok();
                store.wrote(&batch);
                if written {
                    if !is_empty(&batch) {
                        store.made_durable();
                    }
                    let _ = store.engine().merge();
                }
                store.crash(seed);
            }
        }
        store
    }

    fn check_invariants(store: &Store, (): &()) {
        assert_eq!(Content::read(store.engine()).unwrap(), *store.now());
        for (view, content) in &store.views {
            assert_eq!(Content::read_view(&**view).unwrap(), *content, "a view");
        }
    }
}

prop_state_machine! {
    #![proptest_config(Config {
        cases: setting("CASES", 200) as u32,
        rng_seed: RngSeed::Fixed(setting("SEED", 1)),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    })]

    #[test]
    fn behaves_like_its_model(sequential 1..40 => Store);
}
