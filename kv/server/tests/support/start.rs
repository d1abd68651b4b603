//! Starting servers in this process for tests, with the engine that `TEST_ENGINE` names.

use std::cell::RefCell;
use std::net::SocketAddr;

use tempfile::TempDir;

use tinykv_server::config::{Config, Request};
use tinykv_server::{Running, Server};

thread_local! {
    /// Folders of servers that asked for none; they are removed when the test's thread ends.
    static FOLDERS: RefCell<Vec<TempDir>> = RefCell::default();
}

/// The configuration of these flags, on free ports.
pub(crate) fn config(flags: &[&str]) -> Config {
    let free = ["tinykv-server", "--addr=127.0.0.1:0", "--resp-addr=127.0.0.1:0"];
    let args = free.into_iter().chain(["--status-addr=127.0.0.1:0"]).chain(flags.iter().copied());
    match Request::parse(args.map(str::to_owned).collect()).unwrap() {
        Request::Run(config) => *config,
        Request::Print(text) => panic!("these flags print: {text}"),
    }
}

/// A running server.
pub(crate) fn start(flags: &[&str]) -> Running {
    let chosen = flags.iter().any(|flag| flag.starts_with("--engine"));
    let engine = engine().filter(|_| !chosen).map(|name| format!("--engine={name}"));
    let flags: Vec<&str> = flags.iter().copied().chain(engine.as_deref()).collect();
    Server::start(config(&flags)).unwrap()
}

/// A running server that need not survive its test: in memory, or on a folder of its own if
/// `TEST_ENGINE` names an engine.
#[allow(dead_code, reason = "not every suite needs every helper")]
pub(crate) fn start_memory(flags: &[&str]) -> Running {
    if engine().is_none() {
        return start(&[&["--engine=memory"], flags].concat());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = format!("--path={}", folder.path().display());
    FOLDERS.with_borrow_mut(|folders| folders.push(folder));
    start(&[&[&path[..]], flags].concat())
}

/// The engine that `TEST_ENGINE` names.
pub(crate) fn engine() -> Option<String> {
    std::env::var("TEST_ENGINE").ok()
}

/// Where a server speaks the Redis protocol.
#[allow(dead_code, reason = "not every suite needs every helper")]
pub(crate) fn resp(running: &Running) -> SocketAddr {
    running.addresses().resp.unwrap()
}
