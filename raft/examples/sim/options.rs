//! What a seed decides before anything happens.

use rand::RngExt;
use rand::rngs::SmallRng;
use tinykv_raft::{Config, NodeId, ReadMode, SendPolicy};

/// How many nodes there are; at first some of them are no members.
pub(crate) const NODES: u64 = 6;

/// Time units between two ticks.
pub(crate) const TICK: u64 = 10;

/// The options of one run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The founding members are nodes 1 to this.
    pub(crate) founders: u64,
    /// The options of all nodes.
    pub(crate) config: Config,
    /// Of 1000 messages, how many are lost, and how many arrive twice.
    pub(crate) loss: u32,
    pub(crate) duplication: u32,
    /// The longest delay of a message, of a write and of applying, in time units.
    pub(crate) message_delay: u64,
    pub(crate) write_delay: u64,
    pub(crate) apply_delay: u64,
    /// Nodes stop for a while; not with leases, which need clocks of one speed.
    pub(crate) pauses: bool,
    /// The membership changes.
    pub(crate) churn: bool,
    /// A node finds entries damaged when it restarts.
    pub(crate) damaged: Option<u64>,
    /// How long faults go on, in time units.
    pub(crate) duration: u64,
}

/// Returns one of `choices`.
pub(crate) fn pick<T: Copy>(rng: &mut SmallRng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}

impl Options {
    pub(crate) fn draw(rng: &mut SmallRng) -> Options {
        let check_quorum = rng.random_bool(0.5);
        let lease = check_quorum && rng.random_bool(0.4);
        let message_bytes_max = pick(rng, &[1, 40, 1 << 20]);
        let config = Config {
            pre_vote: rng.random_bool(0.5),
            check_quorum,
            reads: if lease { ReadMode::Lease } else { ReadMode::Quorum },
            send: pick(rng, &[SendPolicy::Coalesce, SendPolicy::Coalesce, SendPolicy::Immediate]),
            async_writes: rng.random_bool(0.75),
            step_down_on_removal: rng.random_bool(0.5),
            message_bytes_max,
            inflight_messages_max: pick(rng, &[1, 4, 256]),
            inflight_bytes_max: pick(rng, &[message_bytes_max, 64 << 20]).max(message_bytes_max),
            uncommitted_bytes_max: pick(rng, &[100, 1 << 20]),
            applying_bytes_max: pick(rng, &[1, 60, 1 << 20]),
            snapshot_ticks: pick(rng, &[20, 200]),
            ..Config::new(NodeId(1))
        };
        let founders = rng.random_range(3..=5);
        let damage = rng.random_bool(0.2);
        Options {
            founders,
            config,
            loss: pick(rng, &[0, 20, 100]),
            duplication: pick(rng, &[0, 20, 100]),
            message_delay: pick(rng, &[2, 12, 60]),
            write_delay: pick(rng, &[1, 10, 60, 300]),
            apply_delay: pick(rng, &[1, 10, 60, 300]),
            pauses: !lease && rng.random_bool(0.5),
            churn: !damage && rng.random_bool(0.7),
            damaged: damage.then(|| rng.random_range(1..=founders)),
            duration: pick(rng, &[1500, 3000, 5000]),
        }
    }
}
