//! What clients want, on its way through the raft thread.
//!
//! Every [`Write`] and [`Barrier`] is answered once; one that is dropped answers that it is lost.

use std::time::{Duration, Instant};

use node::{Chunk, Response, Split};
use proto::peer::Epoch;
use tokio::sync::mpsc;

use super::forward::{Reply, Verdict, encode_reply};
use crate::peer::Replier;
use crate::store::{Admitted, Answer, Back, Outcome, Permit, Reply as LocalReply, StoreError};

/// A chunk of commands to be replicated.
pub(super) struct Write {
    pub(super) chunk: Chunk,
    /// Until when it may be begun.
    pub(super) deadline: Instant,
    /// Whether its client can be sent to the leader.
    pub(super) may_redirect: bool,
    /// Where the outcome goes.
    pub(super) to: WriteTo,
}

/// Where the outcome of a write goes.
pub(super) enum WriteTo {
    /// To a worker of this store.
    Worker { reply: LocalReply, back: mpsc::UnboundedSender<Back> },
    /// To the store that forwarded it: the ask's number, and the place in it.
    Ask { ask: u64, place: usize },
    /// To the write of several regions that this is a part of, and which part.
    Whole { joint: u64, part: usize },
}

/// A write whose keys lie in several regions, and which was taken apart.
pub(super) struct Joint {
    split: Split,
    /// How many commands each part has.
    lens: Vec<usize>,
    /// Where the outcome of the whole goes.
    pub(super) to: WriteTo,
}

impl Joint {
    /// Takes a write apart. The parts go on their own; what they come to goes to `joint`.
    pub(super) fn new(write: Write, mut split: Split, joint: u64) -> (Joint, Vec<Write>) {
        let parts = std::mem::take(&mut split.parts);
        let lens = parts.iter().map(|(_, chunk)| chunk.commands.len()).collect();
        let part = |(part, (_, chunk))| {
            let to = WriteTo::Whole { joint, part };
            Write { chunk, deadline: write.deadline, may_redirect: false, to }
        };
        let writes = parts.into_iter().enumerate().map(part).collect();
        (Joint { split, lens, to: write.to }, writes)
    }

    /// What the whole came to.
    pub(super) fn join(&self, parts: Vec<Outcome>) -> Outcome {
        let parts: Vec<Vec<Result<Response, StoreError>>> =
            parts.into_iter().zip(&self.lens).map(|(it, len)| each(it, *len)).collect();
        let partly = |error: StoreError| {
            StoreError::Undetermined(format!("it was in some regions, and not in others: {error}"))
        };
        let mut all = self.split.join(&parts, partly);
        match all.iter().all(Result::is_ok) {
            true => all.into_iter().collect(),
            false if all.len() == 1 => all.remove(0).map(|response| vec![response]),
            false => Err(StoreError::Mixed(all)),
        }
    }
}

/// The outcome of each of `len` commands.
pub(crate) fn each(outcome: Outcome, len: usize) -> Vec<Result<Response, StoreError>> {
    match outcome {
        Ok(responses) => responses.into_iter().map(Ok).collect(),
        Err(StoreError::Mixed(each)) => each,
        Err(error) => vec![Err(error); len],
    }
}

/// Readers of one region who want to read what is there now or later.
pub(super) struct Barrier {
    pub(super) deadline: Instant,
    /// The region's epoch, of which only the version counts: with another one their keys may be in
    /// another region.
    pub(super) epoch: Epoch,
    pub(super) to: BarrierTo,
}

/// Who waits at a barrier.
pub(super) enum BarrierTo {
    /// Clients of a worker of this store.
    Worker { readers: Vec<Admitted>, back: mpsc::UnboundedSender<Back> },
    /// Another store: the ask's number, and the place in it.
    Ask { ask: u64, place: usize },
}

impl Barrier {
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.deadline <= now
    }

    pub(super) fn is_remote(&self) -> bool {
        matches!(self.to, BarrierTo::Ask { .. })
    }
}

/// What several parts of one thing come to.
pub(super) struct Gathered<W, T> {
    /// The thing.
    pub(super) whole: W,
    parts: Vec<Option<T>>,
    left: usize,
}

impl<W, T> Gathered<W, T> {
    pub(super) fn new(whole: W, parts: usize) -> Gathered<W, T> {
        Gathered { whole, parts: (0..parts).map(|_| None).collect(), left: parts }
    }

    /// Takes what one part came to. Gives whether it was the last.
    pub(super) fn set(&mut self, place: usize, part: T) -> bool {
        if self.parts[place].replace(part).is_none() {
            self.left -= 1;
        }
        self.left == 0
    }

    /// The whole, and what its parts came to; `lost` where one did not.
    pub(super) fn take(self, lost: impl Fn() -> T) -> (W, Vec<T>) {
        (self.whole, self.parts.into_iter().map(|it| it.unwrap_or_else(&lost)).collect())
    }
}

/// An ask of another store whose writes are being carried out, and the room that it takes.
pub(super) type AskedWrites = Gathered<(Replier, Permit), Verdict>;

/// An ask of another store from when on regions may be read there.
pub(super) type AskedReads = Gathered<(Replier, Permit), Option<u64>>;

impl AskedWrites {
    /// Sends all verdicts.
    pub(super) fn answer(self) {
        let lost = || Verdict::Undetermined("it was lost".to_owned());
        let ((replier, _permit), verdicts) = self.take(lost);
        replier.answer(encode_reply(&Reply::Writes(verdicts)));
    }
}

impl AskedReads {
    /// Sends all indexes.
    pub(super) fn answer(self) {
        let ((replier, _permit), indexes) = self.take(|| None);
        replier.answer(encode_reply(&Reply::Readable(indexes)));
    }
}

/// Outcomes on their way back, together for each worker.
#[derive(Default)]
pub(super) struct Answers {
    lots: Vec<(mpsc::UnboundedSender<Back>, Vec<Answer>)>,
}

impl Answers {
    /// Adds an outcome.
    pub(super) fn push(
        &mut self,
        back: mpsc::UnboundedSender<Back>,
        reply: LocalReply,
        outcome: Outcome,
    ) {
        let answer = Answer::new(reply, outcome);
        match self.lots.iter_mut().find(|(lot, _)| lot.same_channel(&back)) {
            Some((_, answers)) => answers.push(answer),
            None => self.lots.push((back, vec![answer])),
        }
    }

    /// Sends all.
    pub(super) fn flush(&mut self) {
        for (back, answers) in self.lots.drain(..) {
            // An error means that the worker has gone, and its clients with it.
            let _ = back.send(Back::Answers(answers));
        }
    }
}

/// What is left of the time of a request.
pub(super) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
