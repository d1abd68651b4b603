//! How a client gets a byte stream to a server.
//!
//! The one seam of the client: TCP in production, a pipe in memory in tests, where time is virtual.

use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// The two directions of a byte stream.
pub struct Stream {
    /// What the server says.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What the server is told.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

/// A stream that is being opened.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send + 'a>>;

/// Opens streams to servers.
pub trait Connect: Send + Sync {
    /// Opens a stream to the server at `address`.
    fn connect<'a>(&'a self, address: &'a str) -> Connecting<'a>;
}

/// Opens TCP connections, with Nagle's delay off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Connect for Tcp {
    fn connect<'a>(&'a self, address: &'a str) -> Connecting<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            Ok(Stream { reader: Box::new(reader), writer: Box::new(writer) })
        })
    }
}
