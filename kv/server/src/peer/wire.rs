//! Frames on a socket.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use proto::peer_frame::{PeerFrame, PeerFrameError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The least room for input that a read is given, in bytes.
const READ_BYTES: usize = 64 << 10;

/// Buffers that grew beyond this are given back, in bytes.
const KEEP_BYTES: usize = 8 << 20;

/// Why a connection ended, or did not come about.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] PeerFrameError),
    #[error("the store refused: {0}")]
    Refused(String),
    #[error("the other side breaks the protocol: {0}")]
    Protocol(&'static str),
    #[error("the other side is silent")]
    Silent,
}

/// Frames that come in.
#[derive(Debug)]
pub(super) struct Reader<R> {
    socket: R,
    input: BytesMut,
    pub(super) frame_bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(socket: R, frame_bytes_max: usize) -> Reader<R> {
        Reader { socket, input: BytesMut::new(), frame_bytes_max }
    }

    /// The next frame, and the bytes that were read for it; the other side may be silent for
    /// `patience`.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<PeerFrame, WireError> {
        loop {
            if let Some(frame) = PeerFrame::decode(&mut self.input, self.frame_bytes_max)? {
                return Ok(frame);
            }
            self.input.reserve(READ_BYTES);
            let read = self.socket.read_buf(&mut self.input);
            match tokio::time::timeout(patience, read).await {
                Err(_) => return Err(WireError::Silent),
                Ok(Ok(0)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(result) => result?,
            };
        }
    }
}

/// Frames that go out.
#[derive(Debug)]
pub(super) struct Writer<W> {
    socket: W,
    pub(super) out: BytesMut,
    patience: Duration,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(super) fn new(socket: W, patience: Duration) -> Writer<W> {
        Writer { socket, out: BytesMut::new(), patience }
    }

    /// Writes what is in `out`, and gives how many bytes that were. Each write must make progress
    /// within the patience.
    pub(super) async fn flush(&mut self) -> Result<usize, WireError> {
        let mut written = 0;
        while written < self.out.len() {
            let write = self.socket.write(&self.out[written..]);
            match tokio::time::timeout(self.patience, write).await {
                Err(_) => return Err(WireError::Silent),
                Ok(Ok(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(result) => written += result?,
            }
        }
        if self.out.capacity() > KEEP_BYTES {
            self.out = BytesMut::new();
        }
        self.out.clear();
        Ok(written)
    }
}
