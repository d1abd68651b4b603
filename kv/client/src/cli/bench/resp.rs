//! A pipelined connection to a server that speaks the protocol of Redis: answers come in the
//! order of the requests.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Context;
use bytes::BytesMut;
use parking_lot::Mutex;
use proto::resp::{Limits, ReplyDecoder, Value, Version, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};

/// The room that a read of the socket has at least, in bytes.
const READ_BYTES: usize = 64 << 10;

/// A connection.
#[derive(Clone)]
pub(crate) struct Resp {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when `State::out` stops being empty.
    output: Notify,
}

#[derive(Default)]
struct State {
    /// Commands that no write has taken yet.
    out: BytesMut,
    /// The callers that wait for an answer, in the order of their commands.
    waiting: VecDeque<oneshot::Sender<Value>>,
    /// Whether the connection has ended.
    ended: bool,
}

impl Resp {
    /// Connects to `address`.
    pub(crate) async fn connect(address: &str) -> anyhow::Result<Resp> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot reach a server at {address}"))?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let shared = Arc::new(Shared::default());
        let task = shared.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = read_answers(&task, reader) => {}
                () = write_commands(&task, writer) => {}
            }
            let mut state = task.state.lock();
            state.ended = true;
            state.waiting.clear();
        });
        Ok(Resp { shared })
    }

    /// Sends a command and waits for its answer; none if the connection was lost.
    pub(crate) async fn call(&self, words: &[&[u8]]) -> Option<Value> {
        let (sender, answer) = oneshot::channel();
        let was_empty = {
            let mut state = self.shared.state.lock();
            if state.ended {
                return None;
            }
            let was_empty = state.out.is_empty();
            let mut writer = Writer::new(&mut state.out, Version::V2);
            writer.array(words.len());
            words.iter().for_each(|word| writer.bulk(word));
            state.waiting.push_back(sender);
            was_empty
        };
        if was_empty {
            self.shared.output.notify_one();
        }
        answer.await.ok()
    }
}

/// Hands out answers until the connection ends.
async fn read_answers(shared: &Shared, mut reader: OwnedReadHalf) {
    let mut decoder = ReplyDecoder::new(Limits::default());
    let mut input = BytesMut::new();
    loop {
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(value)) => {
                    let Some(sender) = shared.state.lock().waiting.pop_front() else { return };
                    // The caller may be gone at the end of a phase.
                    let _ = sender.send(value);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        input.reserve(READ_BYTES);
        if !matches!(reader.read_buf(&mut input).await, Ok(1..)) {
            return;
        }
    }
}

/// Writes what callers queue until the connection ends.
async fn write_commands(shared: &Shared, mut writer: OwnedWriteHalf) {
    let mut out = BytesMut::new();
    loop {
        std::mem::swap(&mut out, &mut shared.state.lock().out);
        if out.is_empty() {
            shared.output.notified().await;
            // Lets the lanes that are ready now add their commands to the same write.
            tokio::task::yield_now().await;
            continue;
        }
        if writer.write_all(&out).await.is_err() {
            return;
        }
        out.clear();
    }
}
