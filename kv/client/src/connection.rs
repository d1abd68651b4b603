//! One pipelined connection.
//!
//! Callers register a request under the lock of [`State`] and append its frame to the common
//! output buffer; one task writes whatever has gathered there, so that small frames of many
//! callers leave in one write, and hands each answer to the caller that its id names.
//!
//! Invariants:
//! - an id is never used twice on a connection, so an answer that comes too late or twice finds
//!   nobody and is dropped;
//! - every id in `in_flight` has a caller that waits: a caller that goes away takes its id along;
//! - after the end no request is accepted, and every waiting caller has been told.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use mutant::mutant;
use parking_lot::Mutex;
use proto::frame::{FrameDecoder, FrameError};
use proto::{Hello, Message, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, oneshot};
use tokio::task::JoinHandle;

use crate::connect::Stream;
use crate::error::Cause;
use crate::options::Options;

/// The room that a read of the socket has at least, in bytes.
const READ_BYTES: usize = 64 << 10;

/// An output buffer that grew beyond this many bytes is not kept for the next write.
const OUT_BYTES_KEPT: usize = 1 << 20;

/// Why one request has no answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The frame of the request is larger than the server takes.
    TooLarge(String),
    /// The server answered with an error.
    Refused(proto::Error),
    /// The connection ended first, or this answer alone makes no sense.
    Lost {
        /// Whether the request may have reached the server.
        sent: bool,
        /// What happened.
        cause: Cause,
    },
}

type Outcome = std::result::Result<Response, Failure>;

/// What callers and the task of a connection share.
struct Shared {
    state: Mutex<State>,
    /// Told when `State::out` stops being empty.
    output: Notify,
    /// The largest frame that the server takes, in bytes.
    frame_bytes_max: usize,
}

struct State {
    /// The callers that wait, by request id.
    in_flight: HashMap<u64, oneshot::Sender<Outcome>>,
    /// Frames that no write has taken yet.
    out: BytesMut,
    /// The id of the next request; ids start at 1 and never come again.
    id_next: u64,
    /// All ids below this one have been handed to a write.
    sent_below: u64,
    /// Whether a byte came since the last look.
    heard: bool,
    /// Why the connection ended, once it has.
    end: Option<Cause>,
}

/// A connection that is open, or was.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    /// Room for further requests.
    slots: Semaphore,
    /// Reads and writes; ended when the connection is dropped.
    task: JoinHandle<()>,
}

/// The right to have one request in flight.
pub(crate) struct Slot<'a> {
    connection: &'a Connection,
    _permit: SemaphorePermit<'a>,
}

impl Connection {
    /// Greets the server on `stream` and starts the connection's task.
    pub(crate) async fn open(mut stream: Stream, options: &Options) -> Result<Connection, Failure> {
        let mut input = BytesMut::with_capacity(READ_BYTES);
        let lost = |cause| Failure::Lost { sent: false, cause };
        let hello = greet(&mut stream, &mut input, options).await.map_err(|end| match end {
            Cause::Server(error) => Failure::Refused(error),
            cause => lost(cause),
        })?;
        let frame_bytes_max = match usize::try_from(hello.frame_bytes_max) {
            Ok(0) => proto::frame::FRAME_BYTES_MAX,
            Ok(bytes) => bytes,
            Err(_) => usize::MAX,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                in_flight: HashMap::new(),
                out: BytesMut::new(),
                id_next: 1,
                sent_below: 1,
                heard: true,
                end: None,
            }),
            output: Notify::new(),
            frame_bytes_max,
        });
        let decoder = FrameDecoder::new(options.frame_bytes_max);
        let task = tokio::spawn(drive(shared.clone(), stream, decoder, input, options.keepalive));
        Ok(Connection { shared, slots: Semaphore::new(options.in_flight_max), task })
    }

    /// Whether requests are still accepted.
    pub(crate) fn is_open(&self) -> bool {
        self.shared.state.lock().end.is_none()
    }

    /// Waits for room in flight.
    pub(crate) async fn slot(&self) -> Slot<'_> {
        let permit = self.slots.acquire().await.expect("the semaphore is never closed");
        Slot { connection: self, _permit: permit }
    }
}

