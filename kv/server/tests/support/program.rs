//! Running the real `tinykv-server` for tests, with the engine that `TEST_ENGINE` names.

mod process;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

pub(crate) use process::Process;

/// A running `tinykv-server`. It is killed when it is dropped.
pub(crate) struct Program {
    #[allow(dead_code, reason = "not every suite needs it")]
    pub(crate) process: Process,
    /// The line that it printed when it was ready.
    pub(crate) ready: String,
}

/// A command line on free ports and a data folder.
pub(crate) fn command(path: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinykv-server"));
    command
        .args(["--addr=127.0.0.1:0", "--resp-addr=127.0.0.1:0", "--status-addr=127.0.0.1:0"])
        .arg("--path")
        .arg(path)
        .args(flags)
        .args(engine(flags))
        .env_remove("TINYKV_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Starts it where it shall not start, and gives the line by which it says why; or that it is ready.
#[allow(dead_code, reason = "not every suite needs every helper")]
pub(crate) fn complaint(path: &Path, flags: &[&str]) -> String {
    let mut child = command(path, flags).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let says =
        |line: &String| line.starts_with("tinykv-server: ") || line.contains("ready native=");
    let line = log.lines().map_while(Result::ok).find(says);
    child.kill().unwrap();
    child.wait().unwrap();
    line.unwrap()
}

/// Whether the engine under test counts its keys; RocksDB knows them only about.
#[allow(dead_code, reason = "not every suite needs every helper")]
pub(crate) fn counts_keys() -> bool {
    std::env::var("TEST_ENGINE").as_deref() != Ok("rocksdb")
}

/// The flag of the engine under test; none if the flags name one, or `TEST_ENGINE` does not.
fn engine(flags: &[&str]) -> Option<String> {
    let chosen = flags.iter().any(|flag| flag.starts_with("--engine"));
    std::env::var("TEST_ENGINE").ok().filter(|_| !chosen).map(|name| format!("--engine={name}"))
}

#[allow(dead_code, reason = "not every suite needs every helper")]
impl Program {
    /// Starts it, and waits until it says that it is ready.
    pub(crate) fn start(path: &Path, flags: &[&str]) -> Program {
        let (process, ready) = Process::start(&mut command(path, flags), |line| {
            line.starts_with("ready").then(|| line.to_owned())
        });
        Program { process, ready }
    }

    /// What the ready line says about a key.
    pub(crate) fn field(&self, key: &str) -> &str {
        let found =
            self.ready.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        found.unwrap()
    }

    /// Where it speaks the Redis protocol.
    pub(crate) fn resp(&self) -> SocketAddr {
        self.field("resp").parse().unwrap()
    }

    /// Ends it with a signal; see [`Process::end`].
    pub(crate) fn end(self, signal: &str) -> (ExitStatus, String) {
        self.process.end(signal)
    }

    /// Waits until it ends by itself; see [`Process::wait`].
    pub(crate) fn wait(self) -> (ExitStatus, String) {
        self.process.wait()
    }
}
