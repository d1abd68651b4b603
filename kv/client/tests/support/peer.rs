//! The server's end of a connection in memory, played by a test step by step. Time is virtual.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use proto::frame::{FRAME_BYTES_MAX, FrameDecoder};
use proto::{Hello, Message, Request, Response, raw};
use tinykv_client::{Client, Connect, Connecting, Options, Result, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Opens pipes in memory, whose other ends a [`Dock`] takes.
#[derive(Clone)]
pub(crate) struct Pipes {
    peers: mpsc::UnboundedSender<Peer>,
    refusals: Arc<AtomicUsize>,
    attempts: Arc<Mutex<Vec<Instant>>>,
}

/// Where the server's ends of the pipes arrive.
pub(crate) struct Dock {
    peers: mpsc::UnboundedReceiver<Peer>,
    refusals: Arc<AtomicUsize>,
    attempts: Arc<Mutex<Vec<Instant>>>,
}

pub(crate) fn pipes() -> (Pipes, Dock) {
    let (sender, peers) = mpsc::unbounded_channel();
    let (refusals, attempts) = <(Arc<AtomicUsize>, Arc<Mutex<Vec<Instant>>>)>::default();
    let pipes = Pipes { peers: sender, refusals: refusals.clone(), attempts: attempts.clone() };
    (pipes, Dock { peers, refusals, attempts })
}

impl Connect for Pipes {
    fn connect<'a>(&'a self, address: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            self.attempts.lock().unwrap().push(Instant::now());
            let refuse = |left: usize| left.checked_sub(1);
            if self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse).is_ok() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (near, far) = tokio::io::duplex(1 << 20);
            let _ = self.peers.send(Peer::new(far, address));
            let (reader, writer) = tokio::io::split(near);
            Ok(Stream { reader: Box::new(reader), writer: Box::new(writer) })
        })
    }
}

impl Dock {
    /// Waits for the next connection and greets it.
    pub(crate) async fn greeted(&mut self) -> Peer {
        let mut peer = self.silent().await;
        peer.greet().await;
        peer
    }

    /// Waits for the next connection.
    pub(crate) async fn silent(&mut self) -> Peer {
        self.peers.recv().await.unwrap()
    }

    /// Refuses the next `count` attempts to connect.
    pub(crate) fn refuse(&self, count: usize) {
        self.refusals.store(count, Ordering::SeqCst);
    }

    /// When the client tried to connect.
    pub(crate) fn attempts(&self) -> Vec<Instant> {
        self.attempts.lock().unwrap().clone()
    }
}

/// Connects a client to a peer that greets it.
pub(crate) async fn connected(options: Options) -> (Client, Peer, Dock) {
    let (pipes, mut dock) = pipes();
    let (client, peer) =
        tokio::join!(Client::connect_with(pipes, "store", options), dock.greeted());
    (client.unwrap(), peer, dock)
}

/// Connects a client to a peer that greets it, which may fail.
pub(crate) async fn connect(pipes: Pipes) -> Result<Client> {
    Client::connect_with(pipes, "store", Options::default()).await
}

/// The server's end of a connection.
pub(crate) struct Peer {
    stream: DuplexStream,
    /// The address to which the client connected.
    #[allow(dead_code, reason = "not every suite needs it")]
    pub(crate) address: String,
    decoder: FrameDecoder,
    input: BytesMut,
}

impl Peer {
    fn new(stream: DuplexStream, address: &str) -> Peer {
        let address = address.to_owned();
        Peer { stream, address, decoder: FrameDecoder::default(), input: BytesMut::new() }
    }

    /// The next message and its id; none once the client hung up.
    pub(crate) async fn next(&mut self) -> Option<(u64, Message)> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.input).unwrap() {
                return Some((frame.id, Message::decode(&frame).unwrap()));
            }
            if self.stream.read_buf(&mut self.input).await.unwrap() == 0 {
                return None;
            }
        }
    }

    /// The next request and its id.
    pub(crate) async fn request(&mut self) -> (u64, raw::Request) {
        match self.next().await {
            Some((id, Message::Request(Request::Raw(request)))) => (id, request),
            other => panic!("{other:?} instead of a request"),
        }
    }

    /// The id and the key of the next request, which is a get.
    pub(crate) async fn get(&mut self) -> (u64, String) {
        match self.request().await {
            (id, raw::Request::Get { key, .. }) => (id, String::from_utf8(key.to_vec()).unwrap()),
            other => panic!("{other:?} instead of a get"),
        }
    }

    /// Takes the client's hello and answers it.
    pub(crate) async fn greet(&mut self) {
        assert!(matches!(self.next().await, Some((0, Message::Hello(_)))));
        self.send(0, Message::Hello(Hello::default())).await;
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, id: u64, message: Message) {
        let mut out = BytesMut::new();
        message.encode(id, FRAME_BYTES_MAX, &mut out).unwrap();
        self.bytes(&out).await;
    }

    /// Sends an answer.
    pub(crate) async fn answer(&mut self, id: u64, response: raw::Response) {
        self.send(id, Message::Response(Response::Raw(response))).await;
    }

    /// Sends a value as the answer.
    pub(crate) async fn value(&mut self, id: u64, value: &str) {
        let value = value.as_bytes().to_vec().into();
        self.answer(id, raw::Response::Value(Some(value))).await;
    }

    /// Sends any bytes. That the client hung up is no failure.
    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }
}
