//! Programs that a test starts: ready when they say so, ended with the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

/// A running program.
pub(crate) struct Process(Child);

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
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut found = None;
        for line in lines.by_ref().map_while(Result::ok) {
            found = look(&line);
            if found.is_some() {
                break;
            }
        }
        // What it says later must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        let process = Process(child);
        (process, found.unwrap_or_else(|| panic!("{name} ended instead of being ready")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
