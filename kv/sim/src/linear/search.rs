//! Looks for an order of calls that explains their answers.
//!
//! Depth first: of the calls that may come next (those that begin before the first end that is not
//! yet passed) one is taken, if the store could have answered as it did, and so on; where none can
//! be taken, the last one is put back and the next is tried. Calls whose end is known come first,
//! in the order of their begins; open calls only where these do not help: an open call that is
//! taken must make a difference to the next answered call, since otherwise it could be left out, or
//! taken later.
//!
//! A state is given up where the next read that must come before any overwriting shows a value
//! that does not begin with it: without that, appends of unknown fate would be tried in all orders.
//!
//! The calls taken are known by a sum (exclusive or) of one random number for each, which together
//! with the state names the place in the search (Lowe, "Testing for linearizability", 2017).

use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::digest::Digest;
use super::model::{State, Step};
use super::observed::Observed;
use super::part::Part;
use super::pending::{Memory, Used};
use crate::history::Answer;

/// How the search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is an order.
    Found,
    /// There is none.
    Impossible {
        /// The call (a place in the part) whose end no order passes; the earliest such end.
        stuck: usize,
    },
    /// The budget was spent.
    Spent,
}

/// How far to look for the next read.
const LOOK_AHEAD: usize = 100;

/// Searches the calls of a part, in at most so many steps.
pub(super) fn search(part: &Part, steps_max: u64) -> Outcome {
    let slots: BTreeMap<&str, usize> =
        part.keys.iter().enumerate().map(|(slot, key)| (key.as_str(), slot)).collect();
    let observed = Observed::of(&part.calls);
    let mut search = Search {
        part,
        observed: &observed,
        line: Line::default(),
        answered: Vec::new(),
        open: Vec::new(),
        state: vec![Digest::ABSENT; part.keys.len()],
        taken: 0,
        used: Used::default(),
        memory: Memory::default(),
        stack: Vec::new(),
        furthest: None,
        joins: false,
    };
    let mut marks = Vec::new();
    for (place, call) in part.calls.iter().enumerate() {
        let answer = call.answer.as_ref();
        let Some(step) = Step::of(&call.op, answer, &slots) else { continue };
        match call.end.filter(|_| answer.is_some()) {
            Some(end) => {
                let at = search.answered.len();
                marks.push((call.begin, Mark::Begin(at)));
                marks.push((end, Mark::End(at)));
                let slots = step.slots();
                let saw = OnceCell::new();
                search.answered.push(Answered { step, place, end, slots, saw });
            }
            None => {
                let step = observed.fold_step(step, &call.op);
                let twin = search.open.iter().rposition(|open| open.step == step);
                let slots = step.slots();
                search.joins |= slots.count_ones() > 1;
                search.open.push(Open { step, begin: call.begin, twin, slots });
            }
        }
    }
    marks.sort_unstable_by_key(|(at, _)| *at);
    search.line = Line::of(&marks, search.answered.len());
    search.run(steps_max)
}

struct Answered {
    step: Step,
    /// In the part.
    place: usize,
    /// In the history.
    end: usize,
    slots: u64,
    /// Of a read of one key: what it saw, as the digests of its beginnings.
    saw: OnceCell<Vec<Digest>>,
}

struct Open {
    step: Step,
    /// In the history.
    begin: usize,
    /// The one before it that does the same. It is used first: who began earlier can do more.
    twin: Option<usize>,
    slots: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Begin(usize),
    End(usize),
}

/// What was taken, and from where to go on when it is put back.
struct Frame {
    choice: Choice,
    state: State,
}

#[derive(Clone, Copy)]
enum Choice {
    /// The answered call that begins at this link.
    Answered {
        link: usize,
    },
    Open {
        open: usize,
        before: usize,
    },
}

/// Where the search looks for the next call to take.
enum Cursor {
    /// At a link of the line.
    Line(usize),
    /// Among the open calls, from this one on, of those that begin before an end.
    Open { from: usize, before: usize },
}

struct Search<'a> {
    part: &'a Part,
    observed: &'a Observed<'a>,
    line: Line,
    answered: Vec<Answered>,
    open: Vec<Open>,
    state: State,
    taken: u128,
    used: Used,
    memory: Memory,
    stack: Vec<Frame>,
    /// The latest first end that was not passed, and its call.
    furthest: Option<(usize, usize)>,
    /// Whether an open call touches several keys.
    joins: bool,
}

