//! A server as a library: started from a configuration, stopped by its handle.
//!
//! ```text
//!  control thread   takes connections, /metrics and so on
//!  worker threads   one event loop each: front doors, reads that need no disk
//!  read pool        reads that may wait for the disk
//!  write thread     groups of writes, expired keys
//! ```

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::{self, JoinHandle};

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::cluster::{self, Cluster};
use crate::config::{Address, Config};
use crate::connection::Door;
use crate::context::Context;
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::pool::{self, PoolOptions};
use crate::store::{Limits, Store, StoreOptions, WriteThread};
use crate::worker::Worker;
use crate::{open, status};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error("cannot open the data folder")]
    Engine(#[from] engine::Error),
    /// What is in the data folder cannot be read.
    #[error("cannot read the data folder")]
    Node(#[from] node::Failure),
    /// An address cannot be listened at.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration of the cluster does not fit.
    #[error("cannot be a store of a cluster: {reason}")]
    Cluster {
        /// Why not.
        reason: String,
    },
    /// The data folder cannot be made.
    #[error("cannot make the folder {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file that tells the disks of the stores apart cannot be used.
    #[error("cannot use the file DISKS in {}", folder.display())]
    Disks {
        /// The folder.
        folder: PathBuf,
        /// What the system said, or what is wrong.
        source: io::Error,
    },
    /// What is stored of the cluster cannot be taken up.
    #[error("cannot take up what is stored of the cluster")]
    Raft(#[from] raftstore::Error),
    /// The system gives no thread.
    #[error("cannot start a thread")]
    Thread(#[from] io::Error),
}

/// Where a server listens; none: that front door is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The native protocol.
    pub native: Option<SocketAddr>,
    /// The Redis protocol.
    pub resp: Option<SocketAddr>,
    /// Metrics, health and status.
    pub status: Option<SocketAddr>,
    /// Other stores.
    pub peer: Option<SocketAddr>,
}

/// The way to start a server.
#[derive(Debug)]
pub struct Server;

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    pub(crate) context: Arc<Context>,
    addresses: Addresses,
    workers: Option<Arc<Vec<Worker>>>,
    write_thread: Option<WriteThread>,
    /// Ends the control thread when it is dropped.
    stop_control: Option<oneshot::Sender<()>>,
    control: Option<JoinHandle<()>>,
}

impl Server {
    /// Opens the data folder and listens. When it returns, clients can connect.
    ///
    /// # Errors
    /// [`StartError`] says what to change.
    pub fn start(config: Config) -> Result<Running, StartError> {
        let metrics = Arc::new(Metrics::default());
        let pool_options =
            PoolOptions { threads: config.read_pool_threads, jobs_max: config.max_inflight };
        let pool = pool::make(config.read_pool, pool_options)?;
        let opened = config.is_clustered().then(|| cluster::open(&config)).transpose()?;
        let store = Arc::new(Store::new(StoreOptions {
            engine: match &opened {
                Some(opened) => Arc::clone(&opened.engine),
                None => open::open(&config)?,
            },
            durability: open::durability(&config),
            pool: Arc::clone(&pool),
            metrics: Arc::clone(&metrics),
            limits: Limits {
                requests_max: config.max_inflight,
                bytes_max: config.max_pending_writes.bytes(),
            },
        })?);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sockets = runtime.block_on(Sockets::bind(&config))?;
        let mut addresses = sockets.addresses()?;
        let write_thread = match opened {
            // What is written there goes through the raft log.
            Some(opened) => {
                let listener = bind_peer(&config)?;
                let native = addresses.native;
                let ends = (pool, Arc::clone(&store.halt));
                let cluster = Cluster::start(&config, opened, listener, native, ends)?;
                addresses.peer = Some(cluster.peers.address());
                store.join(Arc::new(cluster));
                None
            }
            None => Some(WriteThread::start(Arc::clone(&store))?),
        };
        let threads = match config.threads {
            0 => thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
            threads => threads,
        };
        let context = Arc::new(Context::new(config, store, metrics));
        let _ = context.addresses.set(addresses);
        let workers = (0..threads)
            .map(|index| Worker::start(index, Arc::clone(&context)))
            .collect::<io::Result<Vec<_>>>()?;
        let workers = Arc::new(workers);
        let (stop_control, stopped) = oneshot::channel::<()>();
        let body = {
            let (context, workers) = (Arc::clone(&context), Arc::clone(&workers));
            move || runtime.block_on(sockets.run(context, workers, stopped))
        };
        let control = thread::Builder::new().name("control".into()).spawn(body)?;
        Ok(Running {
            context,
            addresses,
            workers: Some(workers),
            write_thread,
            stop_control: Some(stop_control),
            control: Some(control),
        })
    }
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Waits until a failure of the disk, or a defect, keeps the store from writing, and says which.
    /// It should be shut down then: what it has in memory may not be what is on the disk.
    pub async fn halted(&self) -> String {
        self.context.store.halt.halted().await
    }

    /// Takes no more connections and requests, answers what is in flight, makes everything
    /// durable, and ends. It takes at most the grace time of the configuration and a last sync.
    ///
    /// # Errors
    /// Those of the last sync.
    pub fn shutdown(mut self) -> engine::Result<()> {
        self.stop();
        self.context.store.engine.flush()
    }

    /// Ends all threads.
    fn stop(&mut self) {
        let cluster = self.context.store.cluster().cloned();
        if let Some(cluster) = cluster.as_ref().filter(|_| self.control.is_some()) {
            // While clients are served still, so that none of them waits for an election.
            cluster.hand_over();
        }
        self.context.stop();
        self.stop_control = None;
        if let Some(control) = self.control.take() {
            let _ = control.join();
        }
        if let Some(workers) = self.workers.take() {
            workers.iter().for_each(Worker::stop);
            // The control thread has ended, so this is the last handle: dropping it joins them.
            drop(workers);
        }
        self.write_thread = None;
        if let Some(cluster) = cluster {
            cluster.stop();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The listening sockets.
#[derive(Debug)]
struct Sockets {
    native: Option<TcpListener>,
    resp: Option<TcpListener>,
    status: Option<TcpListener>,
}

impl Sockets {
    /// Listens at the configured addresses.
    async fn bind(config: &Config) -> Result<Sockets, StartError> {
        Ok(Sockets {
            native: bind(&config.addr).await?,
            resp: bind(&config.resp_addr).await?,
            status: bind(&config.status_addr).await?,
        })
    }

    /// Where they listen.
    fn addresses(&self) -> io::Result<Addresses> {
        let of = |listener: &Option<TcpListener>| {
            listener.as_ref().map(TcpListener::local_addr).transpose()
        };
        Ok(Addresses {
            native: of(&self.native)?,
            resp: of(&self.resp)?,
            status: of(&self.status)?,
            peer: None,
        })
    }

    /// Takes connections until the server stops.
    async fn run(
        self,
        context: Arc<Context>,
        workers: Arc<Vec<Worker>>,
        stopped: oneshot::Receiver<()>,
    ) {
        let next_worker = Arc::new(AtomicUsize::new(0));
        let doors = [(Door::Native, self.native), (Door::Resp, self.resp)];
        for (door, listener) in doors {
            let Some(listener) = listener else { continue };
            let listener = Listener {
                door,
                listener,
                context: Arc::clone(&context),
                workers: Arc::clone(&workers),
                next_worker: Arc::clone(&next_worker),
            };
            tokio::spawn(listener.run());
        }
        if let Some(listener) = self.status {
            tokio::spawn(status::serve(listener, context));
        }
        // An error means that the sender was dropped, which is the sign to stop.
        let _ = stopped.await;
    }
}

/// Listens at an address.
async fn bind(address: &Address) -> Result<Option<TcpListener>, StartError> {
    let Address::At(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address: address.clone(), source })?;
    Ok(Some(listener))
}

/// Listens for other stores.
fn bind_peer(config: &Config) -> Result<std::net::TcpListener, StartError> {
    let address = match &config.peer_addr.0 {
        Some(address) => address.clone(),
        // The configuration was checked for this store's being a member.
        None => config.cluster.0.get(&config.store_id).cloned().unwrap_or_default(),
    };
    std::net::TcpListener::bind(&address).map_err(|source| StartError::Listen { address, source })
}
