//! What the world asks of a store's program: the trait [`Process`].
//!
//! A program has no thread, clock or socket. Whatever it wants done comes out of
//! [`Process::output`], which the world calls after everything it did to it.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use wal::ErrFs;

use crate::history::{Answer, Op};
use crate::network::Place;
use crate::queue::Micros;
use crate::scenario::Scenario;

/// Switches and numbers of a program that a seed decides, by name.
pub type Features = BTreeMap<String, u64>;

/// What a program is started with.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// For all chance in the program.
    pub seed: u64,
    /// This store.
    pub store: Place,
    /// How many stores there are: 1 to this.
    pub stores: u64,
    /// How often it was started before.
    pub life: u32,
    /// What the seed decided for all stores.
    pub features: &'a Features,
    /// What its clock shows.
    pub clock: Micros,
}

/// Kinds of work that a program does beside its own steps, each in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Writing the log.
    Log,
    /// Applying entries.
    Apply,
    /// Reading pieces of snapshots.
    Snapshot,
}

/// The program of a store.
pub trait Process: Sized {
    /// What programs say to each other.
    type Message: Clone;

    /// Draws what differs from run to run.
    fn features(rng: &mut SmallRng) -> Features;

    /// Whether the members of its groups can be changed.
    fn has_members() -> bool {
        false
    }

    /// Takes out of a scenario what the program does not claim to bear.
    fn adapt(_scenario: &mut Scenario) {}

    /// The group that a key belongs to.
    fn group(_features: &Features, _key: &str) -> u64 {
        1
    }

    /// Starts with what is on the disk.
    ///
    /// # Errors
    /// Why it does not start. It may be tried again.
    fn start(setup: &Setup<'_>, fs: ErrFs) -> Result<Self, String>;

    /// Lets one tick pass.
    fn tick(&mut self, clock: Micros);

    /// Takes a message.
    fn receive(&mut self, message: Self::Message, clock: Micros);

    /// Takes a request of a client, which is named by its call.
    fn request(&mut self, call: u64, op: &Op, clock: Micros);

    /// Does the oldest piece of work of a lane; nothing if there is none.
    fn work(&mut self, lane: Lane);

    /// Takes out what is to be done.
    fn output(&mut self) -> Output<Self::Message>;

    /// Whether it believes to lead a group.
    fn is_leader(&self) -> bool;

    /// Up to where each group is applied, and a digest of what it holds then.
    ///
    /// # Errors
    /// What cannot be read.
    fn states(&self) -> Result<Vec<State>, String>;

    /// The folders of its disk, whose files may rot; each as often as it is named.
    fn folders() -> &'static [&'static str];

    /// The end of what can be read of its log on a disk that nobody uses; none: it cannot be told.
    fn log_end(_fs: ErrFs) -> Option<u64> {
        None
    }

    /// What it holds for a key, whether it may serve it or not.
    ///
    /// # Errors
    /// What cannot be read.
    fn peek(&self, key: &str) -> Result<Option<String>, String>;

    /// What it holds of the log of each group, to see what damage has left.
    fn logs(&self) -> Vec<Log> {
        Vec::new()
    }

    /// Does what an operator wants, if it leads the group.
    fn admin(&mut self, _admin: &Admin, _clock: Micros) {}

    /// Damages a message in a way that its receiver must notice. Says whether it did: most messages
    /// are protected by whoever carries them.
    fn damage(_message: &mut Self::Message, _rng: &mut SmallRng) -> bool {
        false
    }

    /// Applied entries that its longest log still has.
    fn log_entries(&self) -> u64 {
        0
    }

    /// A few words on a message, for pictures.
    fn describe(message: &Self::Message) -> String;

    /// A number that tells messages apart, for the hash of the trace.
    fn digest(message: &Self::Message) -> u64;
}

/// What a program wants done, and what it did.
#[derive(Debug)]
pub struct Output<M> {
    /// To send.
    pub messages: Vec<(Place, M)>,
    /// To tell clients: each call at most once.
    pub replies: Vec<(u64, Reply)>,
    /// Pieces of work that are there now, one for each piece.
    pub work: Vec<Lane>,
    /// What it did that must hold for ever.
    pub facts: Vec<Fact>,
    /// What it found or did, in words, for pictures.
    pub notes: Vec<String>,
    /// What should never happen, and does not stop it.
    pub alarms: Vec<String>,
    /// It cannot go on: why. The world starts it anew after a while.
    pub stopped: Option<String>,
}

impl<M> Default for Output<M> {
    fn default() -> Output<M> {
        Output {
            messages: Vec::new(),
            replies: Vec::new(),
            work: Vec::new(),
            facts: Vec::new(),
            notes: Vec::new(),
            alarms: Vec::new(),
            stopped: None,
        }
    }
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It took effect.
    Done(Answer),
    /// It has no effect and never will; perhaps another store knows better.
    Refused {
        /// Why.
        why: String,
        /// Who may lead.
        leader: Option<Place>,
    },
    /// It may have an effect.
    Unknown {
        /// Why.
        why: String,
    },
}

/// What a program did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The raft group (region).
    pub group: u64,
    /// What.
    pub deed: Deed,
}

/// What a program did, in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It became the leader of a term.
    Leads {
        /// The term.
        term: u64,
    },
    /// It wrote an entry to its log.
    Appended {
        /// Of the entry.
        index: u64,
        /// Of the entry.
        term: u64,
        /// The term of the entry before it, if known.
        before: Option<u64>,
        /// Of what the entry says.
        digest: u64,
    },
    /// It knows that entries up to this one are committed.
    Committed {
        /// The commit index.
        index: u64,
    },
    /// It applied an entry.
    Applied {
        /// Of the entry.
        index: u64,
        /// Of the entry.
        term: u64,
        /// Of what the entry says.
        digest: u64,
    },
    /// It replaced its state by a snapshot.
    Restored {
        /// The last entry that the snapshot replaces.
        index: u64,
    },
    /// It forgot its log up to an entry.
    Compacted {
        /// The last entry that is gone.
        index: u64,
    },
    /// It has forgotten the group, of which it is no member any more.
    Gone,
}

/// The state machine of a group at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The raft group (region).
    pub group: u64,
    /// The last entry that was applied.
    pub applied: u64,
    /// Of all keys and values, and of what the group is.
    pub digest: u64,
    /// The stores that hold the group.
    pub members: Vec<Place>,
}

/// What a store holds of the log of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The raft group (region).
    pub group: u64,
    /// The stores that vote in it, as far as this one knows.
    pub voters: Vec<Place>,
    /// The last entry that is applied.
    pub applied: u64,
    /// The entries, ascending, without gaps; the first is the last one that was cut off.
    pub entries: Vec<Held>,
}

/// An entry of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Of the entry.
    pub index: u64,
    /// Of the entry.
    pub term: u64,
    /// It can be read.
    pub sound: bool,
}

/// What an operator wants of whoever leads a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admin {
    /// Hand over to the voter on a store.
    Transfer {
        /// The group.
        group: u64,
        /// The store.
        to: Place,
    },
    /// Change the member on a store: if there is none, it comes; a learner becomes a voter or
    /// leaves; a voter leaves.
    Member {
        /// The group.
        group: u64,
        /// The store.
        store: Place,
        /// A number that no member ever had.
        peer: u64,
    },
}
