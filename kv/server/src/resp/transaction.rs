//! `MULTI` and `EXEC`: commands that are carried out at one moment.
//!
//! They wait in the session, and become one chunk, which is what the node carries out at one moment
//! and makes durable at once. Commands that need no node are answered when the chunk is done. As in
//! redis, a command that fails when it is carried out does not keep the others from being.
//!
//! There is no `WATCH`: a key has no version that could be compared.

use bytes::BytesMut;
use mutant::mutant;
use node::{Chunk, Command as NodeCommand, Response, Write};
use proto::resp::{Command, Writer};

use super::keys;
use super::render::{Render, write_store_error};
use super::session::{Answer, Session};
use super::strings::CF;
use super::table::{Problem, Spec, Step};

/// The most bytes of commands that wait for their `EXEC`; a cluster takes no larger chunk.
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// The most commands that wait.
const QUEUE_COMMANDS_MAX: usize = 1 << 16;

/// Commands since `MULTI`.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    queued: Vec<(&'static Spec, Command)>,
    bytes: usize,
    /// Whether one of them was refused, so that none is carried out.
    is_refused: bool,
}

/// What became of a command that waited.
enum Outcome {
    /// Its answer is that of the next command of the chunk.
    InChunk(Render),
    /// It was refused when its arguments were read.
    Refused(Problem),
    /// It needs no node.
    Later(Command),
}

impl Transaction {
    /// Notes that a command was refused.
    fn refuse(&mut self) {
        self.is_refused = true;
    }

    /// Takes a command, to be carried out later.
    pub(crate) fn queue(&mut self, spec: &'static Spec, command: &Command) -> Result<(), Problem> {
        let queued = self.check(spec, command);
        self.is_refused |= queued.is_err();
        queued?;
        self.bytes += command.bytes_len();
        self.queued.push((spec, command.detach()));
        Ok(())
    }

    fn check(&self, spec: &'static Spec, command: &Command) -> Result<(), Problem> {
        // They look at more than one moment, or change how answers look.
        if matches!(spec.name, "keys" | "scan" | "hello" | "auth" | "select") {
            return Err(Problem::Text("ERR Command not allowed inside a transaction"));
        }
        if self.queued.len() >= QUEUE_COMMANDS_MAX
            || self.bytes + command.bytes_len() > QUEUE_BYTES_MAX
        {
            return Err(Problem::Text("ERR the transaction is too large: split it"));
        }
        Ok(())
    }
}

/// Notes that a command of a connection was refused; `EXEC` itself then says what redis says.
pub(super) fn refused(session: &mut Session<'_>, command: &Command, problem: Problem) -> Problem {
    if !command.name().eq_ignore_ascii_case(b"exec") {
        session.transaction.as_mut().map(Transaction::refuse);
        return problem;
    }
    session.transaction = None;
    match problem {
        Problem::Owned(text) => {
            let why = text.trim_start_matches("ERR ");
            Problem::Owned(format!("EXECABORT Transaction discarded because of: {why}"))
        }
        problem => problem,
    }
}

/// Whether a command is carried out although others of its connection wait.
pub(super) fn runs_at_once(spec: &Spec) -> bool {
    matches!(spec.name, "multi" | "exec" | "discard" | "quit" | "reset")
}

pub(super) fn multi(session: &mut Session<'_>, _: &Command, out: &mut Writer<'_>) -> Answer {
    if session.transaction.is_some() {
        return Err(Problem::Text("ERR MULTI calls can not be nested"));
    }
    session.transaction = Some(Transaction::default());
    out.ok();
    Ok(Step::Replied)
}

pub(super) fn discard(session: &mut Session<'_>, _: &Command, out: &mut Writer<'_>) -> Answer {
    let none = Problem::Text("ERR DISCARD without MULTI");
    session.transaction.take().ok_or(none)?;
    out.ok();
    Ok(Step::Replied)
}

pub(super) fn exec(session: &mut Session<'_>, _: &Command, _: &mut Writer<'_>) -> Answer {
    let none = Problem::Text("ERR EXEC without MULTI");
    let transaction = session.transaction.take().ok_or(none)?;
    if transaction.is_refused && !mutant!("refused-transaction-carried-out") {
        let text = "EXECABORT Transaction discarded because of previous errors.";
        return Err(Problem::Text(text));
    }
    Ok(Step::Transaction(transaction))
}

/// Carries all out, and appends their answers. Gives whether that was no error.
pub(super) async fn run(
    session: &mut Session<'_>,
    transaction: Transaction,
    output: &mut BytesMut,
) -> bool {
    let mut commands = Vec::with_capacity(transaction.queued.len());
    let mut outcomes = Vec::with_capacity(transaction.queued.len());
    for (spec, command) in transaction.queued {
        outcomes.push((spec, read(session, spec, command, &mut commands)));
    }
    let responses = match carry_out(session, commands).await {
        Ok(responses) => responses,
        Err(error) => {
            write_store_error(&error, &mut Writer::new(output, session.version));
            return false;
        }
    };
    let mut responses = responses.iter();
    let version = session.version;
    Writer::new(output, version).array(outcomes.len());
    for (spec, outcome) in outcomes {
        let mut writer = Writer::new(output, version);
        let is_ok = match outcome {
            Outcome::InChunk(render) => {
                let response = responses.next().expect("an answer a command");
                render.write(response, session.now, &mut writer)
            }
            Outcome::Refused(problem) => {
                problem.write(&mut writer);
                false
            }
            Outcome::Later(command) => match (spec.run)(session, &command, &mut writer) {
                Ok(Step::Size) => keys::run_size(session, output).await,
                Ok(_) => true,
                Err(problem) => {
                    problem.write(&mut writer);
                    false
                }
            },
        };
        session.count_one(spec, is_ok);
    }
    true
}

/// Reads the arguments of a command, and puts it into the chunk if it belongs there.
fn read(
    session: &mut Session<'_>,
    spec: &'static Spec,
    command: Command,
    chunk: &mut Vec<NodeCommand>,
) -> Outcome {
    if !spec.needs_node() {
        return Outcome::Later(command);
    }
    let mut nothing = BytesMut::new();
    let version = session.version;
    match (spec.run)(session, &command, &mut Writer::new(&mut nothing, version)) {
        Ok(Step::Node(command, render)) => {
            chunk.push(command);
            Outcome::InChunk(render)
        }
        Ok(_) => unreachable!("a command on keys is a step of the node"),
        Err(problem) => Outcome::Refused(problem),
    }
}

/// Has the node carry commands out at one moment.
async fn carry_out(
    session: &mut Session<'_>,
    mut commands: Vec<NodeCommand>,
) -> Result<Vec<Response>, crate::store::StoreError> {
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    if commands.iter().all(NodeCommand::is_read) {
        // Only what writes is carried out as one chunk. This writes nothing.
        commands.push(Write::Delete { cf: CF, keys: Vec::new() }.into());
    }
    session.carry_out(Chunk { commands, is_atomic: true }).await
}
