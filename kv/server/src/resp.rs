//! The Redis protocol.
//!
//! ```text
//!  read ─> decode all commands that are there ─> each: table ─> its function ─> a Step
//!      replied         it wrote its answer itself
//!      read            answered at once if no write of this connection is outstanding
//!      write           joins the chunk, as do reads behind it
//!      scan            on the read pool
//!  at the end of the input: the chunk is carried out, and all answers leave in one write
//! ```
//!
//! Answers leave in the order of the commands. What redis answers is answered in its words; the
//! commands follow redis 7.0.

mod args;
mod bits;
mod client;
mod command_info;
mod connection;
mod cursor;
mod expiry;
mod glob;
mod info;
mod integers;
mod keys;
mod render;
mod session;
mod set;
mod strings;
mod table;
mod transaction;

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use proto::resp::{Limits, RequestDecoder, Writer};

pub(crate) use cursor::Cursors;
use session::Session;
pub(crate) use table::COMMANDS;

use crate::context::Context;
use crate::store::Mailbox;
use crate::stream::Stream;

/// Answers beyond this leave before further commands are carried out, in bytes.
const FLUSH_BYTES: usize = 256 << 10;

/// Serves one connection until it ends.
pub(crate) async fn serve(
    mut stream: Stream,
    context: &Arc<Context>,
    mailbox: &Arc<Mailbox>,
) -> io::Result<()> {
    let request_bytes_max = context.config.max_request_size.bytes();
    let mut decoder = RequestDecoder::new(Limits {
        bulk_bytes_max: request_bytes_max,
        total_bytes_max: request_bytes_max + (1 << 20),
        ..Limits::default()
    });
    let mut session = Session::new(context, mailbox, Arc::clone(&stream.connection));
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    while !context.is_stopping() && stream.read(&mut input).await? {
        let mut begun = false;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(command)) => {
                    if !begun {
                        begun = true;
                        session.begin();
                        stream.connection.begin();
                    }
                    session.run(&command, &mut output).await;
                    if output.len() >= FLUSH_BYTES {
                        session.complete(&mut output).await;
                        stream.write(&mut output).await?;
                        session.count();
                        // The client may have taken its time.
                        session.begin();
                    }
                    if session.is_over {
                        session.count();
                        return stream.write(&mut output).await;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    context.metrics.rejected.protocol.inc();
                    session.complete(&mut output).await;
                    session.count();
                    Writer::new(&mut output, session.version).error(&error.to_string());
                    return stream.write(&mut output).await;
                }
            }
        }
        session.complete(&mut output).await;
        if !output.is_empty() {
            stream.write(&mut output).await?;
        }
        if begun {
            session.count();
            stream.connection.finish(session.now);
        }
    }
    Ok(())
}
