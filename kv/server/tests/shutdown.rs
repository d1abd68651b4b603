//! Stopping: what is in flight is answered, what was answered is there again.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/program.rs"]
mod program;
#[path = "support/resp.rs"]
mod resp;
#[path = "support/start.rs"]
mod start;

use std::net::TcpStream;

use program::Program;
use resp::{Resp, encode, show};

#[test]
fn a_signal_drains_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let server = Program::start(folder.path(), &[]);
        let mut idle = Resp::connect(server.resp());
        assert_eq!(idle.run("PING"), "PONG");
        let mut client = Resp::connect(server.resp());
        client.send_raw(&encode(&[b"INCR", b"n"]).repeat(20_000));
        assert_eq!(show(&client.receive().unwrap()), "1");
        let (status, log) = server.end(signal);
        assert!(status.success(), "{log}");
        assert!(log.contains("stopped"), "{log}");
        assert_eq!(idle.receive(), None);
        // What was answered counts, whether or not all was read.
        let mut answered = 1;
        while let Some(reply) = client.receive() {
            answered += 1;
            assert_eq!(show(&reply), answered.to_string());
        }
        let server = Program::start(folder.path(), &[]);
        let found = Resp::connect(server.resp()).run("GET n");
        let found: usize = found.trim_matches('"').parse().unwrap();
        assert!(found >= answered, "{found} of {answered} are there");
    }
}

#[test]
fn a_library_server_stops_and_frees_its_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("--path={}", folder.path().display());
    for n in 0..3 {
        let server = start::start(&[&path]);
        let mut client = Resp::connect(start::resp(&server));
        let expected = if n == 0 { "(nil)".to_owned() } else { format!("\"{}\"", n - 1) };
        assert_eq!(client.run("GET n"), expected);
        assert_eq!(client.run(&format!("SET n {n}")), "OK");
        let address = start::resp(&server);
        server.shutdown().unwrap();
        assert_eq!(client.receive(), None);
        assert!(TcpStream::connect(address).is_err());
    }
}

#[test]
fn a_client_that_never_reads_does_not_stop_the_stop() {
    let server = start::start_memory(&["--shutdown-grace=200ms"]);
    let mut client = Resp::connect(start::resp(&server));
    client.run_words(&[b"SET", b"large", &vec![b'x'; 4 << 20]]);
    client.send_raw(&encode(&[b"GET", b"large"]).repeat(20));
    assert!(client.receive().is_some());
    server.shutdown().unwrap();
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = Program::start(folder.path(), &[]);
    let taken = first.resp().to_string();
    let other = tempfile::tempdir().unwrap();
    let flag = format!("--resp-addr={taken}");
    let output = program::command(other.path(), &[&flag]).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&format!("cannot listen at {taken}")), "{error}");
}
