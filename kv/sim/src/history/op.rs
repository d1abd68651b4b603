//! What a client can ask of a key-value store, and what it is told.

use serde::{Deserialize, Serialize};

/// An operation. Keys and values are text, so that people can read a history.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "f", rename_all = "kebab-case")]
pub enum Op {
    /// Reads a key. Answered by [`Answer::Value`].
    Get {
        /// The key.
        key: String,
    },
    /// Reads keys at one moment. Answered by [`Answer::Values`].
    GetMany {
        /// The keys.
        keys: Vec<String>,
    },
    /// Sets a key. Answered by [`Answer::Done`].
    Put {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Sets keys at one moment. Answered by [`Answer::Done`].
    PutMany {
        /// Keys and values.
        pairs: Vec<(String, String)>,
    },
    /// Adds at the end of a value; an absent key counts as empty. Answered by [`Answer::Count`]:
    /// the length in bytes thereafter.
    Append {
        /// The key.
        key: String,
        /// What to add.
        value: String,
    },
    /// Removes a key. Answered by [`Answer::Count`]: 1 if it was there.
    Delete {
        /// The key.
        key: String,
    },
    /// Sets a key if it has a value now. Answered by [`Answer::Stored`].
    Cas {
        /// The key.
        key: String,
        /// What it must hold; none: it must be absent.
        expected: Option<String>,
        /// Its value then.
        value: String,
    },
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is done.
    Done,
    /// The value of the key, none if it is absent.
    Value(Option<String>),
    /// The value of each key.
    Values(Vec<Option<String>>),
    /// A number.
    Count(u64),
    /// Whether the condition held.
    Stored(bool),
}

impl Op {
    /// The keys it touches, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let (one, many, pairs): (Option<&String>, &[String], &[(String, String)]) = match self {
            Op::Get { key }
            | Op::Put { key, .. }
            | Op::Append { key, .. }
            | Op::Delete { key }
            | Op::Cas { key, .. } => (Some(key), &[], &[]),
            Op::GetMany { keys } => (None, keys, &[]),
            Op::PutMany { pairs } => (None, &[], pairs),
        };
        let keys = one.into_iter().chain(many).chain(pairs.iter().map(|(key, _)| key));
        keys.map(String::as_str)
    }

    /// Whether it changes nothing, whatever it finds.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self, Op::Get { .. } | Op::GetMany { .. })
    }

    /// Whether an answer is of the kind that this operation has.
    #[must_use]
    pub fn fits(&self, answer: &Answer) -> bool {
        match (self, answer) {
            (Op::Get { .. }, Answer::Value(_))
            | (Op::Put { .. } | Op::PutMany { .. }, Answer::Done)
            | (Op::Append { .. } | Op::Delete { .. }, Answer::Count(_))
            | (Op::Cas { .. }, Answer::Stored(_)) => true,
            (Op::GetMany { keys }, Answer::Values(values)) => keys.len() == values.len(),
            _ => false,
        }
    }

    /// Few words for pictures.
    #[must_use]
    pub fn short(&self) -> String {
        match self {
            Op::Get { key } => format!("get {key}"),
            Op::GetMany { keys } => format!("get {}", keys.join(" ")),
            Op::Put { key, value } => format!("put {key} {value}"),
            Op::PutMany { pairs } => {
                let pairs: Vec<_> =
                    pairs.iter().map(|(key, value)| format!("{key} {value}")).collect();
                format!("put {}", pairs.join(", "))
            }
            Op::Append { key, value } => format!("append {key} {value}"),
            Op::Delete { key } => format!("delete {key}"),
            Op::Cas { key, expected, value } => {
                format!("cas {key} {} to {value}", shown(expected.as_deref()))
            }
        }
    }
}

impl Answer {
    /// Few words for pictures.
    #[must_use]
    pub fn short(&self) -> String {
        match self {
            Answer::Done => "done".to_owned(),
            Answer::Value(value) => shown(value.as_deref()).to_owned(),
            Answer::Values(values) => {
                let values: Vec<_> = values.iter().map(|value| shown(value.as_deref())).collect();
                values.join(" ")
            }
            Answer::Count(count) => count.to_string(),
            Answer::Stored(true) => "stored".to_owned(),
            Answer::Stored(false) => "not stored".to_owned(),
        }
    }
}

fn shown(value: Option<&str>) -> &str {
    value.unwrap_or("nothing")
}
