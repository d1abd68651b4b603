//! A group in which anything may happen next: a message arrives, late or twice or never, time passes,
//! a command comes, a member restarts.
#![expect(clippy::unwrap_used, reason = "a test wants to fail at the place of the surprise")]
#![expect(clippy::print_stdout, reason = "a failure says how to replay it")]

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tinykv_raft::Message;

use crate::cluster::{Member, stage_config};

/// How many runs, and how many steps in each.
const SEEDS: u64 = 120;
const STEPS: u32 = 400;

/// The members 1 to n and what is on its way between them.
pub(crate) struct Chaos {
    pub(crate) members: Vec<Member>,
    flying: Vec<Message>,
    rng: SmallRng,
    commands: u32,
}

/// Runs many groups and calls `check` after every step; `fresh` makes what a check remembers of one
/// run.
pub(crate) fn search<M>(fresh: impl Fn() -> M, check: impl Fn(&mut M, &Chaos)) {
    let one = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
    let seeds = one.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let mut committed = 0;
    for seed in seeds {
        let mut group = Chaos::new(seed);
        let mut memory = fresh();
        for step in 0..STEPS {
            group.step();
            let checked = std::panic::AssertUnwindSafe(|| check(&mut memory, &group));
            if let Err(panic) = std::panic::catch_unwind(checked) {
                println!(
                    "step {step}; replay: SEED={seed} cargo test -p tinykv-raft --test safety"
                );
                std::panic::resume_unwind(panic);
            }
        }
        committed += group.members.iter().map(|member| member.applied.len()).max().unwrap_or(0);
    }
    assert!(committed > 0 || one.is_some(), "a search in which nothing is committed shows nothing");
}

impl Chaos {
    fn new(seed: u64) -> Chaos {
        let mut rng = SmallRng::seed_from_u64(seed);
        let size = if rng.random_bool(0.5) { 3 } else { 5 };
        let voters: Vec<u64> = (1..=size).collect();
        let members = voters.iter().map(|id| Member::of(*id, &voters)).collect();
        Chaos { members, flying: Vec::new(), rng, commands: 0 }
    }

    fn step(&mut self) {
        let place = self.rng.random_range(0..self.members.len());
        match self.rng.random_range(0..100) {
            0..22 => self.members[place].node.tick(),
            22..80 => self.arrive(),
            80..84 => drop(self.pick()),
            84..88 => {
                let copy = self.pick_copy();
                self.flying.extend(copy);
            }
            88..98 => self.command(place),
            _ => self.restart(place),
        }
        for member in &mut self.members {
            self.flying.extend(member.work());
        }
    }

    fn pick(&mut self) -> Option<Message> {
        match self.flying.len() {
            0 => None,
            count => Some(self.flying.swap_remove(self.rng.random_range(0..count))),
        }
    }

    fn pick_copy(&mut self) -> Option<Message> {
        let count = self.flying.len();
        (count > 0).then(|| self.flying[self.rng.random_range(0..count)].clone())
    }

    fn arrive(&mut self) {
        if let Some(message) = self.pick() {
            let to = message.to.0 as usize - 1;
            self.members[to].node.step(message).unwrap();
        }
    }

    fn command(&mut self, place: usize) {
        let node = &mut self.members[place].node;
        if node.is_leader() {
            self.commands += 1;
            node.propose(Bytes::from(format!("command {}", self.commands))).unwrap();
        }
    }

    /// Starts a member anew from its disk. Its state machine is durable at once.
    fn restart(&mut self, place: usize) {
        let member = &self.members[place];
        let mut config = stage_config(member.node.id().0);
        config.applied = member.node.applied_index();
        let applied = member.applied.clone();
        self.members[place] = Member::new(config, member.node.storage().clone());
        self.members[place].applied = applied;
    }
}
