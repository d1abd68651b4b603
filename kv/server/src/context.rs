//! What every part of a running server can reach.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::config::Config;
use crate::connection::Connections;
use crate::metrics::Metrics;
use crate::resp::Cursors;
use crate::server::Addresses;
use crate::store::{Backlog, Store};

/// What every part of a running server can reach.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) store: Arc<Store>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) started: Instant,
    /// Answers that wait for their clients.
    pub(crate) backlog: Arc<Backlog>,
    /// Where it listens, once it does.
    pub(crate) addresses: OnceLock<Addresses>,
    /// The cursors of `SCAN`.
    pub(crate) cursors: Cursors,
    stopping: AtomicBool,
}

impl Context {
    pub(crate) fn new(config: Config, store: Arc<Store>, metrics: Arc<Metrics>) -> Context {
        Context {
            backlog: Backlog::new(config.max_pending_answers.bytes()),
            connections: Arc::new(Connections::new(config.max_connections)),
            config,
            store,
            metrics,
            started: Instant::now(),
            addresses: OnceLock::new(),
            cursors: Cursors::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Whether the server stops: connections end once what they sent is answered.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Has connections end.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}
