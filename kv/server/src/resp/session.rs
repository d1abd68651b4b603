//! What one connection has going on: its settings, and the chunk that its writes collect in.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use mutant::mutant;
use node::{Chunk, Command as NodeCommand, Page, Response, Time};
use proto::resp::{Command, Version, Writer};

use super::render::{Render, write_store_error};
use super::table::{self, Spec, Step};
use super::transaction::{self, Transaction};
use super::{keys, table::Problem};
use crate::cluster;
use crate::connection::Connection;
use crate::context::Context;
use crate::store::{Mailbox, Outcome, StoreError};

/// The most commands in a chunk; a longer pipeline makes several.
const CHUNK_COMMANDS_MAX: usize = 1024;

/// A chunk is carried out once it has so many bytes.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// What one connection has going on.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) context: &'a Arc<Context>,
    mailbox: &'a Arc<Mailbox>,
    pub(crate) connection: Arc<Connection>,
    /// The version of RESP that it speaks.
    pub(crate) version: Version,
    /// Whether the connection ends behind the last answer.
    pub(crate) is_over: bool,
    /// Commands that wait to be carried out as one chunk, and how their answers look.
    chunk: Vec<NodeCommand>,
    renders: Vec<(&'static Spec, Render)>,
    chunk_bytes: usize,
    /// Commands since `MULTI`, if there was one.
    pub(crate) transaction: Option<Transaction>,
    /// The time, as of the last input or the last chunk.
    pub(crate) now: Time,
    /// When the input arrived that is being carried out.
    begun: Instant,
    /// Whether a command of that input has waited for a leader in vain. What came with it has waited
    /// for as long, and does not wait again: else a pipeline would take that time for each command.
    is_leaderless: bool,
    /// The commands of that input that were carried out, and whether they failed: their time is
    /// taken once for all.
    counts: Vec<(usize, bool)>,
}

