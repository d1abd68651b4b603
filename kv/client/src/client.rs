//! The client: which connection a request takes, how often, and how long.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mutant::mutant;
use proto::{Message, Request, Response};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::channel::Channel;
use crate::connect::{Connect, Tcp};
use crate::connection::Failure;
use crate::error::{Cause, Error, Result};
use crate::options::Options;
use crate::raw::Raw;

/// A client of one server. Cloning it is cheap and shares its connections.
///
/// Requests of one client may be carried out in any order: what must come later has to wait for
/// the answer of what must come first. Dropping the future of a request gives its answer up;
/// a write may still be carried out.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    address: String,
    connector: Box<dyn Connect>,
    options: Options,
    channels: Vec<Channel>,
    /// Counts requests, to go round the channels.
    turn: AtomicUsize,
}

/// How far a request is when its time runs out.
enum Stage {
    /// No connection yet; the last failure, if there was one.
    Connecting(Option<Error>),
    /// In line for room in flight, or in a pause before the next attempt.
    Waiting(Option<Error>),
    /// On its way.
    Sent,
}

impl Client {
    /// Connects to the server at `address`, which is `HOST:PORT`.
    ///
    /// # Errors
    /// [`Error::Unreachable`] after one failed attempt, [`Error::Protocol`] if something else
    /// than a tinykv server answers, [`Error::Invalid`] for options that break a rule.
    pub async fn connect(address: impl Into<String>, options: Options) -> Result<Client> {
        Client::connect_with(Tcp, address, options).await
    }

    /// Connects through `connector`.
    ///
    /// # Errors
    /// Those of [`Client::connect`].
    pub async fn connect_with(
        connector: impl Connect + 'static,
        address: impl Into<String>,
        options: Options,
    ) -> Result<Client> {
        options.validate()?;
        let inner = Inner {
            address: address.into(),
            connector: Box::new(connector),
            channels: (0..options.connections).map(|_| Channel::new(&options)).collect(),
            options,
            turn: AtomicUsize::new(0),
        };
        inner.channels[0].connection(&*inner.connector, &inner.address, &inner.options).await?;
        Ok(Client { inner: Arc::new(inner) })
    }

    /// The raw API on the column family `default`.
    #[must_use]
    pub fn raw(&self) -> Raw {
        Raw::new(self.clone())
    }

    /// The time that a request has when its caller names none.
    pub(crate) fn timeout(&self) -> Duration {
        self.inner.options.timeout
    }

    /// Sends a request, again where that is safe, and waits at most `timeout` for its answer.
    /// `writes` tells whether carrying it out twice would differ from carrying it out once.
    pub(crate) async fn call(
        &self,
        request: Request,
        writes: bool,
        timeout: Duration,
    ) -> Result<Response> {
        let message = Message::Request(request);
        let mut stage = Stage::Connecting(None);
        let attempts = self.attempts(&message, writes, &mut stage);
        match tokio::time::timeout_at(Instant::now() + timeout, attempts).await {
            Ok(result) => result,
            Err(_) => Err(self.expired(stage, writes, timeout)),
        }
    }

    /// Sends a request until it has an answer or an error that another attempt does not mend.
    async fn attempts(
        &self,
        message: &Message,
        writes: bool,
        stage: &mut Stage,
    ) -> Result<Response> {
        let Inner { address, connector, options, channels, turn } = &*self.inner;
        let mut backoff = Backoff::new(options.backoff_min, options.backoff_max);
        let mut last = None;
        for attempt in 0.. {
            *stage = Stage::Connecting(last.take());
            let channel = &channels[turn.fetch_add(1, Ordering::Relaxed) % channels.len()];
            let error = match channel.connection(&**connector, address, options).await {
                Err(error) => error,
                Ok(connection) => {
                    *stage = Stage::Waiting(None);
                    let slot = connection.slot().await;
                    *stage = Stage::Sent;
                    match slot.call(message).await {
                        Ok(response) => return Ok(response),
                        Err(failure) => self.error(failure, writes),
                    }
                }
            };
            if !error.may_repeat() || attempt == options.retries {
                return Err(error);
            }
            *stage = Stage::Waiting(Some(error.clone()));
            let asked = match &error {
                Error::Retry { after, .. } => *after,
                _ => Duration::ZERO,
            };
            tokio::time::sleep(backoff.next().max(asked)).await;
            last = Some(error);
        }
        unreachable!("the loop ends at the last retry")
    }

    /// Sorts the failure of one attempt by what the caller can do.
    fn error(&self, failure: Failure, writes: bool) -> Error {
        match failure {
            Failure::TooLarge(reason) => Error::Invalid(reason),
            Failure::Refused(error) => Error::from_server(error),
            Failure::Lost { sent: false, cause } => Error::Unfinished { cause },
            Failure::Lost { cause, .. } if writes && !mutant!("sent-writes-repeated") => {
                Error::Undetermined { cause }
            }
            Failure::Lost { cause: Cause::Protocol { reason }, .. } => self.protocol(reason),
            Failure::Lost { cause: Cause::Server(error), .. } => Error::from_server(error),
            Failure::Lost { cause, .. } => Error::Unfinished { cause },
        }
    }

    /// An answer that is not understood, to a request without effect.
    pub(crate) fn protocol(&self, reason: String) -> Error {
        Error::Protocol { address: self.inner.address.clone(), reason }
    }

    /// The error of a request whose time ran out at `stage`.
    fn expired(&self, stage: Stage, writes: bool, timeout: Duration) -> Error {
        match stage {
            Stage::Connecting(Some(error)) | Stage::Waiting(Some(error)) => error,
            Stage::Connecting(None) => Error::Unreachable {
                address: self.inner.address.clone(),
                source: Arc::new(io::ErrorKind::TimedOut.into()),
            },
            Stage::Sent if writes => Error::Undetermined { cause: Cause::Deadline { timeout } },
            Stage::Sent | Stage::Waiting(None) => {
                Error::Unfinished { cause: Cause::Deadline { timeout } }
            }
        }
    }
}
