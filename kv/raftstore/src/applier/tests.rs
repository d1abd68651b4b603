//! The applier alone, on an engine in memory: what stages reach only with splits, and its batches.

use engine::Memory;
use proto::peer::{Epoch, Peer};
use raft::{Membership, Term};

use super::*;
use crate::machine::Executed;

/// Puts each command as a key.
#[derive(Debug)]
struct Keys;

impl StateMachine for Keys {
    type Response = u64;

    fn execute(
        &mut self,
        _: &dyn Engine,
        _: &Region,
        commands: &[Timed],
    ) -> engine::Result<Executed<u64>> {
        let mut batch = Batch::new();
        for command in commands {
            batch.put(Cf::Default, command.command.clone(), Bytes::new());
        }
        Ok(Executed { batch, responses: commands.iter().map(|it| Ok(it.time)).collect() })
    }

    fn reset(&mut self, _: &dyn Engine) -> engine::Result<()> {
        Ok(())
    }

    fn ranges(_: &Region) -> Vec<(Cf, engine::Range)> {
        vec![(Cf::Default, engine::Range::all())]
    }

    fn owns(_: &Region, _: Cf, _: &[u8]) -> bool {
        true
    }
}

const REGION: RegionId = RegionId(7);

fn applier(engine: &Arc<dyn Engine>) -> Applier<Keys> {
    Applier::open(Arc::clone(engine), Keys).expect("a memory engine opens")
}

fn create() -> Task {
    let region = Region {
        id: REGION,
        epoch: Epoch { conf_ver: 1, version: 4 },
        peers: vec![Peer::voter(1, 1)],
        ..Region::default()
    };
    let state = RegionState { region, membership: Membership::of_voters([1]) };
    Task::Create { state, applied: AppliedState::default() }
}

fn apply(index: u64, version: u64, time: u64, command: &'static str) -> Task {
    let commands = vec![Bytes::from_static(command.as_bytes())];
    let envelope = Envelope { epoch: Epoch { conf_ver: 1, version }, time, commands };
    let payload = Payload::Normal(envelope.encode());
    let entry = Entry { term: Term(1), index: Index(index), payload };
    Task::Apply { region: REGION, entries: vec![Entries::new(vec![entry])] }
}

fn outcomes(done: Vec<Done<u64>>) -> Vec<Result2<u64>> {
    let outcomes = done.into_iter().flat_map(|done| match done {
        Done::Applied(applied) => applied.outcomes,
        _ => Vec::new(),
    });
    outcomes.flat_map(|(_, outcome)| outcome).collect()
}

#[test]
fn what_was_checked_against_an_older_range_is_not_carried_out() {
    let engine: Arc<dyn Engine> = Arc::new(Memory::new());
    let mut applier = applier(&engine);
    let tasks = vec![create(), apply(1, 3, 10, "old"), apply(2, 4, 10, "new")];
    let outcomes = outcomes(applier.run(tasks).expect("it runs"));
    assert!(matches!(&outcomes[0], Err(RegionError::EpochNotMatch { current })
        if current[0].epoch.version == 4));
    assert_eq!(outcomes[1], Ok(10));
    let has = |key: &[u8]| engine.get(Cf::Default, key).expect("it is in memory").is_some();
    assert!(!has(b"old") && has(b"new"));
}

#[test]
fn time_does_not_go_back_even_over_a_restart() {
    let engine: Arc<dyn Engine> = Arc::new(Memory::new());
    let tasks = vec![create(), apply(1, 4, 100, "one"), apply(2, 4, 90, "two")];
    let first = outcomes(applier(&engine).run(tasks).expect("it runs"));
    assert_eq!(first, [Ok(100), Ok(100)]);
    let mut again = applier(&engine);
    let tasks = vec![apply(2, 4, 90, "two"), apply(3, 4, 80, "three"), apply(4, 4, 110, "four")];
    let then = outcomes(again.run(tasks).expect("it runs"));
    assert_eq!(then, [Ok(100), Ok(110)], "entry 2 is applied already");
}

#[test]
fn entries_of_a_region_become_one_batch() {
    let engine: Arc<dyn Engine> = Arc::new(Memory::new());
    let mut applier = applier(&engine);
    applier.run(vec![create()]).expect("it runs");
    let before = engine.stats().batches;
    let tasks = (1..=5).map(|index| apply(index, 4, index, "key")).collect();
    let done = applier.run(tasks).expect("it runs");
    assert_eq!(done.len(), 1);
    assert!(engine.stats().batches <= before + 1);
    let (state, _) = load(engine.as_ref(), REGION).expect("it is whole").expect("it is there");
    assert_eq!(state, AppliedState { id: EntryId::new(1, 5), time: 5 });
}

#[test]
fn entries_of_a_region_that_is_gone_mean_nothing() {
    let engine: Arc<dyn Engine> = Arc::new(Memory::new());
    let mut applier = applier(&engine);
    applier.run(vec![create(), apply(1, 4, 1, "key")]).expect("it runs");
    let done = applier.run(vec![Task::Destroy { region: REGION }, apply(2, 4, 2, "late")]);
    assert!(matches!(done.expect("it runs")[..], [Done::Destroyed(REGION)]));
    assert!(engine.get(Cf::Default, b"late").expect("it is in memory").is_none());
    assert!(engine.get(Cf::Default, b"key").expect("it is in memory").is_none());
}
