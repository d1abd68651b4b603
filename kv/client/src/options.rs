//! How a client behaves: its limits and its patience.

use std::time::Duration;

use crate::error::{Error, Result};

/// The settings of a [`Client`](crate::Client). Every limit is per client unless it says else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connections to the server, at least 1. Requests go round them in turn.
    pub connections: usize,
    /// Requests in flight on one connection, at least 1. Further ones wait in order.
    pub in_flight_max: usize,
    /// How long one request may take in all, with its retries and reconnects.
    pub timeout: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// How long one of several servers has to answer a read, before another one is asked.
    pub attempt_timeout: Duration,
    /// How often a request that surely was not carried out is sent again.
    pub retries: u32,
    /// The pause before the first retry or reconnect; each further one doubles it.
    pub backoff_min: Duration,
    /// The longest pause between two retries or reconnects.
    pub backoff_max: Duration,
    /// A connection that is silent so long is asked for a sign of life, and given up after the
    /// same time again.
    pub keepalive: Duration,
    /// The largest answer taken, in bytes of its frame. The server tells its own limit for
    /// requests.
    pub frame_bytes_max: usize,
}

impl Default for Options {
    /// One connection, 1024 requests in flight, 10 s a request: twice as long as a server waits for a
    /// leader, whose answer tells whether anything was done.
    fn default() -> Options {
        Options {
            connections: 1,
            in_flight_max: 1024,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(2),
            attempt_timeout: Duration::from_secs(1),
            retries: 10,
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(1),
            keepalive: Duration::from_secs(10),
            frame_bytes_max: proto::frame::FRAME_BYTES_MAX,
        }
    }
}

impl Options {
    /// Checks that every setting has a legal value.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the setting.
    pub fn validate(&self) -> Result<()> {
        let rules = [
            (self.connections >= 1, "connections must be at least 1"),
            (self.in_flight_max >= 1, "in_flight_max must be at least 1"),
            (
                self.in_flight_max <= tokio::sync::Semaphore::MAX_PERMITS,
                "in_flight_max is larger than a semaphore can count",
            ),
            (!self.timeout.is_zero(), "timeout must be more than 0"),
            (!self.connect_timeout.is_zero(), "connect_timeout must be more than 0"),
            (!self.attempt_timeout.is_zero(), "attempt_timeout must be more than 0"),
            (!self.keepalive.is_zero(), "keepalive must be more than 0"),
            (self.backoff_min <= self.backoff_max, "backoff_min must not exceed backoff_max"),
            (
                self.frame_bytes_max >= proto::frame::HEAD_BYTES,
                "frame_bytes_max must hold at least the head of a frame",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(Error::Invalid((*rule).to_owned())),
            None => Ok(()),
        }
    }
}
