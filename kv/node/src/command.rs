//! What a client can ask of a store: a closed set.
//!
//! A [`Command`] touches keys that it names, so that it can run in a chunk and see the writes
//! before it. A range is read with a [`Scan`](crate::Scan) from a view instead.

use bytes::Bytes;
use engine::Cf;

use crate::Time;

/// Commands of one client, executed in order and durable together: after a crash either all their
/// writes are there or none. Commands of other clients never run in between. One that fails does
/// not keep the others from being carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The commands in order.
    pub commands: Vec<Command>,
    /// Whether it is refused where its keys lie in several regions; otherwise each region carries
    /// its part out by itself.
    pub is_atomic: bool,
}

impl From<Vec<Command>> for Chunk {
    fn from(commands: Vec<Command>) -> Chunk {
        Chunk { commands, is_atomic: false }
    }
}

/// A command on keys that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// It changes nothing.
    Read(Read),
    /// It may change something.
    Write(Write),
}

/// A command that changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Reads a key. Answered by `Value`.
    Get {
        /// The column family.
        cf: Cf,
        /// The key.
        key: Bytes,
    },
    /// Reads many keys at one moment. Answered by `Values`.
    GetMany {
        /// The column family.
        cf: Cf,
        /// The keys.
        keys: Vec<Bytes>,
    },
    /// Counts the keys that exist, one that is named twice twice. Answered by `Count`.
    Exists {
        /// The column family.
        cf: Cf,
        /// The keys.
        keys: Vec<Bytes>,
    },
    /// Asks for the time to live of a key. Answered by `Ttl`.
    Ttl {
        /// The column family.
        cf: Cf,
        /// The key.
        key: Bytes,
    },
}

/// A command that may change something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets a key. Answered by `Done`.
    Put {
        /// The column family.
        cf: Cf,
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
        /// When it expires.
        expiry: Expiry,
    },
    /// Sets many keys; of one that is there twice, the last value counts. Answered by `Done`.
    PutMany {
        /// The column family.
        cf: Cf,
        /// Keys and their new values.
        pairs: Vec<(Bytes, Bytes)>,
        /// When they expire.
        expiry: Expiry,
    },
    /// Sets many keys if none of them exists. Answered by `Changed`.
    PutManyIfAbsent {
        /// The column family.
        cf: Cf,
        /// Keys and their new values.
        pairs: Vec<(Bytes, Bytes)>,
    },
    /// Sets a key if a condition holds. Answered by `Stored`.
    PutIf {
        /// The column family.
        cf: Cf,
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
        /// When it expires.
        expiry: Expiry,
        /// What must hold.
        condition: Condition,
    },
    /// Removes keys. Answered by `Count`: how many there were.
    Delete {
        /// The column family.
        cf: Cf,
        /// The keys.
        keys: Vec<Bytes>,
    },
    /// Removes a key. Answered by `Value`: the one before.
    GetDelete {
        /// The column family.
        cf: Cf,
        /// The key.
        key: Bytes,
    },
    /// Removes all keys from `start` to before `end`. Answered by `Done`.
    DeleteRange {
        /// The column family.
        cf: Cf,
        /// The first key.
        start: Bytes,
        /// The key after the last one; none: to the last there is.
        end: Option<Bytes>,
    },
    /// Adds to a number; an absent key counts as 0. Answered by `Integer`.
    Add {
        /// The column family.
        cf: Cf,
        /// The key.
        key: Bytes,
        /// What to add.
        delta: i64,
    },
    /// Adds bytes at the end of a value; an absent key counts as empty. Answered by `Count`: the
    /// new length.
    Append {
        /// The column family.
        cf: Cf,
        /// The key.
        key: Bytes,
        /// The bytes to add.
        tail: Bytes,
    },
    /// Adds to a decimal fraction; an absent key counts as 0. Answered by `Value`: the sum.
    AddFloat {
        /// The column family.
        cf: Cf,
        /// The key.
        key: Bytes,
        /// What to add, as a decimal text: see [`is_float`](crate::is_float).
        delta: Bytes,
    },
    /// Overwrites a part of a value; an absent key counts as empty, and zeros fill a gap. Answered
    /// by `Count`: the new length. An empty part changes nothing.
    SetRange {
        /// The column family.
        cf: Cf,
        /// The key.
        key: Bytes,
        /// Where the part begins, in bytes.
        offset: u64,
        /// The part.
        part: Bytes,
    },
    /// Sets a bit of a value; an absent key counts as empty, and zeros fill a gap. Answered by
    /// `Integer`: what the bit was.
    SetBit {
        /// The column family.
        cf: Cf,
        /// The key.
        key: Bytes,
        /// Which bit: 0 is the highest of the first byte.
        offset: u64,
        /// What it shall be.
        bit: bool,
    },
    /// Copies a key with its expiry to another one. Answered by `Changed`.
    CopyKey {
        /// The column family.
        cf: Cf,
        /// The key.
        from: Bytes,
        /// The other one.
        to: Bytes,
        /// Whether it may exist.
        replaces: bool,
        /// Whether the first is removed. Then it is an error if it is absent.
        moves: bool,
    },
    /// Changes when a key expires. Answered by `Changed`.
    SetExpiry {
        /// The column family.
        cf: Cf,
        /// The key.
        key: Bytes,
        /// When it expires from now on.
        expiry: Expiry,
        /// What must hold.
        when: When,
    },
    /// Reads a key and changes when it expires. Answered by `Value`.
    GetSetExpiry {
        /// The column family.
        cf: Cf,
        /// The key.
        key: Bytes,
        /// When it expires from now on.
        expiry: Expiry,
    },
}