impl Slot<'_> {
    /// Sends `message` and waits for its answer. Dropping the future gives the answer up.
    pub(crate) async fn call(self, message: &Message) -> Outcome {
        let mut waiting = self.connection.shared.send(message)?;
        let outcome = (&mut waiting.answer).await;
        waiting.answered = true;
        outcome.expect("the end of a connection answers every waiting caller")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A caller's place in the table of requests in flight.
struct Waiting<'a> {
    shared: &'a Shared,
    id: u64,
    answer: oneshot::Receiver<Outcome>,
    /// Whether the place was already taken from the table.
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.state.lock().in_flight.remove(&self.id);
        }
    }
}

impl Shared {
    /// Registers a request and queues its frame.
    fn send(&self, message: &Message) -> Result<Waiting<'_>, Failure> {
        let (sender, answer) = oneshot::channel();
        let mut state = self.state.lock();
        if let Some(cause) = &state.end {
            return Err(Failure::Lost { sent: false, cause: cause.clone() });
        }
        let id = state.id_next;
        let was_empty = state.out.is_empty();
        message
            .encode(id, self.frame_bytes_max, &mut state.out)
            .map_err(|error| Failure::TooLarge(error.to_string()))?;
        state.id_next += 1;
        state.in_flight.insert(id, sender);
        drop(state);
        if was_empty {
            self.output.notify_one();
        }
        Ok(Waiting { shared: self, id, answer, answered: false })
    }

    /// Hands an outcome to the caller that waits for `id`.
    ///
    /// # Errors
    /// If no request ever had this id: the server is confused, and no later answer can be
    /// trusted.
    fn answer(&self, id: u64, outcome: Outcome) -> Result<(), Cause> {
        let mut state = self.state.lock();
        if id == 0 || id >= state.id_next {
            return Err(Cause::protocol(format!("it answers request {id}, which was never sent")));
        }
        let sender = if mutant!("answers-by-order") {
            let oldest = state.in_flight.keys().min().copied();
            oldest.and_then(|id| state.in_flight.remove(&id))
        } else {
            state.in_flight.remove(&id)
        };
        drop(state);
        if let Some(sender) = sender {
            // A caller that is going away right now does not take it any more.
            let _ = sender.send(outcome);
        }
        Ok(())
    }

    /// Queues a frame that no caller waits for.
    fn queue(&self, message: &Message, id: u64) {
        let mut state = self.state.lock();
        // Ping and Pong are a head only: they fit in every limit.
        let fits = message.encode(id, usize::MAX, &mut state.out);
        debug_assert!(fits.is_ok());
        drop(state);
        self.output.notify_one();
    }

    /// Ends the connection: every caller that waits is told, no further one is accepted.
    fn end(&self, cause: &Cause) {
        let mut state = self.state.lock();
        state.end = Some(cause.clone());
        let in_flight = std::mem::take(&mut state.in_flight);
        let sent_below = state.sent_below;
        state.out = BytesMut::new();
        drop(state);
        for (id, sender) in in_flight {
            let _ = sender.send(Err(Failure::Lost { sent: id < sent_below, cause: cause.clone() }));
        }
    }
}

/// Ends the connection whatever way its task goes.
struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        if self.0.state.lock().end.is_none() {
            self.0.end(&Cause::disconnected(io::ErrorKind::ConnectionAborted.into()));
        }
    }
}

/// Says hello and waits for the server's hello.
async fn greet(
    stream: &mut Stream,
    input: &mut BytesMut,
    options: &Options,
) -> Result<Hello, Cause> {
    let hello = Message::Hello(Hello {
        agent: concat!("tinykv-client ", env!("CARGO_PKG_VERSION")).to_owned(),
        frame_bytes_max: options.frame_bytes_max as u64,
    });
    let mut out = BytesMut::new();
    hello.encode(0, usize::MAX, &mut out).map_err(Cause::protocol)?;
    stream.writer.write_all(&out).await.map_err(Cause::disconnected)?;
    let mut decoder = FrameDecoder::new(options.frame_bytes_max);
    loop {
        if let Some(frame) = decoder.decode(input).map_err(Cause::protocol)? {
            return match Message::decode(&frame).map_err(Cause::protocol)? {
                Message::Hello(hello) => Ok(hello),
                Message::Error(error) => Err(Cause::Server(error)),
                other => {
                    Err(Cause::protocol(format!("a {} frame instead of a hello", other.kind())))
                }
            };
        }
        read(&mut stream.reader, input).await?;
    }
}

