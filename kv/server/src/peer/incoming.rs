//! Connections of other stores: what they send goes to the raft thread, what they ask is answered.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use proto::peer_frame::{PeerFrame, PeerHello};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::others::Others;
use super::outgoing::describe;
use super::repeats::Repeats;
use super::wire::{Reader, WireError, Writer};
use super::{Deliver, Incoming, Kind, Payload, PeerMetrics, PeersOptions};

/// The pause after the system refused to give a connection.
const REFUSAL_PAUSE: Duration = Duration::from_millis(100);

/// The largest frame that is taken from one that is not known yet, in bytes.
const GREETING_BYTES_MAX: usize = 64 << 10;

/// How many may be about to say who they are; more are refused.
const GREETINGS_MAX: usize = 64;

/// Where the answer to a request goes. When it is dropped, the asking store hears that the answer
/// is lost.
#[derive(Debug)]
pub struct Replier {
    id: u64,
    to: mpsc::UnboundedSender<(u64, Bytes)>,
    in_flight: Arc<AtomicUsize>,
    is_answered: bool,
}

impl Replier {
    /// Answers. An empty body says that the answer is lost.
    pub fn answer(mut self, body: Bytes) {
        self.is_answered = true;
        // An error means that the connection has gone, and the asking store knows.
        let _ = self.to.send((self.id, body));
    }
}

impl Drop for Replier {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        if !self.is_answered {
            let _ = self.to.send((self.id, Bytes::new()));
        }
    }
}

/// What the connections of other stores share.
struct Shared<M: Payload> {
    others: Arc<Others<M>>,
    deliver: Deliver,
    metrics: Arc<PeerMetrics>,
    /// The newest connection of each store, and the newest for what is large.
    newest: Mutex<BTreeMap<(u64, bool), AbortHandle>>,
    repeats: Mutex<Repeats>,
}

impl<M: Payload> Shared<M> {
    /// Whether something about a store is logged now; then, how often it was not since.
    fn say(&self, store: u64, reason: &str) -> Option<u64> {
        self.repeats.lock().say(&format!("{store} {reason}"), Instant::now())
    }
}

/// Takes connections for ever.
pub(super) async fn run<M: Payload>(
    listener: TcpListener,
    others: Arc<Others<M>>,
    deliver: Deliver,
    metrics: Arc<PeerMetrics>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            return log::error!("the peer address failed"; "error" => error.to_string());
        }
    };
    let shared = Arc::new(Shared {
        others,
        deliver,
        metrics,
        newest: Mutex::default(),
        repeats: Mutex::default(),
    });
    let greetings = Arc::new(Semaphore::new(GREETINGS_MAX));
    loop {
        match listener.accept().await {
            Ok((socket, _)) => match Arc::clone(&greetings).try_acquire_owned() {
                Ok(permit) => drop(tokio::spawn(serve(socket, permit, Arc::clone(&shared)))),
                Err(_) => drop(shared.metrics.refused.inc()),
            },
            Err(error) => {
                log::warn!("cannot take a store's connection"; "error" => error.to_string());
                tokio::time::sleep(REFUSAL_PAUSE).await;
            }
        }
    }
}

/// Greets a store, and then takes what it sends in a task of its own, which a newer connection of
/// the store ends.
async fn serve<M: Payload>(
    socket: TcpStream,
    permit: OwnedSemaphorePermit,
    shared: Arc<Shared<M>>,
) {
    // A greeting is short: one that comes byte by byte is none.
    let greeting = tokio::time::timeout(shared.others.options.patience, greet(socket, &shared));
    let greeting = greeting.await.unwrap_or(Err(WireError::Silent));
    drop(permit);
    match greeting {
        Err(error) => {
            shared.metrics.refused.inc();
            let reason = describe(&error);
            if let Some(repeated) = shared.say(0, &reason) {
                log::warn!("a store's connection is refused"; "reason" => reason,
                    "repeated" => repeated);
            }
        }
        Ok((hello, reader, writer)) => {
            let from = hello.from;
            shared.metrics.connections.inc();
            let body = take(from, Arc::clone(&shared), reader, writer);
            let task = tokio::spawn(body).abort_handle();
            if let Some(older) = shared.newest.lock().insert((from, hello.snapshots), task) {
                older.abort();
            }
        }
    }
}

