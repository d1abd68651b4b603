//! Runs the real `tinykv`.

#![allow(dead_code, reason = "each suite uses a part")]

use std::ffi::OsStr;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tokio::net::TcpSocket;

/// The program, set up for one server.
pub(crate) struct Tinykv {
    pub(crate) address: SocketAddr,
}

/// How a run ended.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Run {
    pub(crate) fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub(crate) fn err(&self) -> &str {
        std::str::from_utf8(&self.stderr).unwrap()
    }
}

impl Tinykv {
    pub(crate) fn on(address: SocketAddr) -> Tinykv {
        Tinykv { address }
    }

    /// The program with these arguments, whose address comes from the environment.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tinykv"));
        command.args(args).env("TINYKV_ADDR", self.address.to_string());
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> Run {
        self.run_with_stdin(args, b"")
    }

    pub(crate) fn run_with_stdin<A: AsRef<OsStr>>(&self, args: &[A], stdin: &[u8]) -> Run {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The program need not read all of it.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let output = child.wait_with_output().unwrap();
        Run { code: output.status.code().unwrap(), stdout: output.stdout, stderr: output.stderr }
    }

    /// Runs, expects success, and tells what was printed to stdout.
    pub(crate) fn ok<A: AsRef<OsStr>>(&self, args: &[A]) -> String {
        let run = self.run(args);
        assert_eq!((run.code, run.err()), (0, ""), "stdout: {}", run.out());
        run.out().to_owned()
    }
}

/// An address that is taken, but at which nobody listens.
pub(crate) struct Nobody {
    socket: TcpSocket,
}

impl Nobody {
    pub(crate) fn new() -> Nobody {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Nobody { socket }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }
}