impl Search<'_> {
    fn run(&mut self, steps_max: u64) -> Outcome {
        let mut cursor = Cursor::Line(self.line.first());
        for _ in 0..steps_max {
            if self.line.is_empty() {
                return Outcome::Found;
            }
            cursor = match cursor {
                Cursor::Line(link) => match self.line.mark(link) {
                    Mark::Begin(call) => self.try_answered(link, call),
                    Mark::End(call) => {
                        let Answered { end, place, .. } = self.answered[call];
                        self.furthest = self.furthest.max(Some((end, place)));
                        Cursor::Open { from: 0, before: end }
                    }
                },
                Cursor::Open { from, before } => {
                    let left = from < self.open.len() && self.open[from].begin < before;
                    match left {
                        true => self.try_open(from, before),
                        false => match self.put_back() {
                            Some(cursor) => cursor,
                            None => return self.impossible(),
                        },
                    }
                }
            };
        }
        Outcome::Spent
    }

    fn impossible(&self) -> Outcome {
        let (_, stuck) = self.furthest.expect("where all ends are passed, an order was found");
        Outcome::Impossible { stuck }
    }

    fn try_answered(&mut self, link: usize, call: usize) -> Cursor {
        let Some(next) = self.apply(&self.answered[call].step, &self.state) else {
            return Cursor::Line(self.line.after(link));
        };
        let taken = self.taken ^ number(call);
        if !self.is_connected(None, self.answered[call].slots)
            || self.is_idle(&self.answered[call].step, &next)
            || self.is_doomed(&next)
            || !self.memory.is_new(place(taken, &next), &self.used)
        {
            return Cursor::Line(self.line.after(link));
        }
        self.taken = taken;
        self.push(Choice::Answered { link }, next);
        self.line.lift(link);
        Cursor::Line(self.line.first())
    }

    fn try_open(&mut self, open: usize, before: usize) -> Cursor {
        let go_on = Cursor::Open { from: open + 1, before };
        let Open { step, twin, slots, .. } = &self.open[open];
        let is_next = twin.is_none_or(|twin| self.used.contains(twin));
        if self.used.contains(open) || !is_next || !self.is_wanted(*slots) {
            return go_on;
        }
        // An open call that changes nothing need not take effect here.
        let Some(next) = self.apply(step, &self.state).filter(|next| *next != self.state) else {
            return go_on;
        };
        if self.is_idle(step, &next) || self.is_doomed(&next) {
            return go_on;
        }
        self.used.insert(open);
        if !self.memory.is_new(place(self.taken, &next), &self.used) {
            self.used.remove(open);
            return go_on;
        }
        self.push(Choice::Open { open, before }, next);
        Cursor::Line(self.line.first())
    }

    /// Takes a step, if it could have been taken.
    fn apply(&self, step: &Step, state: &State) -> Option<State> {
        step.apply(state).map(|next| self.observed.fold(next))
    }

    /// Whether the open call taken last made no difference to this step, so that the way without
    /// it, which is tried too, leads to the same.
    fn is_idle(&self, step: &Step, next: &State) -> bool {
        match self.stack.last() {
            Some(Frame { choice: Choice::Open { .. }, state }) => {
                self.apply(step, state).as_ref() == Some(next)
            }
            _ => false,
        }
    }

    /// Whether each of the open calls taken last, then `open` if given, touches a key of the
    /// answered call, or of an open call after it. One that does not could be taken later.
    fn is_connected(&self, open: Option<u64>, mut slots: u64) -> bool {
        let run = self.stack.iter().rev().map_while(|frame| match frame.choice {
            Choice::Open { open, .. } => Some(self.open[open].slots),
            Choice::Answered { .. } => None,
        });
        open.into_iter().chain(run).all(|its| {
            let touches = its & slots != 0;
            slots |= its;
            touches
        })
    }

    /// Whether some answered call that may come next could depend on an open one.
    fn is_wanted(&self, slots: u64) -> bool {
        let mut link = self.line.first();
        while let Mark::Begin(call) = self.line.mark(link) {
            if self.joins || self.is_connected(Some(slots), self.answered[call].slots) {
                return true;
            }
            link = self.line.after(link);
        }
        false
    }

    /// Whether a read cannot come out right any more. Only values that the last step changed need
    /// a look.
    fn is_doomed(&self, next: &State) -> bool {
        let changed = |slot: &usize| next[*slot].present && next[*slot] != self.state[*slot];
        (0..next.len()).filter(changed).any(|slot| match self.next_read(slot) {
            Some(read) => !self.begins_with(read, next[slot]),
            None => false,
        })
    }

    /// The read of one key that must come before anything that is not yet taken and overwrites it.
    fn next_read(&self, slot: usize) -> Option<usize> {
        let mut link = self.line.first();
        for _ in 0..LOOK_AHEAD {
            let (at, is_end) = match self.line.mark(link) {
                Mark::End(usize::MAX) => return None,
                Mark::Begin(call) => (call, false),
                Mark::End(call) => (call, true),
            };
            let Answered { step, end, .. } = &self.answered[at];
            if !is_end && step.overwrites(slot) {
                return None;
            }
            if is_end
                && matches!(step, Step::Read(values) if values.len() == 1 && values[0].0 == slot)
            {
                let open = |(number, open): (usize, &Open)| {
                    open.begin < *end && !self.used.contains(number) && open.step.overwrites(slot)
                };
                return (!self.open.iter().enumerate().any(open)).then_some(at);
            }
            link = self.line.after(link);
        }
        None
    }

    fn begins_with(&self, read: usize, value: Digest) -> bool {
        let Answered { place, saw, .. } = &self.answered[read];
        let saw = saw.get_or_init(|| match &self.part.calls[*place].answer {
            Some(Answer::Value(Some(value))) => Digest::beginnings(value),
            _ => Vec::new(),
        });
        usize::try_from(value.len).ok().and_then(|len| saw.get(len)) == Some(&value)
    }

    fn push(&mut self, choice: Choice, next: State) {
        let state = std::mem::replace(&mut self.state, next);
        self.stack.push(Frame { choice, state });
    }

    fn put_back(&mut self) -> Option<Cursor> {
        let Frame { choice, state } = self.stack.pop()?;
        self.state = state;
        Some(match choice {
            Choice::Answered { link } => {
                if let Mark::Begin(call) = self.line.mark(link) {
                    self.taken ^= number(call);
                }
                self.line.put_back(link);
                Cursor::Line(self.line.after(link))
            }
            Choice::Open { open, before } => {
                self.used.remove(open);
                Cursor::Open { from: open + 1, before }
            }
        })
    }
}

