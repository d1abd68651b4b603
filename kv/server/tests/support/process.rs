//! Programs that a test starts: ready when they say so, ended with the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

/// A running program. It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
}

#[allow(dead_code, reason = "not every suite needs every helper")]
impl Process {
    /// Starts a program and reads its output until a line has what `look` looks for.
    pub(crate) fn start<T>(
        command: &mut Command,
        look: impl Fn(&str) -> Option<T>,
    ) -> (Process, T) {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} is installed and starts: {error}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let found = lines.by_ref().map_while(Result::ok).find_map(|line| look(&line));
        let Some(found) = found else {
            let mut error = String::new();
            let stderr = child.stderr.take().map(|mut it| it.read_to_string(&mut error));
            panic!("{name} ended instead of being ready ({stderr:?}): {error}");
        };
        // What it says later must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        (Process { child }, found)
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by name. After one that stops the program, all its threads stand still: each
    /// goes on until it is scheduled the next time, which takes a while on a busy machine.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        while signal == "STOP" && !self.is_stopped() {
            thread::yield_now();
        }
    }

    /// Whether all threads stand still, where the system says so.
    fn is_stopped(&self) -> bool {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.id())) else {
            return true;
        };
        let state = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
            stat.rsplit_once(')')?.1.trim_start().chars().next()
        };
        threads.map(state).all(|state| matches!(state, None | Some('T')))
    }

    /// Sends a signal by name, and waits until it ends. Gives how, and what it said to stderr, if
    /// that is piped.
    pub(crate) fn end(self, signal: &str) -> (ExitStatus, String) {
        self.signal(signal);
        self.wait()
    }

    /// Waits until it ends. Gives the same.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap(), log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
