//! Each limit: what a client hears, and which metric counts it.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/http.rs"]
mod http;
#[path = "support/resp.rs"]
mod resp;
#[path = "support/start.rs"]
mod start;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use bytes::{Bytes, BytesMut};
use resp::{Resp, encode, show};
use tinykv_server::Running;

/// How often a limit was met.
fn rejected(server: &Running, limit: &str) -> f64 {
    let status = server.addresses().status.unwrap();
    http::metric(status, &format!("tinykv_rejected_total{{limit=\"{limit}\"}}"))
}

#[test]
fn connections_beyond_the_limit_hear_why() {
    let server = start::start_memory(&["--max-connections=2"]);
    let mut first = Resp::connect(start::resp(&server));
    let mut second = Resp::connect(start::resp(&server));
    assert_eq!((first.run("PING"), second.run("PING")), ("PONG".into(), "PONG".into()));
    let mut third = Resp::connect(start::resp(&server));
    let reply = show(&third.receive().unwrap());
    assert_eq!(reply, "(error) ERR max number of clients reached");
    assert_eq!(third.receive(), None);
    assert!(rejected(&server, "connections") >= 1.0);
    // A place that is given up is free for the next.
    assert_eq!(first.run("QUIT"), "OK");
    assert_eq!(first.receive(), None);
    while http::metric(server.addresses().status.unwrap(), "tinykv_connections_open") > 1.0 {}
    assert_eq!(Resp::connect(start::resp(&server)).run("PING"), "PONG");
}

#[test]
fn a_request_that_is_too_large_ends_its_connection() {
    let server = start::start_memory(&["--max-request-size=1MiB"]);
    let mut client = Resp::connect(start::resp(&server));
    assert_eq!(client.run_words(&[b"SET", b"k", &vec![b'x'; 1 << 20]]), "OK");
    client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n");
    let reply = show(&client.receive().unwrap());
    assert_eq!(reply, "(error) ERR Protocol error: invalid bulk length");
    assert_eq!(client.receive(), None);
    assert!(rejected(&server, "protocol") >= 1.0);
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let server = start::start_memory(&["--idle-timeout=500ms"]);
    let mut idle = Resp::connect(start::resp(&server));
    let mut slow = Resp::connect(start::resp(&server));
    let mut busy = Resp::connect(start::resp(&server));
    slow.send_raw(b"*1\r\n$4\r\nPI");
    // Talks until the others are gone.
    while rejected(&server, "idle") < 2.0 {
        assert_eq!(busy.run("PING"), "PONG");
    }
    assert_eq!(idle.receive(), None);
    assert_eq!(slow.receive(), None);
    assert_eq!(busy.run("PING"), "PONG");
}

#[test]
fn a_client_that_takes_no_answers_is_closed() {
    let server = start::start_memory(&["--write-timeout=300ms"]);
    let mut client = Resp::connect(start::resp(&server));
    client.run_words(&[b"SET", b"large", &vec![b'x'; 4 << 20]]);
    client.send_raw(&encode(&[b"GET", b"large"]).repeat(20));
    while rejected(&server, "slow") < 1.0 {}
}

/// Has connections ask for 64 MiB each without taking any of it, until one is closed; those before
/// it go on, and others are served.
fn ask_without_reading(door: impl Fn(&Running) -> SocketAddr, ask: &[u8]) {
    let server = start::start_memory(&["--max-pending-answers=8MiB", "--write-timeout=1h"]);
    let mut client = Resp::connect(start::resp(&server));
    client.run_words(&[b"SET", b"large", &vec![b'x'; 4 << 20]]);
    let mut silent: Vec<TcpStream> = Vec::new();
    while rejected(&server, "answers") < 1.0 {
        if silent.len() < 100 {
            silent.push(TcpStream::connect(door(&server)).unwrap());
            // One that is closed takes no more.
            let _ = silent.last_mut().unwrap().write_all(&ask.repeat(16));
        }
        assert_eq!(client.run("PING"), "PONG");
        let status = server.addresses().status.unwrap();
        let waiting = http::metric(status, "tinykv_pending_answer_bytes");
        assert!(waiting < f64::from(16 << 20), "{waiting}");
    }
    // Whoever goes away gives its room back.
    drop(silent);
    let status = server.addresses().status.unwrap();
    while http::metric(status, "tinykv_pending_answer_bytes") > 0.0 {}
    assert_eq!(client.run("STRLEN large"), (4 << 20).to_string());
}

#[test]
fn clients_that_take_no_answers_share_a_bounded_room() {
    ask_without_reading(start::resp, &encode(&[b"GET", b"large"]));
    let key = Bytes::from_static(b"large");
    let get = proto::raw::Request::Get { cf: "default".to_owned(), key };
    let mut ask = BytesMut::new();
    proto::Message::Request(proto::Request::Raw(get)).encode(1, 1 << 20, &mut ask).unwrap();
    ask_without_reading(|server| server.addresses().native.unwrap(), &ask);
}

#[test]
fn many_requests_of_one_connection_wait_their_turn() {
    let server = start::start_memory(&["--max-connection-inflight=1"]);
    let mut client = Resp::connect(start::resp(&server));
    client.send_raw(&encode(&[b"INCR", b"n"]).repeat(5000));
    for n in 1..=5000 {
        assert_eq!(show(&client.receive().unwrap()), n.to_string());
    }
}

#[test]
fn what_the_status_address_tells() {
    let server = start::start_memory(&[]);
    let status = server.addresses().status.unwrap();
    let mut client = Resp::connect(start::resp(&server));
    client.run("SET a 1");
    client.run("GET a");
    client.run("INCR");
    client.run("FOO");
    assert_eq!(http::get(status, "/health"), (200, "ok\n".into()));
    assert_eq!(http::get(status, "/nothing").0, 404);
    let (code, text) = http::get(status, "/status");
    let facts: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, 200);
    assert_eq!(facts["version"], env!("CARGO_PKG_VERSION"));
    let engine = start::engine().unwrap_or_else(|| "memory".to_owned());
    assert_eq!((&facts["engine"], &facts["keys"]), (&engine.into(), &1.into()));
    assert_eq!(facts["addresses"]["resp"], start::resp(&server).to_string());
    let resp = |command: &str, result: &str| {
        let labels = format!("{{command=\"{command}\",result=\"{result}\"}}");
        http::metric(status, &format!("tinykv_resp_requests_total{labels}"))
    };
    assert_eq!((resp("set", "ok"), resp("get", "ok")), (1.0, 1.0));
    assert_eq!(resp("unknown", "error"), 2.0);
    assert_eq!(http::metric(status, "tinykv_engine_keys{cf=\"default\"}"), 1.0);
    assert_eq!(http::metric(status, "tinykv_connections_open"), 1.0);
    assert!(http::metric(status, "tinykv_write_groups_total") >= 1.0);
    let (_, text) = http::get(status, "/metrics");
    assert!(text.ends_with("# EOF\n"), "{text}");
}