impl<'a> Session<'a> {
    /// A new connection.
    pub(crate) fn new(
        context: &'a Arc<Context>,
        mailbox: &'a Arc<Mailbox>,
        connection: Arc<Connection>,
    ) -> Session<'a> {
        Session {
            context,
            mailbox,
            connection,
            version: Version::V2,
            is_over: false,
            chunk: Vec::new(),
            renders: Vec::new(),
            chunk_bytes: 0,
            transaction: None,
            now: context.store.clock.now(),
            begun: Instant::now(),
            is_leaderless: false,
            counts: Vec::new(),
        }
    }

    /// Notes that input has arrived.
    pub(crate) fn begin(&mut self) {
        self.is_leaderless = false;
        self.begun = Instant::now();
        self.now = self.context.store.clock.now();
    }

    /// Counts the commands whose answers have left.
    pub(crate) fn count(&mut self) {
        let took = self.begun.elapsed();
        for (index, is_ok) in self.counts.drain(..) {
            self.context.metrics.resp.count(index, is_ok, took);
        }
    }

    /// Carries a command out, or puts it into the chunk.
    pub(crate) async fn run(&mut self, command: &Command, output: &mut BytesMut) {
        let spec = match table::find(command) {
            Ok(spec) => spec,
            Err(problem) => {
                self.complete(output).await;
                self.context.metrics.resp.unknown.inc();
                let problem = transaction::refused(self, command, problem);
                if is_web_request(command.name()) {
                    self.is_over = true;
                    return;
                }
                return problem.write(&mut Writer::new(output, self.version));
            }
        };
        if !spec.joins_chunk() {
            self.complete(output).await;
        }
        if let Some(transaction) = &mut self.transaction
            && !transaction::runs_at_once(spec)
        {
            let mut writer = Writer::new(output, self.version);
            return match transaction.queue(spec, command) {
                Ok(()) => writer.simple("QUEUED"),
                Err(problem) => problem.write(&mut writer),
            };
        }
        let mut writer = Writer::new(output, self.version);
        let is_ok = match (spec.run)(self, command, &mut writer) {
            Ok(Step::Replied) => true,
            Ok(Step::Node(NodeCommand::Read(read), render)) if self.chunk.is_empty() => {
                self.read(read, render, output).await
            }
            Ok(Step::Node(command, render)) => {
                self.join(spec, command, render, output).await;
                return;
            }
            Ok(Step::Transaction(it)) => transaction::run(self, it, output).await,
            Ok(Step::Size) => keys::run_size(self, output).await,
            Ok(Step::Scan(scan)) => keys::run_scan(self, scan, output).await,
            Err(problem) => {
                self.complete(output).await;
                problem.write(&mut Writer::new(output, self.version));
                false
            }
        };
        self.counts.push((spec.index, is_ok));
    }

    /// How many keys there are.
    pub(crate) async fn keys(&self) -> Result<u64, StoreError> {
        self.mailbox.keys().await
    }

    /// Reads a page of a range.
    pub(crate) async fn scan(&self, scan: node::Scan) -> Result<Page, StoreError> {
        self.mailbox.scan(scan).await
    }

    /// Answers a read in front of which no write is outstanding.
    async fn read(&mut self, read: node::Read, render: Render, output: &mut BytesMut) -> bool {
        let now = self.now;
        if let Some(response) = self.mailbox.read_now(&read, now) {
            return render.write(&response, now, &mut Writer::new(output, self.version));
        }
        let mut writer = Writer::new(output, self.version);
        let outcome = self.mailbox.read(read);
        let outcome = unless_leaderless(&mut self.is_leaderless, outcome).await;
        match outcome {
            Ok(responses) => responses.iter().all(|it| render.write(it, now, &mut writer)),
            Err(error) => {
                write_store_error(&error, &mut writer);
                false
            }
        }
    }

    /// Puts a command into the chunk, and carries the chunk out once it is large.
    async fn join(
        &mut self,
        spec: &'static Spec,
        command: NodeCommand,
        render: Render,
        output: &mut BytesMut,
    ) {
        self.chunk_bytes += command.bytes();
        self.chunk.push(command);
        self.renders.push((spec, render));
        if self.chunk.len() >= CHUNK_COMMANDS_MAX || self.chunk_bytes >= CHUNK_BYTES_MAX {
            self.complete(output).await;
        }
    }

    /// Has a chunk carried out.
    pub(crate) async fn carry_out(&mut self, chunk: Chunk) -> Result<Vec<Response>, StoreError> {
        let outcome = self.mailbox.run(chunk);
        let outcome = unless_leaderless(&mut self.is_leaderless, outcome).await;
        self.now = self.context.store.clock.now();
        outcome
    }

    /// Notes that a command was carried out.
    pub(crate) fn count_one(&mut self, spec: &Spec, is_ok: bool) {
        self.counts.push((spec.index, is_ok));
    }

    /// Carries the chunk out and appends its answers.
    pub(crate) async fn complete(&mut self, output: &mut BytesMut) {
        if self.chunk.is_empty() {
            return;
        }
        self.chunk_bytes = 0;
        let chunk = Chunk::from(std::mem::take(&mut self.chunk));
        let outcome = self.carry_out(chunk).await;
        let mut writer = Writer::new(output, self.version);
        match outcome {
            Ok(responses) => {
                debug_assert_eq!(responses.len(), self.renders.len(), "an answer a command");
                let both = order(&responses).zip(self.renders.drain(..));
                for (response, (spec, render)) in both {
                    let is_ok = render.write(response, self.now, &mut writer);
                    self.counts.push((spec.index, is_ok));
                }
            }
            Err(error) => {
                let each = cluster::each(Err(error), self.renders.len());
                for (result, (spec, render)) in each.iter().zip(self.renders.drain(..)) {
                    let is_ok = match result {
                        Ok(response) => render.write(response, self.now, &mut writer),
                        Err(error) => {
                            write_store_error(error, &mut writer);
                            false
                        }
                    };
                    self.counts.push((spec.index, is_ok));
                }
            }
        }
    }
}

/// Whether a word begins a line of a web request. A page in a browser can make one with commands
/// in its body: as in redis, the connection ends before they are read.
fn is_web_request(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// The outcome of what may wait for a leader, unless that was in vain before; notes whether it was.
async fn unless_leaderless(
    is_leaderless: &mut bool,
    outcome: impl Future<Output = Outcome>,
) -> Outcome {
    if *is_leaderless {
        return Err(StoreError::NoLeader);
    }
    let outcome = outcome.await;
    *is_leaderless =
        matches!(outcome, Err(StoreError::NoLeader)) && !mutant!("pipeline-waits-each");
    outcome
}

/// The responses in the order of their commands.
fn order(responses: &[Response]) -> Box<dyn Iterator<Item = &Response> + Send + '_> {
    if mutant!("reply-order-swapped") {
        Box::new(responses.iter().rev())
    } else {
        Box::new(responses.iter())
    }
}

/// So that a function of the table may fail with `?`.
pub(crate) type Answer = Result<Step, Problem>;