/// The name of a place in the search.
fn place(taken: u128, state: &State) -> u128 {
    let mut words = [0x9e37_79b9_7f4a_7c15_u64, 0xc2b2_ae3d_27d4_eb4f];
    for digest in state {
        let [one, other] = digest.words();
        words = [scramble(words[0] ^ one), scramble(words[1] ^ other.rotate_left(17))];
    }
    taken ^ (u128::from(words[0]) << 64 | u128::from(words[1]))
}

/// A random number for each call.
fn number(call: usize) -> u128 {
    let seed = call as u64;
    u128::from(scramble(seed ^ 0x5851_f42d_4c95_7f2d)) << 64 | u128::from(scramble(!seed))
}

/// Mixes the bits of a number (the finalizer of splitmix64; Steele et al. 2014).
fn scramble(mut word: u64) -> u64 {
    word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// Begins and ends of the calls not yet taken, in order: a doubly linked list, from which a call is
/// lifted, and into which it is put back, in constant time. Link 0 is before the first.
#[derive(Default)]
struct Line {
    marks: Vec<Mark>,
    next: Vec<usize>,
    before: Vec<usize>,
    /// The link of each call's end.
    ends: Vec<usize>,
}

impl Line {
    fn of(marks: &[(usize, Mark)], calls: usize) -> Line {
        let count = marks.len() + 1;
        let mut line = Line {
            marks: vec![Mark::End(usize::MAX)],
            next: (1..=count).map(|link| if link == count { 0 } else { link }).collect(),
            before: (0..count).map(|link| link.checked_sub(1).unwrap_or(count - 1)).collect(),
            ends: vec![0; calls],
        };
        for (link, (_, mark)) in marks.iter().enumerate() {
            if let Mark::End(call) = mark {
                line.ends[*call] = link + 1;
            }
            line.marks.push(*mark);
        }
        line
    }

    fn is_empty(&self) -> bool {
        self.next[0] == 0
    }

    fn first(&self) -> usize {
        self.next[0]
    }

    fn after(&self, link: usize) -> usize {
        self.next[link]
    }

    fn mark(&self, link: usize) -> Mark {
        self.marks[link]
    }

    /// Takes out the call that begins at a link.
    fn lift(&mut self, begin: usize) {
        for link in [begin, self.end_of(begin)] {
            let (before, next) = (self.before[link], self.next[link]);
            self.next[before] = next;
            self.before[next] = before;
        }
    }

    /// Undoes the last lift that was not undone.
    fn put_back(&mut self, begin: usize) {
        for link in [self.end_of(begin), begin] {
            let (before, next) = (self.before[link], self.next[link]);
            self.next[before] = link;
            self.before[next] = link;
        }
    }

    fn end_of(&self, begin: usize) -> usize {
        match self.marks[begin] {
            Mark::Begin(call) => self.ends[call],
            Mark::End(_) => unreachable!("a call is known by its begin"),
        }
    }
}
