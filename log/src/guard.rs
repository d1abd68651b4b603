//! A running log: the thread that writes it, and what a program can do with it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use slog::{Drain, Level, Logger, OwnedKVList, Record};

use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::format::Style;
use crate::global;
use crate::options::Options;
use crate::queue::Queue;
use crate::sink::Sink;

/// How long a flush waits for a destination that does not take what it is given.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// What has become of the records so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records given to the destination.
    pub written: u64,
    /// Records dropped because the queue was full, or the log had ended.
    pub dropped: u64,
    /// Records lost because the destination failed, with those of failed rotations.
    pub failed: u64,
}

/// A log that can be asked and changed while it runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

/// What the threads that log and the one that writes share.
#[derive(Debug)]
struct Shared {
    queue: Queue,
    filter: ArcSwap<Filter>,
    style: Style,
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// Keeps a log alive. When it is dropped, all that was logged before is written (unless the
/// destination hangs for more than 5 seconds), and the thread that writes ends. A process that ends by [`std::process::exit`] must drop it before.
#[derive(Debug)]
#[must_use = "the log ends when the guard is dropped"]
pub struct Guard {
    handle: Handle,
    /// Some until it is dropped.
    writer: Option<JoinHandle<()>>,
    /// Whether the macros log here.
    pub(crate) is_global: bool,
}

/// Starts a log that the macros do not use: for a program with more logs than one.
///
/// # Errors
/// What is wrong with the options, or that the destination cannot be opened.
pub fn start(options: Options) -> Result<(Logger, Guard)> {
    options.validate()?;
    let sink = Sink::open(options.destination)?;
    let handle = Handle(Arc::new(Shared {
        queue: Queue::new(options.queue_bytes_max),
        filter: ArcSwap::from_pointee(options.filter),
        style: sink.style(options.format),
        written: AtomicU64::new(0),
        dropped: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    }));
    let shared = Arc::clone(&handle.0);
    let writer = thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || shared.write_all(sink))
        .map_err(Error::Thread)?;
    let logger = Logger::root(handle.clone(), slog::o!());
    Ok((logger, Guard { handle, writer: Some(writer), is_global: false }))
}

impl Guard {
    /// The log, to be asked and changed from elsewhere.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The thread that writes, which must never wait for itself.
    pub(crate) fn writer_id(&self) -> Option<ThreadId> {
        self.writer.as_ref().map(|writer| writer.thread().id())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.is_global {
            global::silence();
        }
        let finished = self.handle.0.queue.close(FLUSH_LIMIT);
        if let Some(writer) = self.writer.take().filter(|_| finished) {
            // It panics only if the destination's writer does; then there is nobody to tell.
            drop(writer.join());
        }
    }
}

impl Handle {
    /// The filter that holds now.
    #[must_use]
    pub fn filter(&self) -> Filter {
        Filter::clone(&self.0.filter.load())
    }

    /// Changes the filter, from the next record on.
    pub fn set_filter(&self, filter: Filter) {
        let level_max = filter.level_max();
        self.0.filter.store(Arc::new(filter));
        if global::installed().is_some_and(|log| Arc::ptr_eq(&log.0, &self.0)) {
            global::set_level_max(level_max);
        }
    }

    /// What has become of the records so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            written: self.0.written.load(Ordering::Relaxed),
            dropped: self.0.dropped.load(Ordering::Relaxed),
            failed: self.0.failed.load(Ordering::Relaxed),
        }
    }

    /// Waits until all that was logged before is written, or lost. Gives up after 5 seconds, as
    /// a destination may hang.
    pub fn flush(&self) {
        self.0.queue.flush(FLUSH_LIMIT);
    }

    /// Whether a record would be logged.
    pub(crate) fn allows(&self, level: Level, module: &str) -> bool {
        self.0.filter.load().allows(level, module)
    }
}

impl Drain for Handle {
    type Ok = ();
    type Err = slog::Never;

    /// Formats a record and queues it.
    fn log(
        &self,
        record: &Record<'_>,
        inherited: &OwnedKVList,
    ) -> std::result::Result<(), slog::Never> {
        thread_local! {
            /// Used again and again, so that a record costs no allocation for its line.
            static LINE: RefCell<String> = const { RefCell::new(String::new()) };
        }
        if !self.allows(record.level(), record.module()) {
            return Ok(());
        }
        // A value whose `Display` logs finds the line in use, and so gets one of its own; so does
        // a thread that is ending.
        let mut line = LINE.try_with(RefCell::take).unwrap_or_default();
        line.clear();
        self.0.style.append(SystemTime::now(), record, inherited, &mut line);
        if !self.0.queue.push(&line) {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // An unusually long line is not kept.
        if line.capacity() <= 16 << 10 {
            let _ = LINE.try_with(|kept| kept.replace(line));
        }
        Ok(())
    }
}

/// Tells those who wait for the writer that it has ended, even when the destination panicked.
struct Finish<'a>(&'a Queue);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Shared {
    /// Writes batch after batch until the queue is closed. The writer's thread.
    fn write_all(&self, mut sink: Sink) {
        let _finish = Finish(&self.queue);
        let mut spare = Vec::new();
        while let Some(batch) = self.queue.next(spare) {
            if batch.records > 0 {
                let counter = match sink.write_lines(&batch.lines) {
                    Ok(()) => &self.written,
                    Err(_) => &self.failed,
                };
                counter.fetch_add(batch.records, Ordering::Relaxed);
            }
            if batch.dropped > 0 {
                // If this fails too, the counters still tell.
                let _ = sink.write_lines(self.drop_report(batch.dropped).as_bytes());
            }
            spare = batch.lines;
        }
    }

    /// The line that says that records are missing.
    fn drop_report(&self, dropped: u64) -> String {
        let mut line = String::new();
        let text = format_args!("log records were dropped because the queue was full");
        let keys = slog::b!("dropped" => dropped);
        let record = slog::record!(Level::Warning, "", &text, keys);
        self.style.append(SystemTime::now(), &record, &slog::o!().into(), &mut line);
        line
    }
}
