//! The threads that serve connections: each has an event loop of its own and a mailbox to the
//! store, and a connection stays with its worker.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

use crate::connection::{Connection, Door, Place};
use crate::context::Context;
use crate::store::Mailbox;
use crate::stream::Stream;
use crate::{native, resp};

/// The most tasks that are polled before the system is asked for more input.
const ROUND_TASKS_MAX: u32 = 1024;

/// How often connections are looked at for limits of time.
const SWEEP: Duration = Duration::from_millis(250);

/// How often a stopping worker looks whether its connections are done.
const DRAIN_STEP: Duration = Duration::from_millis(5);

/// A worker.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// What a worker's tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    index: usize,
    pub(crate) context: Arc<Context>,
    pub(crate) mailbox: Arc<Mailbox>,
    stop: Notify,
}

impl Worker {
    /// Starts a worker.
    pub(crate) fn start(index: usize, context: Arc<Context>) -> io::Result<Worker> {
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&context.store)));
        let shared = Arc::new(Shared { index, context, mailbox, stop: Notify::new() });
        // A round takes all connections that have input before it asks for more, so that their
        // writes make one group.
        let runtime =
            Builder::new_current_thread().enable_all().event_interval(ROUND_TASKS_MAX).build()?;
        let handle = runtime.handle().clone();
        let body = {
            let shared = Arc::clone(&shared);
            move || runtime.block_on(shared.run())
        };
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(body)?;
        Ok(Worker { shared, handle, thread: Some(thread) })
    }

    /// Its place among the workers.
    pub(crate) fn index(&self) -> usize {
        self.shared.index
    }

    /// Gives it a connection.
    pub(crate) fn serve(&self, socket: std::net::TcpStream, place: Place) {
        let shared = Arc::clone(&self.shared);
        let connection = Arc::clone(&place.connection);
        let task = self.handle.spawn(async move {
            let id = place.connection.id;
            if let Err(error) = shared.serve(socket, &place.connection).await {
                log::debug!("a connection failed"; "id" => id, "error" => error.to_string());
            }
            drop(place);
        });
        connection.set_task(task.abort_handle());
    }

    /// Has it end once its connections are done, or after the grace time. Join it by dropping it.
    pub(crate) fn stop(&self) {
        self.shared.stop.notify_one();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Serves connections until the worker is stopped.
    async fn run(self: Arc<Self>) {
        tokio::spawn(Arc::clone(&self.mailbox).forward());
        tokio::spawn(Arc::clone(&self).sweep());
        self.stop.notified().await;
        self.drain().await;
    }

    /// Serves one connection.
    async fn serve(
        &self,
        socket: std::net::TcpStream,
        connection: &Arc<Connection>,
    ) -> io::Result<()> {
        let socket = TcpStream::from_std(socket)?;
        let stream = Stream::new(socket, Arc::clone(connection), Arc::clone(&self.context));
        match connection.door {
            Door::Resp => resp::serve(stream, &self.context, &self.mailbox).await,
            Door::Native => native::serve(stream, &self.context, &self.mailbox).await,
        }
    }

    /// This worker's connections.
    fn connections(&self) -> impl Iterator<Item = Arc<Connection>> {
        let index = self.index;
        self.context.connections.list().into_iter().filter(move |it| it.worker == index)
    }

    /// Closes connections that are idle or stuck for too long.
    async fn sweep(self: Arc<Self>) {
        let limit = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let idle_max = limit(self.context.config.idle_timeout.0);
        let stalled_max = limit(self.context.config.write_timeout.0);
        let mut interval = tokio::time::interval(SWEEP);
        loop {
            interval.tick().await;
            let now = self.context.store.clock.now();
            for connection in self.connections() {
                let rejected = &self.context.metrics.rejected;
                if idle_max > 0 && connection.idle_ms(now) >= idle_max {
                    rejected.idle.inc();
                } else if connection.stalled_ms(now) >= stalled_max.max(1) {
                    rejected.slow.inc();
                } else {
                    continue;
                }
                log::info!("a connection is closed by a limit of time"; "id" => connection.id,
                    "peer" => connection.peer.to_string());
                connection.close();
            }
        }
    }

    /// Ends idle connections at once, busy ones when they are done, all after the grace time.
    async fn drain(&self) {
        let deadline = Instant::now() + self.context.config.shutdown_grace.0;
        loop {
            let mut left = 0;
            for connection in self.connections() {
                left += 1;
                if !connection.is_busy() || Instant::now() >= deadline {
                    connection.close();
                }
            }
            if left == 0 {
                return;
            }
            tokio::time::sleep(DRAIN_STEP).await;
        }
    }
}