/// When a key that is written expires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    #[default]
    Never,
    /// At that moment; if it has passed, the key is removed at once.
    At(Time),
    /// As before.
    Keep,
}

/// What a conditional put demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: it is asked for its previous value.
    Always,
    /// The key is absent.
    Absent,
    /// The key exists.
    Present,
    /// The key has this value.
    Equals(Bytes),
}

/// What a change of an expiry demands of the one before. A key that never expires counts as one
/// that expires after all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// It never expires now.
    pub forever: bool,
    /// It expires now.
    pub expiring: bool,
    /// The new expiry is later.
    pub later: bool,
    /// The new expiry is earlier.
    pub earlier: bool,
}

impl Command {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self, Command::Read(_))
    }

    /// Bytes of keys and values in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Command::Read(read) => read.bytes(),
            Command::Write(write) => write.bytes(),
        }
    }
}

impl Read {
    /// Bytes of keys in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Read::Get { key, .. } | Read::Ttl { key, .. } => key.len(),
            Read::GetMany { keys, .. } | Read::Exists { keys, .. } => {
                keys.iter().map(Bytes::len).sum()
            }
        }
    }
}

impl Write {
    /// Bytes of keys and values in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let all = |keys: &[Bytes]| keys.iter().map(Bytes::len).sum();
        let both = |pairs: &[(Bytes, Bytes)]| {
            pairs.iter().map(|(key, value)| key.len() + value.len()).sum()
        };
        match self {
            Write::Put { key, value, .. } | Write::PutIf { key, value, .. } => {
                key.len() + value.len()
            }
            Write::PutMany { pairs, .. } | Write::PutManyIfAbsent { pairs, .. } => both(pairs),
            Write::Delete { keys, .. } => all(keys),
            Write::DeleteRange { start, end, .. } => {
                start.len() + end.as_ref().map_or(0, Bytes::len)
            }
            Write::Append { key, tail, .. } => key.len() + tail.len(),
            Write::AddFloat { key, delta, .. } => key.len() + delta.len(),
            Write::SetRange { key, part, .. } => key.len() + part.len(),
            Write::CopyKey { from, to, .. } => from.len() + to.len(),
            Write::GetDelete { key, .. }
            | Write::Add { key, .. }
            | Write::SetBit { key, .. }
            | Write::SetExpiry { key, .. }
            | Write::GetSetExpiry { key, .. } => key.len(),
        }
    }
}

impl From<Read> for Command {
    fn from(read: Read) -> Command {
        Command::Read(read)
    }
}

impl From<Write> for Command {
    fn from(write: Write) -> Command {
        Command::Write(write)
    }
}
