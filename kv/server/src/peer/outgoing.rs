//! The connection to one store: it is made again whenever it is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use parking_lot::Mutex;
use proto::peer_frame::{PeerFrame, encode_messages};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::backoff::Backoff;
use super::lane::{Lane, Parcel};
use super::repeats::Repeats;
use super::wire::{Reader, WireError, Writer};
use super::{Deliver, Incoming, Kind, Payload, PeersOptions};

/// How often asks are looked at whose time is over.
const EXPIRE: Duration = Duration::from_millis(50);

/// A connection to be kept.
pub(super) struct Way {
    pub(super) kind: Kind,
    /// The store.
    pub(super) id: u64,
    /// Where it is reached.
    pub(super) address: Arc<Mutex<String>>,
}

/// Keeps a connection to a store for ever.
pub(super) async fn run<M: Payload>(
    way: Way,
    lane: Arc<Lane<M>>,
    options: Arc<PeersOptions>,
    deliver: Deliver,
) {
    let mut backoff = Backoff::new(options.backoff);
    let mut repeats = Repeats::default();
    let id = way.id;
    loop {
        let error = match connect(&way, &options).await {
            Err(error) => error,
            Ok((reader, writer, native)) => {
                let failures = backoff.reset();
                log::info!("connected to a store"; "store" => id, "failures_before" => failures);
                lane.metrics().connections.inc();
                lane.open(native);
                deliver(Incoming::Connected(id));
                let error = drive(&lane, &options, reader, writer).await;
                lane.close();
                deliver(Incoming::Disconnected(id));
                error
            }
        };
        lane.metrics().failures.inc();
        let reason = describe(&error);
        let repeated = repeats.say(&reason, Instant::now());
        if backoff.is_fresh() || repeated.is_some() {
            log::warn!("no connection to a store"; "store" => id, "reason" => reason,
                "repeated" => repeated.unwrap_or_default());
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// An error with what is behind it.
pub(super) fn describe(error: &WireError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Connects, and says hello. Gives the native address that the store says.
async fn connect(
    way: &Way,
    options: &PeersOptions,
) -> Result<(Reader<OwnedReadHalf>, Writer<OwnedWriteHalf>, String), WireError> {
    let address = way.address.lock().clone();
    let connecting = TcpStream::connect(address);
    let socket = tokio::time::timeout(options.patience, connecting)
        .await
        .map_err(|_| WireError::Silent)??;
    socket.set_nodelay(true)?;
    let (read, write) = socket.into_split();
    let mut writer = Writer::new(write, options.patience);
    PeerFrame::Hello(options.hello(way.kind, way.id))
        .encode(options.frame_bytes_max, &mut writer.out)?;
    writer.flush().await?;
    let mut reader = Reader::new(read, options.frame_bytes_max);
    match reader.next(options.patience).await? {
        PeerFrame::Welcome(hello) => {
            options.check(&hello).map_err(WireError::Refused)?;
            Ok((reader, writer, hello.native))
        }
        PeerFrame::Refused(reason) => Err(WireError::Refused(reason)),
        _ => Err(WireError::Protocol("it did not greet")),
    }
}

/// Sends and takes answers until the connection is lost, and gives why.
async fn drive<M: Payload>(
    lane: &Lane<M>,
    options: &PeersOptions,
    reader: Reader<OwnedReadHalf>,
    writer: Writer<OwnedWriteHalf>,
) -> WireError {
    tokio::select! {
        error = write(lane, options, writer) => error,
        error = read(lane, options, reader) => error,
        () = expire(lane) => WireError::Silent,
    }
}

async fn expire<M: Payload>(lane: &Lane<M>) {
    let mut interval = tokio::time::interval(EXPIRE);
    loop {
        interval.tick().await;
        lane.expire();
    }
}

async fn write<M: Payload>(
    lane: &Lane<M>,
    options: &PeersOptions,
    mut writer: Writer<OwnedWriteHalf>,
) -> WireError {
    loop {
        let parcel = lane.take().await;
        let messages = parcel.messages.len();
        encode(&parcel, options.frame_bytes_max, &mut writer.out);
        match writer.flush().await {
            Err(error) => return error,
            Ok(bytes) => {
                lane.metrics().sent_messages.inc_by(messages as u64);
                lane.metrics().sent_frames.inc();
                lane.metrics().sent_bytes.inc_by(bytes as u64);
            }
        }
    }
}

/// Appends the frames of a parcel. What is too large is dropped.
fn encode<M: Payload>(parcel: &Parcel<M>, frame_bytes_max: usize, out: &mut BytesMut) {
    let messages = |messages: &[M], out: &mut BytesMut| {
        encode_messages(messages, frame_bytes_max, out, |message, out| message.encode(out))
    };
    if !parcel.messages.is_empty() && messages(&parcel.messages, out).is_err() {
        for message in &parcel.messages {
            if let Err(error) = messages(std::slice::from_ref(message), out) {
                log::error!("a message is dropped"; "error" => error.to_string());
            }
        }
    }
    for ask in &parcel.asks {
        let timeout_ms = u32::try_from(ask.timeout.as_millis()).unwrap_or(u32::MAX);
        let frame = PeerFrame::Ask { id: ask.id, timeout_ms, body: ask.body.clone() };
        if let Err(error) = frame.encode(frame_bytes_max, out) {
            log::error!("a request is dropped"; "error" => error.to_string());
        }
    }
}

async fn read<M: Payload>(
    lane: &Lane<M>,
    options: &PeersOptions,
    mut reader: Reader<OwnedReadHalf>,
) -> WireError {
    loop {
        match reader.next(options.patience).await {
            // Id 0 is a sign of life.
            Ok(PeerFrame::Answer { id: 0, .. }) => {}
            Ok(PeerFrame::Answer { id, body }) => lane.answer(id, body),
            Ok(_) => return WireError::Protocol("it was not asked for that"),
            Err(error) => return error,
        }
    }
}
