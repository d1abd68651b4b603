//! A server for tests: the native protocol on a map in memory.
//!
//! It carries requests out in the order in which they come and knows no clock: what has a time
//! to live keeps all of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use proto::frame::{FRAME_BYTES_MAX, FrameDecoder};
use proto::raw::{self, Ttl};
use proto::{ErrorCode, Hello, Message, Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

type Cf = BTreeMap<Bytes, (Bytes, Option<u64>)>;

/// The data of a server, shared by its connections.
#[derive(Clone, Default)]
pub(crate) struct MemoryServer {
    cfs: Arc<Mutex<BTreeMap<String, Cf>>>,
}

impl MemoryServer {
    /// Listens on a free port of its own thread for the rest of the process.
    pub(crate) fn listen(&self) -> SocketAddr {
        let server = self.clone();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let server = server.clone();
                    tokio::spawn(async move {
                        let (reader, writer) = stream.into_split();
                        server.serve(reader, writer).await;
                    });
                }
            });
        });
        told.recv().unwrap()
    }

    /// Serves one connection until the client ends it.
    pub(crate) async fn serve(
        &self,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
    ) {
        let mut decoder = FrameDecoder::default();
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        loop {
            while let Ok(Some(frame)) = decoder.decode(&mut input) {
                let answer = match Message::decode(&frame) {
                    Ok(Message::Hello(_)) => Message::Hello(Hello {
                        agent: "memory-server".to_owned(),
                        frame_bytes_max: FRAME_BYTES_MAX as u64,
                    }),
                    Ok(Message::Ping) => Message::Pong,
                    Ok(Message::Request(Request::Raw(request))) => self.answer(request),
                    other => panic!("the client sent {other:?}"),
                };
                answer.encode(frame.id, FRAME_BYTES_MAX, &mut output).unwrap();
            }
            if writer.write_all(&output).await.is_err() {
                return;
            }
            output.clear();
            if !matches!(reader.read_buf(&mut input).await, Ok(1..)) {
                return;
            }
        }
    }

    /// Carries a request out.
    pub(crate) fn answer(&self, request: raw::Request) -> Message {
        use raw::Request as R;
        let mut cfs = self.cfs.lock().unwrap();
        let name = match &request {
            R::Get { cf, .. }
            | R::BatchGet { cf, .. }
            | R::Put { cf, .. }
            | R::BatchPut { cf, .. }
            | R::Delete { cf, .. }
            | R::BatchDelete { cf, .. }
            | R::DeleteRange { cf, .. }
            | R::Scan { cf, .. }
            | R::CompareAndSwap { cf, .. }
            | R::GetTtl { cf, .. } => cf.clone(),
        };
        if !["default", "lock", "write"].contains(&name.as_str()) {
            let message = format!("there is no column family `{name}`");
            return Message::Error(proto::Error::reject(ErrorCode::UnknownColumnFamily, message));
        }
        let cf = cfs.entry(name).or_default();
        let value = |cf: &Cf, key: &Bytes| cf.get(key).map(|(value, _)| value.clone());
        Message::Response(Response::Raw(match request {
            R::Get { key, .. } => raw::Response::Value(value(cf, &key)),
            R::BatchGet { keys, .. } => {
                raw::Response::Values(keys.iter().map(|key| value(cf, key)).collect())
            }
            R::Put { key, value, ttl_ms, .. } => {
                cf.insert(key, (value, ttl_ms));
                raw::Response::Done
            }
            R::BatchPut { pairs, ttl_ms, .. } => {
                cf.extend(pairs.into_iter().map(|(key, value)| (key, (value, ttl_ms))));
                raw::Response::Done
            }
            R::Delete { key, .. } => raw::Response::Deleted(u64::from(cf.remove(&key).is_some())),
            R::BatchDelete { keys, .. } => raw::Response::Deleted(
                keys.iter().filter(|key| cf.remove(*key).is_some()).count() as u64,
            ),
            R::DeleteRange { start, end, .. } => {
                cf.retain(|key, _| *key < start || end.as_ref().is_some_and(|end| key >= end));
                raw::Response::Done
            }
            R::Scan { start, end, limit, reverse, keys_only, .. } => {
                // A map does not take a range whose end is before its start.
                let end = end.map(|end| end.max(start.clone()));
                let end = end.map_or(Bound::Unbounded, Bound::Excluded);
                let pairs = cf.range((Bound::Included(start), end)).map(|(key, (value, _))| {
                    (key.clone(), if keys_only { Bytes::new() } else { value.clone() })
                });
                let limit = limit as usize;
                raw::Response::Pairs(if reverse {
                    pairs.rev().take(limit).collect()
                } else {
                    pairs.take(limit).collect()
                })
            }
            R::CompareAndSwap { key, expected, value: new, ttl_ms, .. } => {
                let previous = value(cf, &key);
                let swapped = previous == expected;
                if swapped {
                    cf.insert(key, (new, ttl_ms));
                }
                raw::Response::Swapped { swapped, previous }
            }
            R::GetTtl { key, .. } => raw::Response::Ttl(match cf.get(&key) {
                None => Ttl::Absent,
                Some((_, None)) => Ttl::Forever,
                Some((_, Some(ms))) => Ttl::Left(*ms),
            }),
        }))
    }
}
