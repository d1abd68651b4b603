//! A connection that comes back: opened when first needed, and again after it was lost.
//!
//! One caller at a time connects while the others wait for its result; the pause after a failed
//! attempt holds for all of them. Dropping the future of the one that connects lets the next one
//! do it.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::connect::Connect;
use crate::connection::{Connection, Failure};
use crate::error::{Cause, Error, Result};
use crate::options::Options;

/// One of the connections of a client.
pub(crate) struct Channel {
    /// The newest connection; none before the first one.
    current: Mutex<Option<Arc<Connection>>>,
    dialler: tokio::sync::Mutex<Dialler>,
}

/// The state of connecting, held by the one caller that does it.
struct Dialler {
    backoff: Backoff,
    /// No attempt is made before this moment.
    not_before: Option<Instant>,
}

impl Channel {
    /// Makes a channel that is not connected yet.
    pub(crate) fn new(options: &Options) -> Channel {
        let backoff = Backoff::new(options.backoff_min, options.backoff_max);
        Channel {
            current: Mutex::new(None),
            dialler: tokio::sync::Mutex::new(Dialler { backoff, not_before: None }),
        }
    }

    /// Whether there is an open connection.
    pub(crate) fn is_open(&self) -> bool {
        self.open().is_some()
    }

    /// The open connection, if there is one.
    fn open(&self) -> Option<Arc<Connection>> {
        self.current.lock().clone().filter(|connection| connection.is_open())
    }

    /// The open connection; makes one, after the pause that earlier failures ask for, if there
    /// is none.
    ///
    /// # Errors
    /// Those of one failed attempt.
    pub(crate) async fn connection(
        &self,
        connector: &dyn Connect,
        address: &str,
        options: &Options,
    ) -> Result<Arc<Connection>> {
        if let Some(connection) = self.open() {
            return Ok(connection);
        }
        let mut dialler = self.dialler.lock().await;
        if let Some(connection) = self.open() {
            return Ok(connection);
        }
        if let Some(moment) = dialler.not_before {
            tokio::time::sleep_until(moment).await;
        }
        match dial(connector, address, options).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                dialler.backoff.reset();
                dialler.not_before = None;
                *self.current.lock() = Some(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                dialler.not_before = Some(Instant::now() + dialler.backoff.next());
                Err(error)
            }
        }
    }
}

/// Makes one attempt to connect and to greet.
async fn dial(connector: &dyn Connect, address: &str, options: &Options) -> Result<Connection> {
    let unreachable = |source: io::Error| Error::Unreachable {
        address: address.to_owned(),
        source: Arc::new(source),
    };
    let attempt = async {
        let stream = connector.connect(address).await.map_err(unreachable)?;
        Connection::open(stream, options).await.map_err(|failure| match failure {
            Failure::Refused(error) => Error::from_server(error),
            Failure::Lost { cause: Cause::Disconnected { source }, .. } => {
                Error::Unreachable { address: address.to_owned(), source }
            }
            Failure::Lost { cause, .. } => {
                let reason = match cause {
                    Cause::Protocol { reason } => reason,
                    other => other.to_string(),
                };
                Error::Protocol { address: address.to_owned(), reason }
            }
            Failure::TooLarge(reason) => Error::Invalid(reason),
        })
    };
    match tokio::time::timeout(options.connect_timeout, attempt).await {
        Ok(result) => result,
        Err(_) => Err(unreachable(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no hello within {}", humantime::format_duration(options.connect_timeout)),
        ))),
    }
}
