//! The cursors of `SCAN`: a number for the client, and the key from which to go on for us.
//!
//! Keys are listed in order, so that a key that exists throughout is found whatever else comes
//! and goes. A cursor stays valid when it was used, so that a client may ask again; the oldest
//! are forgotten when there are too many, and then the scan has to begin anew.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::Mutex;

/// The most cursors that are remembered.
const CURSORS_MAX: usize = 1 << 16;

/// The most bytes of keys that are remembered.
const BYTES_MAX: usize = 16 << 20;

/// All cursors of a server.
#[derive(Debug)]
pub(crate) struct Cursors {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    next: u64,
    keys: BTreeMap<u64, Bytes>,
    bytes: usize,
}

impl Default for Cursors {
    fn default() -> Cursors {
        // A cursor of an earlier run shall not be taken for one of this run. Clients take it for
        // a signed number.
        let next = (rand::random::<u64>() >> 8) + 1;
        Cursors { state: Mutex::new(State { next, keys: BTreeMap::new(), bytes: 0 }) }
    }
}

impl Cursors {
    /// A cursor that goes on with this key.
    pub(super) fn make(&self, key: Bytes) -> u64 {
        let mut state = self.state.lock();
        while state.keys.len() >= CURSORS_MAX || state.bytes + key.len() > BYTES_MAX {
            let Some((_, oldest)) = state.keys.pop_first() else { break };
            state.bytes -= oldest.len();
        }
        let cursor = state.next;
        state.next += 1;
        state.bytes += key.len();
        state.keys.insert(cursor, key);
        cursor
    }

    /// The key with which a cursor goes on; none if it is not known.
    pub(super) fn key(&self, cursor: u64) -> Option<Bytes> {
        self.state.lock().keys.get(&cursor).cloned()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{BYTES_MAX, CURSORS_MAX, Cursors};

    #[test]
    fn cursors_are_remembered_within_limits() {
        let cursors = Cursors::default();
        let first = cursors.make(Bytes::from_static(b"a"));
        assert_eq!(cursors.key(first).as_deref(), Some(&b"a"[..]));
        assert_eq!(cursors.key(first).as_deref(), Some(&b"a"[..]));
        for _ in 0..CURSORS_MAX {
            cursors.make(Bytes::from_static(b"b"));
        }
        assert_eq!(cursors.key(first), None);
        let large = Bytes::from(vec![0; BYTES_MAX / 2]);
        let (one, two, three) =
            (cursors.make(large.clone()), cursors.make(large.clone()), cursors.make(large));
        assert!(cursors.key(one).is_none() && cursors.key(two).is_some());
        assert!(cursors.key(three).is_some());
    }
}
