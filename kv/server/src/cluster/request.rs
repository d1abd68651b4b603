//! What clients want, on its way through the raft thread.
//!
//! Every [`Write`] and [`Barrier`] is answered once; one that is dropped answers that it is lost.

use std::time::{Duration, Instant};

use node::Chunk;
use tokio::sync::mpsc;

use super::forward::{Reply, Verdict, encode_reply};
use crate::peer::Replier;
use crate::store::{Answer, Back, Outcome, Reply as LocalReply, StoreError};

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
}

/// Clients that want to read what is there now or later.
pub(super) struct Barrier {
    pub(super) deadline: Instant,
    pub(super) to: BarrierTo,
}

/// Who waits at a barrier.
pub(super) enum BarrierTo {
    /// Clients of a worker of this store.
    Worker { waiters: Vec<crate::store::Waiter>, back: mpsc::UnboundedSender<Back> },
    /// Another store.
    Ask(Replier),
}

impl Barrier {
    /// Lets them read, or says why not. `applied` is what is applied here.
    pub(super) fn finish(self, result: Result<u64, StoreError>) {
        match self.to {
            BarrierTo::Worker { waiters, back } => {
                // An error means that the worker has gone, and its clients with it.
                let _ = back.send(Back::Readable(waiters, result.map(drop)));
            }
            BarrierTo::Ask(replier) => {
                replier.answer(encode_reply(&match result {
                    Ok(applied) => Reply::Readable(applied),
                    Err(_) => Reply::NotLeader,
                }));
            }
        }
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.deadline <= now
    }

    pub(super) fn is_remote(&self) -> bool {
        matches!(self.to, BarrierTo::Ask(_))
    }
}

/// An ask of another store whose writes are being carried out.
pub(super) struct Asked {
    replier: Replier,
    verdicts: Vec<Option<Verdict>>,
    left: usize,
}

impl Asked {
    pub(super) fn new(replier: Replier, writes: usize) -> Asked {
        Asked { replier, verdicts: (0..writes).map(|_| None).collect(), left: writes }
    }

    /// Takes the verdict on one write. Gives whether it was the last.
    pub(super) fn set(&mut self, place: usize, verdict: Verdict) -> bool {
        if self.verdicts[place].replace(verdict).is_none() {
            self.left -= 1;
        }
        self.left == 0
    }

    /// Sends all verdicts.
    pub(super) fn answer(self) {
        let lost = || Verdict::Undetermined("it was lost".to_owned());
        let verdicts = self.verdicts.into_iter().map(|it| it.unwrap_or_else(lost)).collect();
        self.replier.answer(encode_reply(&Reply::Writes(verdicts)));
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
