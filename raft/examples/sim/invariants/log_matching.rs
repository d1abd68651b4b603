//! If two logs hold an entry with the same index and term, they are identical up to it (5.3).
//!
//! Checked by induction: whoever writes an entry of a term at an index writes the same entry, after
//! an entry of the same term.

use std::collections::BTreeMap;

use tinykv_raft::{Entry, Index, Term};

use super::{Check, entry_hash};

#[derive(Default)]
pub(super) struct LogMatching {
    /// For each entry the term of the one before it, if that is known, and a hash of what it says.
    entries: BTreeMap<(Index, Term), (Option<Term>, u64)>,
}

impl LogMatching {
    pub(super) fn check(&mut self, before: Option<&Entry>, entry: &Entry) -> Check {
        let now = (before.map(|before| before.term), entry_hash(0, entry));
        let known = self.entries.entry((entry.index, entry.term)).or_insert(now);
        known.0 = known.0.or(now.0);
        match known.1 == now.1 && now.0.is_none_or(|term| known.0 == Some(term)) {
            true => Ok(()),
            false => Err(format!("log matching: two different logs end with {}", entry.id())),
        }
    }
}
