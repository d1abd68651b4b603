//! One command of a client: its words, as slices of the read buffer.

use std::fmt;
use std::ops::Index;

use bytes::Bytes;
use smallvec::SmallVec;

/// Where an argument lies in a command's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Its first byte.
    pub(super) start: u32,
    /// The byte behind its last one.
    pub(super) end: u32,
}

/// The spans of a command: eight of them need no allocation, which is room for a `SET` with all
/// its options.
pub(super) type Spans = SmallVec<[Span; 8]>;

/// A command and its arguments: never empty, the name is argument 0.
///
/// The arguments are slices of the connection's read buffer and keep it alive: copy what is
/// kept for longer than the command runs.
#[derive(Clone)]
pub struct Command {
    /// The request as it came, or the words of an inline command.
    data: Bytes,
    /// The arguments; every span lies within `data`.
    spans: Spans,
}

impl Command {
    /// Makes a command of `data` and where its arguments lie in it.
    pub(super) fn new(data: Bytes, spans: Spans) -> Command {
        Command { data, spans }
    }

    /// How many words there are, the name included: at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a command is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The name as it was sent, in any case.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self[0]
    }

    /// Argument `index`, if there is one. 0 is the name.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.spans.get(index).map(|span| &self.data[span.start as usize..span.end as usize])
    }

    /// Argument `index` as a slice that shares the read buffer; no bytes are copied.
    #[must_use]
    pub fn bytes(&self, index: usize) -> Option<Bytes> {
        self.spans.get(index).map(|span| self.data.slice(span.start as usize..span.end as usize))
    }

    /// A copy that shares nothing with the read buffer, to be kept.
    #[must_use]
    pub fn detach(&self) -> Command {
        Command { data: Bytes::copy_from_slice(&self.data), spans: self.spans.clone() }
    }

    /// The size of the request in bytes, as it came.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        self.data.len()
    }

    /// The arguments in order, the name first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + '_ {
        self.spans.iter().map(|span| &self.data[span.start as usize..span.end as usize])
    }
}

impl Index<usize> for Command {
    type Output = [u8];

    /// Argument `index`.
    ///
    /// # Panics
    /// If there are not so many; [`Command::get`] asks.
    fn index(&self, index: usize) -> &[u8] {
        self.get(index).expect("the caller checked the number of arguments")
    }
}

impl PartialEq for Command {
    /// Whether the words are the same, however they were sent.
    fn eq(&self, other: &Command) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Command {}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|word| word.escape_ascii().to_string())).finish()
    }
}
