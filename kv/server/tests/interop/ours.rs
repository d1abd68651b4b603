//! Our server, as users run it: the program, in a folder of its own, on ports that are free.

use tempfile::TempDir;

use crate::program::Program;

/// A running `tinykv-server`.
pub(crate) struct Ours {
    program: Program,
    _folder: TempDir,
}

impl Ours {
    /// Starts one and waits until it is ready.
    pub(crate) fn start() -> Ours {
        let folder = tempfile::tempdir().unwrap();
        let flags = ["--addr=off", "--status-addr=off", "--sync=never", "--log-level=warn"];
        let program = Program::start(&folder.path().join("data"), &flags);
        Ours { program, _folder: folder }
    }

    /// The address of its Redis front door.
    pub(crate) fn resp_addr(&self) -> &str {
        self.program.field("resp")
    }
}
