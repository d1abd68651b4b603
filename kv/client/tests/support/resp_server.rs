//! A server for tests: GET, SET and DEL of the protocol of Redis on a map in memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use proto::resp::{Command, Limits, RequestDecoder, Version, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Data = Arc<Mutex<BTreeMap<Bytes, Bytes>>>;

/// Listens on a free port of its own thread for the rest of the process.
pub(crate) fn listen() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let data = Data::default();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, data.clone()));
            }
        });
    });
    told.recv().unwrap()
}

async fn serve(mut stream: TcpStream, data: Data) {
    let mut decoder = RequestDecoder::new(Limits::default());
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    loop {
        while let Some(command) = decoder.decode(&mut input).unwrap() {
            answer(&command, &data, &mut Writer::new(&mut output, Version::V2));
        }
        if stream.write_all(&output).await.is_err() {
            return;
        }
        output.clear();
        if !matches!(stream.read_buf(&mut input).await, Ok(1..)) {
            return;
        }
    }
}

fn answer(command: &Command, data: &Data, writer: &mut Writer<'_>) {
    let mut data = data.lock().unwrap();
    let words: Vec<Bytes> = (0..command.len()).map(|word| command.bytes(word).unwrap()).collect();
    let name = command.name().to_ascii_uppercase();
    let key = words.last().unwrap();
    match (&name[..], words.len()) {
        (b"GET", _) => writer.bulk_or_null(data.get(key).map(|value| &value[..])),
        (b"DEL", _) => writer.integer(i64::from(data.remove(key).is_some())),
        (b"SET", 3) => {
            data.insert(words[1].clone(), words[2].clone());
            writer.ok();
        }
        _ => writer.error("ERR unknown command"),
    }
}
