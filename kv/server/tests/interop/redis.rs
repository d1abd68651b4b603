//! A redis to compare with.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::connection::Connection;
use crate::program::Process;

/// A redis without a TCP port and without a disk.
pub(crate) struct Redis {
    socket: PathBuf,
    _process: Process,
    /// Where its socket is.
    _folder: TempDir,
}

impl Redis {
    /// Starts one and waits until it is ready.
    pub(crate) fn start() -> Redis {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("redis.sock");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
        command.arg(&socket).current_dir(folder.path());
        let (process, ()) = Process::start(&mut command, |line| {
            line.contains("ready to accept connections at").then_some(())
        });
        Redis { socket, _process: process, _folder: folder }
    }

    /// Opens a connection.
    pub(crate) fn connect(&self) -> Connection {
        Connection::new(UnixStream::connect(&self.socket).unwrap())
    }
}
