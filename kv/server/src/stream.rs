//! The socket of one connection: it counts bytes, and notes when the client takes none.

use std::io;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::connection::Connection;
use crate::context::Context;
use crate::store::NO_ROOM;

/// The least room for input that a read is given, in bytes.
const READ_BYTES: usize = 16 << 10;

/// Buffers that grew beyond this are given back when they are empty, in bytes.
const KEEP_BYTES: usize = 256 << 10;

/// A connection's socket.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: TcpStream,
    pub(crate) connection: Arc<Connection>,
    context: Arc<Context>,
}

impl Stream {
    pub(crate) fn new(
        socket: TcpStream,
        connection: Arc<Connection>,
        context: Arc<Context>,
    ) -> Stream {
        Stream { socket, connection, context }
    }

    /// Reads what is there, at least a byte. Gives false at the end.
    pub(crate) async fn read(&mut self, input: &mut BytesMut) -> io::Result<bool> {
        if input.is_empty() && input.capacity() > KEEP_BYTES {
            *input = BytesMut::new();
        }
        // A request that is known to be large gets room as it arrives, never ahead of it.
        input.reserve(READ_BYTES.max(input.len().min(1 << 20)));
        let bytes = self.socket.read_buf(input).await?;
        self.context.metrics.bytes_in.inc_by(bytes as u64);
        Ok(bytes > 0)
    }

    /// Writes all of `output`, and leaves it empty.
    pub(crate) async fn write(&mut self, output: &mut BytesMut) -> io::Result<()> {
        self.context.metrics.bytes_out.inc_by(output.len() as u64);
        let mut held = None;
        while !output.is_empty() {
            match self.socket.try_write(output) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => output.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The client does not read. The sweeper watches how long, others share the room.
                    if held.is_none() {
                        held = self.context.backlog.try_hold(output.len());
                    }
                    if held.is_none() {
                        self.context.metrics.rejected.answers.inc();
                        return Err(io::Error::other(NO_ROOM));
                    }
                    self.connection.set_stalled(Some(self.context.store.clock.now()));
                    self.socket.writable().await?;
                    self.connection.set_stalled(None);
                }
                Err(error) => return Err(error),
            }
        }
        if output.capacity() > KEEP_BYTES {
            *output = BytesMut::new();
        } else {
            output.clear();
        }
        Ok(())
    }
}