/// Reads who calls, and says who we are.
async fn greet<M: Payload>(
    socket: TcpStream,
    shared: &Shared<M>,
) -> Result<(PeerHello, Reader<OwnedReadHalf>, Writer<OwnedWriteHalf>), WireError> {
    let options = &shared.others.options;
    socket.set_nodelay(true)?;
    let (read, write) = socket.into_split();
    let mut reader = Reader::new(read, GREETING_BYTES_MAX);
    let mut writer = Writer::new(write, options.patience);
    let PeerFrame::Hello(hello) = reader.next(options.patience).await? else {
        return Err(WireError::Protocol("it did not greet"));
    };
    let meet = || match shared.others.meet(hello.from, &hello.address) {
        true => Ok(()),
        false => Err("too many stores have called: restart this one".to_owned()),
    };
    let answer = match options.check(&hello).and_then(|()| meet()) {
        Ok(()) => PeerFrame::Welcome(options.hello(Kind::Messages, hello.from)),
        Err(reason) => PeerFrame::Refused(reason),
    };
    answer.encode(options.frame_bytes_max, &mut writer.out)?;
    writer.flush().await?;
    match answer {
        PeerFrame::Refused(reason) => Err(WireError::Refused(reason)),
        _ => {
            reader.frame_bytes_max = options.frame_bytes_max;
            Ok((hello, reader, writer))
        }
    }
}

/// Takes what a store sends until the connection ends.
async fn take<M: Payload>(
    from: u64,
    shared: Arc<Shared<M>>,
    reader: Reader<OwnedReadHalf>,
    writer: Writer<OwnedWriteHalf>,
) {
    let (to, answers) = mpsc::unbounded_channel();
    let error = tokio::select! {
        error = read(from, &shared, reader, to) => error,
        error = write(&shared.others.options, writer, answers) => error,
    };
    let reason = describe(&error);
    if let Some(repeated) = shared.say(from, &reason) {
        log::info!("a store's connection ended"; "store" => from, "reason" => reason,
            "repeated" => repeated);
    }
}

async fn read<M: Payload>(
    from: u64,
    shared: &Shared<M>,
    mut reader: Reader<OwnedReadHalf>,
    to: mpsc::UnboundedSender<(u64, Bytes)>,
) -> WireError {
    // As long as nothing is sent there is nothing to miss: only a lost connection ends this.
    let patience = Duration::from_secs(24 * 3600);
    let in_flight = Arc::new(AtomicUsize::new(0));
    loop {
        let frame = match reader.next(patience).await {
            Ok(frame) => frame,
            Err(error) => return error,
        };
        match frame {
            PeerFrame::Messages(messages) => {
                let bytes: usize = messages.iter().map(Bytes::len).sum();
                shared.metrics.received_messages.inc_by(messages.len() as u64);
                shared.metrics.received_bytes.inc_by(bytes as u64);
                (shared.deliver)(Incoming::Messages { from, messages });
            }
            PeerFrame::Ask { id, timeout_ms, body } => {
                shared.metrics.received_bytes.inc_by(body.len() as u64);
                let before = in_flight.fetch_add(1, Ordering::AcqRel);
                let in_flight = Arc::clone(&in_flight);
                let replier = Replier { id, to: to.clone(), in_flight, is_answered: false };
                // Beyond the limit it is dropped, which answers it.
                if before < shared.others.options.asks_max {
                    let timeout = Duration::from_millis(timeout_ms.into());
                    (shared.deliver)(Incoming::Ask { from, timeout, body, replier });
                }
            }
            _ => return WireError::Protocol("that is no message"),
        }
    }
}

/// Sends answers, and a sign of life where there are none.
async fn write(
    options: &PeersOptions,
    mut writer: Writer<OwnedWriteHalf>,
    mut answers: mpsc::UnboundedReceiver<(u64, Bytes)>,
) -> WireError {
    let frame_bytes_max = options.frame_bytes_max;
    let mut alive = tokio::time::interval(options.patience / 4);
    alive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let mut next = tokio::select! {
            answer = answers.recv() => answer,
            _ = alive.tick() => Some((0, Bytes::new())),
        };
        while let Some((id, body)) = next {
            let frame = PeerFrame::Answer { id, body };
            if let Err(error) = frame.encode(frame_bytes_max, &mut writer.out) {
                log::error!("an answer is dropped"; "error" => error.to_string());
                let lost = PeerFrame::Answer { id, body: Bytes::new() };
                if let Err(error) = lost.encode(frame_bytes_max, &mut writer.out) {
                    return error.into();
                }
            }
            next = answers.try_recv().ok();
        }
        if let Err(error) = writer.flush().await {
            return error;
        }
    }
}
