//! Our server, as users run it: the program, in a folder of its own, on ports that are free.

use std::process::Command;

use tempfile::TempDir;

use crate::process::Process;

/// A running `tinykv-server`.
pub(crate) struct Ours {
    resp_addr: String,
    _process: Process,
    _folder: TempDir,
}

impl Ours {
    /// Starts one and waits until it is ready.
    pub(crate) fn start() -> Ours {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tinykv-server"));
        command.args(["--resp-addr", "127.0.0.1:0", "--addr", "off", "--status-addr", "off"]);
        command
            .args(["--sync", "never", "--log-level", "warn", "--path"])
            .arg(folder.path().join("data"));
        let (process, resp_addr) = Process::start(&mut command, |line| {
            let (_, rest) = line.strip_prefix("ready")?.split_once("resp=")?;
            rest.split_whitespace().next().map(str::to_owned)
        });
        Ours { resp_addr, _process: process, _folder: folder }
    }

    /// The address of its Redis front door.
    pub(crate) fn resp_addr(&self) -> &str {
        &self.resp_addr
    }
}
