//! The servers that a client knows, and which of them it asks.
//!
//! All start from the addresses that the user named. A server that is not in charge names the one
//! that is, which is asked from then on. One that cannot be reached is left for the next, one with
//! a connection first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mutant::mutant;
use parking_lot::Mutex;

use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::options::Options;

/// The most servers that a client remembers; further ones that a server names are not followed.
const SERVERS_MAX: usize = 64;

/// One server, and the connections to it.
pub(crate) struct Server {
    pub(crate) address: String,
    channels: Vec<Channel>,
    /// Counts requests, to go round the channels.
    turn: AtomicUsize,
}

/// All servers.
pub(crate) struct Servers {
    state: Mutex<State>,
    options: Options,
}

struct State {
    known: Vec<Arc<Server>>,
    /// The place of the one that is asked; always in `known`.
    current: usize,
}

impl Server {
    fn new(address: &str, options: &Options) -> Arc<Server> {
        let channels = (0..options.connections).map(|_| Channel::new(options)).collect();
        Arc::new(Server { address: address.to_owned(), channels, turn: AtomicUsize::new(0) })
    }

    /// The connection whose turn it is.
    pub(crate) fn channel(&self) -> &Channel {
        &self.channels[self.turn.fetch_add(1, Ordering::Relaxed) % self.channels.len()]
    }

    fn is_connected(&self) -> bool {
        self.channels.iter().any(Channel::is_open)
    }
}

impl Servers {
    /// The servers of a list, `HOST:PORT,HOST:PORT`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it names none.
    pub(crate) fn new(addresses: &str, options: &Options) -> Result<Servers> {
        let mut known: Vec<Arc<Server>> = Vec::new();
        for address in addresses.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            if known.iter().all(|server| server.address != address) {
                known.push(Server::new(address, options));
            }
        }
        if known.is_empty() || known.len() > SERVERS_MAX {
            return Err(Error::Invalid(format!("name 1 to {SERVERS_MAX} addresses HOST:PORT")));
        }
        Ok(Servers { state: Mutex::new(State { known, current: 0 }), options: options.clone() })
    }

    /// The one to ask.
    pub(crate) fn current(&self) -> Arc<Server> {
        let state = self.state.lock();
        Arc::clone(&state.known[state.current])
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().known.len()
    }

    /// Takes the server at `address` for the one in charge. Gives whether it is another one than
    /// `asked`.
    pub(crate) fn follow(&self, asked: &Server, address: &str) -> bool {
        let mut state = self.state.lock();
        let place = state.known.iter().position(|server| server.address == address);
        let place = match place {
            Some(place) => place,
            None if state.known.len() < SERVERS_MAX => {
                state.known.push(Server::new(address, &self.options));
                state.known.len() - 1
            }
            None => return false,
        };
        if !mutant!("redirects-forgotten") {
            state.current = place;
        }
        asked.address != address
    }

    /// Leaves a server that did not help, unless another caller did so before.
    pub(crate) fn leave(&self, asked: &Server) {
        let mut state = self.state.lock();
        let count = state.known.len();
        if state.known[state.current].address != asked.address {
            return;
        }
        let others = (1..count).map(|step| (state.current + step) % count);
        let connected = others.clone().find(|place| state.known[*place].is_connected());
        if let Some(next) = connected.or_else(|| others.clone().next()) {
            state.current = next;
        }
    }
}