/// Reads what there is, at least a byte.
async fn read(
    reader: &mut (impl AsyncReadExt + Unpin + ?Sized),
    input: &mut BytesMut,
) -> Result<(), Cause> {
    input.reserve(READ_BYTES);
    match reader.read_buf(input).await {
        Ok(0) => Err(Cause::disconnected(io::ErrorKind::UnexpectedEof.into())),
        Ok(_) => Ok(()),
        Err(error) => Err(Cause::disconnected(error)),
    }
}

/// The task of a connection.
async fn drive(
    shared: Arc<Shared>,
    stream: Stream,
    decoder: FrameDecoder,
    input: BytesMut,
    keepalive: Duration,
) {
    let guard = EndGuard(shared);
    let shared = &*guard.0;
    let end = tokio::select! {
        end = read_answers(shared, stream.reader, decoder, input) => end,
        end = write_requests(shared, stream.writer) => end,
        end = watch(shared, keepalive) => end,
    };
    shared.end(&end);
}

/// Hands out answers until the connection ends, and tells why it did.
async fn read_answers(
    shared: &Shared,
    mut reader: Box<dyn tokio::io::AsyncRead + Send + Unpin>,
    mut decoder: FrameDecoder,
    mut input: BytesMut,
) -> Cause {
    loop {
        loop {
            match decoder.decode(&mut input) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    let id = frame.id;
                    if let Err(cause) = take(shared, id, Message::decode(&frame)) {
                        return cause;
                    }
                }
                Err(error) => {
                    let id = error.request_id().unwrap_or(0);
                    if let Err(cause) = take(shared, id, Err(error)) {
                        return cause;
                    }
                }
            }
        }
        if let Err(cause) = read(&mut *reader, &mut input).await {
            return cause;
        }
        shared.state.lock().heard = true;
    }
}

/// Takes one message of the server.
fn take(shared: &Shared, id: u64, message: Result<Message, FrameError>) -> Result<(), Cause> {
    match message {
        Ok(Message::Response(response)) => shared.answer(id, Ok(response)),
        Ok(Message::Error(error)) if id != 0 => shared.answer(id, Err(Failure::Refused(error))),
        Ok(Message::Error(error)) => Err(Cause::Server(error)),
        Ok(Message::Ping) => {
            shared.queue(&Message::Pong, id);
            Ok(())
        }
        Ok(Message::Pong | Message::Hello(_)) => Ok(()),
        Ok(Message::Request(_)) => Err(Cause::protocol("a server does not ask")),
        // The stream is still in step: only this answer is lost.
        Err(error) if error.request_id().is_some_and(|id| id != 0) => {
            shared.answer(id, Err(Failure::Lost { sent: true, cause: Cause::protocol(error) }))
        }
        Err(error) => Err(Cause::protocol(error)),
    }
}

/// Writes what callers queue until the connection ends, and tells why it did.
async fn write_requests(
    shared: &Shared,
    mut writer: Box<dyn tokio::io::AsyncWrite + Send + Unpin>,
) -> Cause {
    let mut out = BytesMut::new();
    loop {
        {
            let mut state = shared.state.lock();
            std::mem::swap(&mut out, &mut state.out);
            state.sent_below = state.id_next;
        }
        if out.is_empty() {
            shared.output.notified().await;
            // Lets the callers that are ready now add their frames to the same write.
            tokio::task::yield_now().await;
            continue;
        }
        let written = async {
            writer.write_all(&out).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            return Cause::disconnected(error);
        }
        if out.capacity() > OUT_BYTES_KEPT {
            out = BytesMut::new();
        }
        out.clear();
    }
}

/// Asks a silent server for a sign of life; returns when it gives none.
async fn watch(shared: &Shared, keepalive: Duration) -> Cause {
    let mut interval = tokio::time::interval(keepalive);
    interval.tick().await;
    let mut asked = false;
    loop {
        interval.tick().await;
        let heard = std::mem::take(&mut shared.state.lock().heard);
        if heard {
            asked = false;
        } else if asked {
            return Cause::disconnected(io::ErrorKind::TimedOut.into());
        } else {
            asked = true;
            shared.queue(&Message::Ping, 0);
        }
    }
}
