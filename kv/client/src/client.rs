//! The client: which connection a request takes, how often, and how long.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mutant::mutant;
use proto::{Message, Request, Response};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::connect::{Connect, Tcp};
use crate::connection::{Connection, Failure};
use crate::error::{Cause, Error, Result};
use crate::options::Options;
use crate::raw::Raw;
use crate::servers::{Server, Servers};

/// How often one request follows a server that names another one.
const REDIRECTS_MAX: u32 = 8;

/// A client of one server or of a cluster. Cloning it is cheap and shares its connections.
///
/// Of a cluster it finds the server that is in charge: one that is not names the one that is, and
/// one that cannot be reached is left for the next.
///
/// Requests of one client may be carried out in any order: what must come later has to wait for
/// the answer of what must come first. Dropping the future of a request gives its answer up;
/// a write may still be carried out.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    connector: Box<dyn Connect>,
    options: Options,
    servers: Servers,
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
    /// Connects to the server at `address`, which is `HOST:PORT`, or to the first of several that
    /// answers: `HOST:PORT,HOST:PORT`.
    ///
    /// # Errors
    /// [`Error::Unreachable`] after one failed attempt at each, [`Error::Protocol`] if something else
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
        let servers = Servers::new(&address.into(), &options)?;
        let inner = Inner { connector: Box::new(connector), servers, options };
        let mut result = Ok(());
        for _ in 0..inner.servers.len() {
            let server = inner.servers.current();
            result = inner.connection(&server).await.map(drop);
            match &result {
                Ok(()) => break,
                Err(_) => inner.servers.leave(&server),
            }
        }
        result.map(|()| Client { inner: Arc::new(inner) })
    }

    /// The raw API on the column family `default`.
    #[must_use]
    pub fn raw(&self) -> Raw {
        Raw::new(self.clone())
    }

    /// Looks at the cluster, or steers it. The answer is JSON, from the server that is asked now.
    ///
    /// # Errors
    /// Those that [`Error`] explains; [`Error::Rejected`] if the server stands alone.
    pub async fn admin(&self, request: proto::admin::Request) -> Result<String> {
        match self.call(Request::Admin(request), false, self.timeout()).await? {
            Response::Admin(response) => Ok(response.json),
            Response::Raw(_) => Err(self.protocol("an answer of another API".to_owned())),
        }
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
            Err(_) => {
                let server = self.inner.servers.current();
                // Requests that come now may find another one that answers.
                self.inner.servers.leave(&server);
                Err(expired(stage, &server, writes, timeout))
            }
        }
    }

    /// Sends a request until it has an answer or an error that another attempt does not mend.
    async fn attempts(
        &self,
        message: &Message,
        writes: bool,
        stage: &mut Stage,
    ) -> Result<Response> {
        let Inner { options, servers, .. } = &*self.inner;
        let mut backoff = Backoff::new(options.backoff_min, options.backoff_max);
        let (mut last, mut redirects, mut retries) = (None, 0, 0);
        loop {
            *stage = Stage::Connecting(last.take());
            let server = servers.current();
            let error = match self.attempt(&server, message, writes, stage).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if let Error::Redirect { address: Some(address), .. } = &error
                && redirects < REDIRECTS_MAX
                && servers.follow(&server, address)
            {
                redirects += 1;
                continue;
            }
            let may_ask_another = matches!(error, Error::Redirect { .. }) && servers.len() > 1;
            if !(error.may_repeat() || may_ask_another) || retries == options.retries {
                return Err(error);
            }
            retries += 1;
            let asked = match &error {
                Error::Retry { after, .. } => *after,
                _ => {
                    servers.leave(&server);
                    Duration::ZERO
                }
            };
            *stage = Stage::Waiting(Some(error.clone()));
            tokio::time::sleep(backoff.next().max(asked)).await;
            last = Some(error);
        }
    }

    /// Sends a request to one server, once. Where there are more servers, one that does not answer
    /// a request without effect is given up before the time of the request is over.
    async fn attempt(
        &self,
        server: &Server,
        message: &Message,
        writes: bool,
        stage: &mut Stage,
    ) -> Result<Response> {
        let connection = self.inner.connection(server).await?;
        *stage = Stage::Waiting(None);
        let slot = connection.slot().await;
        *stage = Stage::Sent;
        let call = slot.call(message);
        let timeout = self.inner.options.attempt_timeout;
        let outcome = if writes || self.inner.servers.len() == 1 {
            call.await
        } else {
            let silent = |_| Error::Unfinished { cause: Cause::Deadline { timeout } };
            tokio::time::timeout(timeout, call).await.map_err(silent)?
        };
        outcome.map_err(|failure| error(failure, &server.address, writes))
    }

    /// An answer that is not understood, to a request without effect.
    pub(crate) fn protocol(&self, reason: String) -> Error {
        Error::Protocol { address: self.inner.servers.current().address.clone(), reason }
    }
}

impl Inner {
    /// A connection to a server.
    async fn connection(&self, server: &Server) -> Result<Arc<Connection>> {
        server.channel().connection(&*self.connector, &server.address, &self.options).await
    }
}

/// Sorts the failure of one attempt by what the caller can do.
fn error(failure: Failure, address: &str, writes: bool) -> Error {
    match failure {
        Failure::TooLarge(reason) => Error::Invalid(reason),
        Failure::Refused(error) => Error::from_server(error),
        Failure::Lost { sent: false, cause } => Error::Unfinished { cause },
        Failure::Lost { cause, .. } if writes && !mutant!("sent-writes-repeated") => {
            Error::Undetermined { cause }
        }
        Failure::Lost { cause: Cause::Protocol { reason }, .. } => {
            Error::Protocol { address: address.to_owned(), reason }
        }
        Failure::Lost { cause: Cause::Server(error), .. } => Error::from_server(error),
        Failure::Lost { cause, .. } => Error::Unfinished { cause },
    }
}

/// The error of a request whose time ran out at `stage`.
fn expired(stage: Stage, server: &Server, writes: bool, timeout: Duration) -> Error {
    match stage {
        Stage::Connecting(Some(error)) | Stage::Waiting(Some(error)) => error,
        Stage::Connecting(None) => Error::Unreachable {
            address: server.address.clone(),
            source: Arc::new(io::ErrorKind::TimedOut.into()),
        },
        Stage::Sent if writes => Error::Undetermined { cause: Cause::Deadline { timeout } },
        Stage::Sent | Stage::Waiting(None) => {
            Error::Unfinished { cause: Cause::Deadline { timeout } }
        }
    }
}
