//! Taking connections and spreading them over the workers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mutant::mutant;
use proto::{Error, ErrorCode, Message};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use crate::connection::Door;
use crate::context::Context;
use crate::worker::Worker;

/// How long to wait after the system refused to give a connection, at most.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A front door that is open.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) door: Door,
    pub(crate) listener: TcpListener,
    pub(crate) context: Arc<Context>,
    pub(crate) workers: Arc<Vec<Worker>>,
    /// The worker whose turn it is, shared by all front doors.
    pub(crate) next_worker: Arc<AtomicUsize>,
}

impl Listener {
    /// Takes connections for ever.
    pub(crate) async fn run(self) {
        let mut backoff = Duration::from_millis(1);
        loop {
            match self.listener.accept().await {
                Ok((socket, _)) => {
                    backoff = Duration::from_millis(1);
                    if let Err(error) = self.take(socket) {
                        log::debug!("a connection was lost"; "error" => error.to_string());
                    }
                }
                Err(error) => {
                    // Out of file descriptors, mostly: connections that end give some back.
                    log::warn!("cannot take a connection"; "error" => error.to_string());
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Hands a connection to a worker, or refuses it.
    fn take(&self, socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        SockRef::from(&socket).set_keepalive(true)?;
        let worker =
            &self.workers[self.next_worker.fetch_add(1, Ordering::Relaxed) % self.workers.len()];
        let addresses = (socket.peer_addr()?, socket.local_addr()?);
        let now = self.context.store.clock.now();
        let place = self.context.connections.enter(self.door, addresses, worker.index(), now);
        match place {
            Some(place) => {
                match self.door {
                    Door::Native => self.context.metrics.connections_native.inc(),
                    Door::Resp => self.context.metrics.connections_resp.inc(),
                };
                worker.serve(socket.into_std()?, place);
            }
            None if mutant!("connection-limit-unchecked") => {}
            None => {
                self.context.metrics.rejected.connections.inc();
                // If even this does not fit into the socket's buffer, closing says enough.
                let _ = socket.try_write(&refusal(self.door));
            }
        }
        Ok(())
    }
}

/// What a connection hears for which there is no room.
fn refusal(door: Door) -> Vec<u8> {
    match door {
        Door::Resp => b"-ERR max number of clients reached\r\n".to_vec(),
        Door::Native => {
            let message = "the server has as many connections as it takes, try again later";
            let error = Error::retry(ErrorCode::ServerIsBusy, 1000, message);
            let mut out = bytes::BytesMut::new();
            match Message::Error(error).encode(0, proto::frame::FRAME_BYTES_MAX, &mut out) {
                Ok(()) => out.to_vec(),
                Err(_) => Vec::new(),
            }
        }
    }
}
