//! A walk over the keys of a range as they were at one moment.

use std::sync::Arc;

use super::leaf::Leaf;
use super::tree::{Fan, Place, Root, Tree};
use crate::{Direction, Range};
use mutant::mutant;

/// Walks over the live keys of a range. It holds the pages that it walks on, which is right for
/// as long as the view of its sequence number is registered: see the module [`index`](super).
#[derive(Debug)]
pub(crate) struct Cursor<V> {
    root: Arc<Root<V>>,
    chunk: usize,
    page: Arc<Fan<Place<V>>>,
    place: usize,
    leaf: Arc<Leaf<V>>,
    /// The next key of the leaf forward, or the one after the next backward.
    at: usize,
    seq: u64,
    range: Range,
    direction: Direction,
    done: bool,
}

impl<V: Clone> Cursor<V> {
    pub(super) fn new(tree: &Tree<V>, seq: u64, range: Range, direction: Direction) -> Cursor<V> {
        let root = tree.root();
        let (chunk, page, place);
        let edge = match direction {
            Direction::Forward => Some(&range.start[..]),
            Direction::Backward => range.end.as_deref(),
        };
        match edge {
            Some(key) => {
                chunk = root.find(key);
                page = root.child(chunk).page.load_full();
                place = page.find(key);
            }
            None => {
                chunk = root.len() - 1;
                page = root.child(chunk).page.load_full();
                place = page.len() - 1;
            }
        }
        let leaf = page.child(place).load_full();
        let at = edge.map_or(leaf.len(), |key| leaf.search(key).unwrap_or_else(|i| i));
        let done = range.end.as_ref().is_some_and(|end| *end <= range.start);
        Cursor { root, chunk, page, place, leaf, at, seq, range, direction, done }
    }

    /// Calls `read` with the next key, its sequence number and its value.
    pub(crate) fn next<R>(&mut self, read: impl FnOnce(&[u8], u64, &V) -> R) -> Option<R> {
        while !self.done {
            let Some(at) = self.step() else {
                self.done = !self.turn();
                continue;
            };
            let key = self.leaf.key(at);
            self.done = match self.direction {
                Direction::Forward => self.range.end.as_ref().is_some_and(|end| {
                    key >= &end[..] && !(mutant!("scan-end-included") && key == &end[..])
                }),
                Direction::Backward => key < &self.range.start[..],
            };
            if self.done {
                break;
            }
            let seq = if mutant!("cursor-sees-later-writes") { u64::MAX } else { self.seq };
            if let Some((seq, value)) = self.leaf.visible(at, seq) {
                return Some(read(key, seq, value));
            }
        }
        None
    }

    /// The next position in this leaf.
    fn step(&mut self) -> Option<usize> {
        match self.direction {
            Direction::Forward => {
                let at = self.at;
                self.at += 1;
                (at < self.leaf.len()).then_some(at)
            }
            Direction::Backward => {
                self.at = self.at.checked_sub(1)?;
                Some(self.at)
            }
        }
    }

    /// Goes to the next leaf, if there is one.
    fn turn(&mut self) -> bool {
        match self.direction {
            Direction::Forward if self.place + 1 < self.page.len() => self.place += 1,
            Direction::Forward if self.chunk + 1 < self.root.len() => {
                self.chunk += 1;
                self.page = self.root.child(self.chunk).page.load_full();
                self.place = 0;
            }
            Direction::Backward if self.place > 0 => self.place -= 1,
            Direction::Backward if self.chunk > 0 => {
                self.chunk -= 1;
                self.page = self.root.child(self.chunk).page.load_full();
                self.place = self.page.len() - 1;
            }
            _ => return false,
        }
        self.leaf = self.page.child(self.place).load_full();
        self.at = match self.direction {
            Direction::Forward => 0,
            Direction::Backward => self.leaf.len(),
        };
        true
    }
}
