//! Running the real `tinykv-server` for tests, with the engine that `TEST_ENGINE` names.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running program. It is killed when it is dropped.
pub(crate) struct Program {
    child: Child,
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

/// The flag of the engine under test; none if the flags name one, or `TEST_ENGINE` does not.
fn engine(flags: &[&str]) -> Option<String> {
    let chosen = flags.iter().any(|flag| flag.starts_with("--engine"));
    std::env::var("TEST_ENGINE").ok().filter(|_| !chosen).map(|name| format!("--engine={name}"))
}

#[allow(dead_code, reason = "not every suite needs every helper")]
impl Program {
    /// Starts it, and waits until it says that it is ready.
    pub(crate) fn start(path: &Path, flags: &[&str]) -> Program {
        let mut child = command(path, flags).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        if ready.is_empty() {
            let mut error = String::new();
            child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
            panic!("it did not start: {error}");
        }
        Program { child, ready: ready.trim_end().to_owned() }
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

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name, and waits until it ends. Gives how, and what it logged.
    pub(crate) fn end(mut self, signal: &str) -> (ExitStatus, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap(), log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
