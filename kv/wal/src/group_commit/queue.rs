//! Batches that wait for a group commit, and who is told when it is done.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::appender::Durability;
use crate::batch::Ops;
use crate::error::{Error, Result};
use crate::id::Lsn;
use crate::sync::{Condvar, Mutex};

/// Who is told about a batch.
pub(super) enum Notify {
    /// A thread that waits.
    Waiter(Arc<Waiter>),
    /// A function that is called.
    Call(Box<dyn FnOnce(Result<Lsn>) + Send>),
}

/// A batch that waits.
pub(super) struct Request {
    pub(super) ops: Ops,
    pub(super) bytes: u64,
    pub(super) durability: Durability,
    pub(super) notify: Notify,
}

/// What waits, and who commits.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Request>,
    /// Bytes of these.
    pub(super) bytes: u64,
    /// Whether somebody commits now, or was told to.
    pub(super) leading: bool,
    /// Whether that is the writer thread.
    pub(super) writer_leads: bool,
    /// Whether something was written since the last mark.
    pub(super) unmarked: bool,
    /// How many groups were committed.
    pub(super) commits: u64,
    /// Whether the writer thread waits without a time limit.
    pub(super) writer_asleep: bool,
    /// How many batches were waiting or being told when the lead was passed on: about as many
    /// as there are writers.
    pub(super) crowd: usize,
    pub(super) stop: bool,
}

impl Queue {
    /// Takes the requests of the next block: at least one, and more while they fit.
    pub(super) fn take_group(&mut self, bytes_max: u64) -> Vec<Request> {
        let mut bytes = 0;
        let count = self.waiting.iter().take_while(|request| {
            bytes += request.bytes;
            bytes <= bytes_max
        });
        let count = count.count().max(1).min(self.waiting.len());
        self.take(count)
    }

    /// Takes the requests of threads that wait, and leaves what was handed in.
    pub(super) fn take_waiters(&mut self) -> Vec<Request> {
        let all: Vec<Request> = self.waiting.drain(..).collect();
        let is_waiter = |request: &Request| matches!(request.notify, Notify::Waiter(_));
        let (waiters, calls): (Vec<_>, Vec<_>) = all.into_iter().partition(is_waiter);
        self.waiting.extend(calls);
        self.bytes -= waiters.iter().map(|request| request.bytes).sum::<u64>();
        waiters
    }

    /// Takes the first so many requests.
    pub(super) fn take(&mut self, count: usize) -> Vec<Request> {
        let taken: Vec<Request> = self.waiting.drain(..count).collect();
        self.bytes -= taken.iter().map(|request| request.bytes).sum::<u64>();
        taken
    }
}

/// A thread that waits for its batch.
#[derive(Default)]
pub(super) struct Waiter {
    news: Mutex<News>,
    changed: Condvar,
}

#[derive(Default)]
enum News {
    #[default]
    None,
    /// The batch is done.
    Done(Result<Lsn>),
    /// The thread is to commit what waits, its own batch included.
    Lead,
}

impl Waiter {
    /// Waits; `None` says that the thread is to lead.
    pub(super) fn wait(&self) -> Option<Result<Lsn>> {
        let mut news = self.news.lock();
        loop {
            match std::mem::take(&mut *news) {
                News::None => self.changed.wait(&mut news),
                News::Done(result) => return Some(result),
                News::Lead => return None,
            }
        }
    }

    pub(super) fn lead(&self) {
        *self.news.lock() = News::Lead;
        self.changed.notify_one();
    }

    pub(super) fn done(&self, result: Result<Lsn>) {
        *self.news.lock() = News::Done(result);
        self.changed.notify_one();
    }
}

/// The error for the others of a group: an I/O error is told once, and has closed the log.
pub(super) fn echo(error: &Error) -> Error {
    match error {
        Error::DiskFull => Error::DiskFull,
        _ => Error::Poisoned,
    }
}
