//! The native protocol: frames with request ids, pipelined, answered as soon as each is done.
//!
//! One task a connection reads and writes. What it can answer at once it answers; the rest comes
//! back through a channel. While as many requests are in flight as allowed, or the client does not
//! take its answers, nothing more is read. What waits for clients is bounded in bytes over all
//! connections.

mod admin;
mod answer;
mod request;

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use proto::frame::{FrameDecoder, FrameError};
use proto::{Error, ErrorCode, Hello, Message};

use crate::context::Context;
use crate::store::{Landed, Landing, Mailbox};
use crate::stream::Stream;
use request::Flight;

/// Answers beyond this leave before further requests are carried out, in bytes.
const FLUSH_BYTES: usize = 256 << 10;

/// What is said about this server.
const AGENT: &str = concat!("tinykv-server ", env!("CARGO_PKG_VERSION"));

/// Serves one connection until it ends.
pub(crate) async fn serve(
    mut stream: Stream,
    context: &Arc<Context>,
    mailbox: &Arc<Mailbox>,
) -> io::Result<()> {
    let frame_bytes_max = context.config.max_frame_size.bytes();
    let mut decoder = FrameDecoder::new(frame_bytes_max);
    let (done, mut finished) = Landing::new(Arc::clone(&context.backlog));
    let mut flight = Flight::new(context, mailbox, done);
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let inflight_max = context.config.max_connection_inflight;
    let mut may_read = true;
    loop {
        // Whole frames that arrived already come first, as far as requests may be in flight.
        while flight.len() < inflight_max && output.len() < FLUSH_BYTES && may_read {
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => {
                    stream.connection.begin();
                    let id = frame.id;
                    let answer = match Message::decode(&frame) {
                        Ok(message) => receive(message, id, &mut flight, frame_bytes_max),
                        Err(error) => Some(refuse(&error)),
                    };
                    if let Some(answer) = answer {
                        flight.count(&answer);
                        answer::write(&answer, id, frame_bytes_max, &mut output);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let answer = refuse(&error);
                    let id = error.request_id();
                    answer::write(&answer, id.unwrap_or(0), frame_bytes_max, &mut output);
                    if id.is_none() {
                        // The stream is lost, what was asked before is answered still.
                        context.metrics.rejected.protocol.inc();
                        may_read = false;
                    }
                }
            }
        }
        // What is too much for one write waits: answers that are done take no second copy here.
        while output.len() < FLUSH_BYTES
            && let Ok(landed) = finished.try_recv()
        {
            land(&mut flight, landed, frame_bytes_max, &mut output);
        }
        if !output.is_empty() {
            stream.write(&mut output).await?;
            continue;
        }
        if flight.is_empty() {
            stream.connection.finish(context.store.clock.now());
            if !may_read || context.is_stopping() {
                return Ok(());
            }
        }
        tokio::select! {
            biased;
            Some(landed) = finished.recv() => {
                land(&mut flight, landed, frame_bytes_max, &mut output);
            }
            more = stream.read(&mut input), if may_read && flight.len() < inflight_max => {
                may_read = more?;
            }
        }
    }
}

/// Takes a request that is done, and appends its answer.
fn land(flight: &mut Flight<'_>, landed: Landed, frame_bytes_max: usize, output: &mut BytesMut) {
    if let Some((id, answer)) = flight.land(landed) {
        flight.count(&answer);
        answer::write(&answer, id, frame_bytes_max, output);
    }
}

/// Takes a message. Gives the answer if there is one at once.
fn receive(
    message: Message,
    id: u64,
    flight: &mut Flight<'_>,
    frame_bytes_max: usize,
) -> Option<Message> {
    match message {
        Message::Hello(_) => Some(Message::Hello(Hello {
            agent: AGENT.to_owned(),
            frame_bytes_max: frame_bytes_max as u64,
        })),
        Message::Request(request) => flight.start(request, id),
        Message::Ping => Some(Message::Pong),
        Message::Pong => None,
        Message::Response(_) | Message::Error(_) => {
            let error = Error::reject(ErrorCode::InvalidRequest, "a client sends requests only");
            Some(Message::Error(error))
        }
    }
}

/// What is said about a frame that is not understood.
fn refuse(error: &FrameError) -> Message {
    let code = match error {
        FrameError::UnknownKind { .. }
        | FrameError::Payload { .. }
        | FrameError::Version { .. } => ErrorCode::Unsupported,
        FrameError::TooLarge { .. } | FrameError::TooShort { .. } | FrameError::Encode(_) => {
            ErrorCode::InvalidRequest
        }
    };
    Message::Error(Error::reject(code, error.to_string()))
}
