//! Starting servers in this process for tests.

use std::net::SocketAddr;

use tinykv_server::config::{Config, Request};
use tinykv_server::{Running, Server};

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
    Server::start(config(flags)).unwrap()
}

/// A running server that keeps everything in memory.
#[allow(dead_code, reason = "not every suite needs every helper")]
pub(crate) fn start_memory(flags: &[&str]) -> Running {
    start(&[&["--engine=memory"], flags].concat())
}

/// Where a server speaks the Redis protocol.
#[allow(dead_code, reason = "not every suite needs every helper")]
pub(crate) fn resp(running: &Running) -> SocketAddr {
    running.addresses().resp.unwrap()
}
