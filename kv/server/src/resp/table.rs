//! The commands: one table from which they are found, checked and described.

use node::Command as NodeCommand;
use proto::resp::{Command, Writer};

use super::keys::KeyScan;
use super::render::Render;
use super::session::{Answer, Session};
use super::transaction::{self, Transaction};
use super::{bits, client, command_info, connection, expiry, info, integers, keys, set, strings};

/// A command.
#[derive(Debug)]
pub(crate) struct Spec {
    /// Its name in lower case.
    pub(crate) name: &'static str,
    /// How many words it has, the name included; negative: at least so many.
    pub(crate) arity: i64,
    /// What redis calls flags.
    pub(crate) flags: &'static [&'static str],
    /// The first key, the last one (negative: from the end), and the step between keys.
    pub(crate) keys: (i64, i64, i64),
    /// What it is for, in a sentence.
    pub(crate) summary: &'static str,
    /// The group that redis has it in.
    pub(crate) group: Group,
    /// The version of redis that had it first.
    pub(crate) since: &'static str,
    /// What carries it out.
    pub(crate) run: Run,
    /// Its place in the table.
    pub(crate) index: usize,
}

/// Reads the arguments of a command, and says what to do.
pub(crate) type Run = fn(&mut Session<'_>, &Command, &mut Writer<'_>) -> Answer;

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing: the answer is written.
    Replied,
    /// The node has to carry this out, and its answer looks like that.
    Node(NodeCommand, Render),
    /// Keys have to be listed.
    Scan(KeyScan),
    /// Keys have to be counted.
    Size,
    /// These have to be carried out at one moment.
    Transaction(Transaction),
}

/// Groups of commands, as redis has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    String,
    Generic,
    Connection,
    Server,
    Bitmap,
    Transactions,
}

impl Group {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::Generic => "generic",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Bitmap => "bitmap",
            Group::Transactions => "transactions",
        }
    }
}

/// Why a command is not carried out.
#[derive(Debug)]
pub(crate) enum Problem {
    /// This is said.
    Text(&'static str),
    /// This is said.
    Owned(String),
    /// This is said, with bytes of the client's that may be no text.
    Bytes(Vec<u8>),
}

impl Problem {
    /// Appends it.
    pub(crate) fn write(&self, out: &mut Writer<'_>) {
        match self {
            Problem::Text(text) => out.error(text),
            Problem::Owned(text) => out.error(text),
            Problem::Bytes(text) => out.error_bytes(text),
        }
    }
}

impl Spec {
    /// Whether it works on keys that it names, and so can join a chunk.
    pub(crate) fn joins_chunk(&self) -> bool {
        self.keys.0 > 0
    }

    /// Whether the node carries it out.
    pub(crate) fn needs_node(&self) -> bool {
        self.joins_chunk() || self.flags.contains(&"write")
    }

    /// Whether a command with so many words is one of these.
    pub(crate) fn takes(&self, words: usize) -> bool {
        let words = i64::try_from(words).unwrap_or(i64::MAX);
        if self.arity < 0 { words >= -self.arity } else { words == self.arity }
    }
}

const R: &[&str] = &["readonly"];
const RF: &[&str] = &["readonly", "fast"];
const W: &[&str] = &["write"];
const WM: &[&str] = &["write", "denyoom"];
const WF: &[&str] = &["write", "fast"];
const WMF: &[&str] = &["write", "denyoom", "fast"];
const C: &[&str] = &["noscript", "loading", "stale", "fast"];
const CS: &[&str] = &["noscript", "loading", "stale"];
const L: &[&str] = &["loading", "stale"];

/// Lists the commands; the index is counted.
macro_rules! commands {
    ($($name:literal, $arity:literal, $flags:expr, $keys:expr, $group:ident, $since:literal,
        $run:expr, $summary:literal;)+) => {
        /// All commands, by name.
        pub(crate) const COMMANDS: &[Spec] = &{
            let mut specs = [$(Spec {
                name: $name, arity: $arity, flags: $flags, keys: $keys, group: Group::$group,
                since: $since, run: $run, summary: $summary, index: 0,
            }),+];
            let mut index = 0;
            while index < specs.len() {
                specs[index].index = index;
                index += 1;
            }
            specs
        };
    };
}

commands! {
    "append", 3, WMF, (1, 1, 1), String, "2.0.0", strings::append, "Adds bytes at the end of a value.";
    "auth", -2, C, (0, 0, 0), Connection, "1.0.0", connection::auth, "Authenticates the connection.";
    "client", -2, CS, (0, 0, 0), Connection, "2.4.0", client::client, "Tells and sets facts about connections.";
    "command", -1, L, (0, 0, 0), Server, "2.8.13", command_info::command, "Describes the commands.";
    "config", -2, CS, (0, 0, 0), Server, "2.0.0", info::config, "Tells the configuration.";
    "copy", -3, WM, (1, 2, 1), Generic, "6.2.0", keys::copy, "Copies a key.";
    "dbsize", 1, RF, (0, 0, 0), Server, "1.0.0", keys::dbsize, "Counts the keys.";
    "decr", 2, WMF, (1, 1, 1), String, "1.0.0", integers::decr, "Subtracts one from a number.";
    "decrby", 3, WMF, (1, 1, 1), String, "1.0.0", integers::decrby, "Subtracts from a number.";
    "del", -2, W, (1, -1, 1), Generic, "1.0.0", keys::del, "Removes keys.";
    "discard", 1, C, (0, 0, 0), Transactions, "2.0.0", transaction::discard, "Forgets the commands since MULTI.";
    "echo", 2, C, (0, 0, 0), Connection, "1.0.0", connection::echo, "Answers what it is given.";
    "exec", 1, CS, (0, 0, 0), Transactions, "1.2.0", transaction::exec, "Carries out the commands since MULTI at one moment.";
    "exists", -2, RF, (1, -1, 1), Generic, "1.0.0", keys::exists, "Counts the given keys that exist.";
    "expire", -3, WF, (1, 1, 1), Generic, "1.0.0", expiry::expire, "Sets the time to live in seconds.";
    "expireat", -3, WF, (1, 1, 1), Generic, "1.2.0", expiry::expireat, "Sets the end as a Unix time in seconds.";
    "expiretime", 2, RF, (1, 1, 1), Generic, "7.0.0", expiry::expiretime, "Tells the end as a Unix time in seconds.";
    "flushall", -1, W, (0, 0, 0), Server, "1.0.0", keys::flush, "Removes all keys.";
    "flushdb", -1, W, (0, 0, 0), Server, "1.0.0", keys::flush, "Removes all keys.";
    "get", 2, RF, (1, 1, 1), String, "1.0.0", strings::get, "Reads a value.";
    "getbit", 3, RF, (1, 1, 1), Bitmap, "2.2.0", bits::getbit, "Reads a bit of a value.";
    "getdel", 2, WF, (1, 1, 1), String, "6.2.0", strings::getdel, "Reads a value and removes the key.";
    "getex", -2, WF, (1, 1, 1), String, "6.2.0", strings::getex, "Reads a value and sets its time to live.";
    "getrange", 4, R, (1, 1, 1), String, "2.4.0", strings::getrange, "Reads a part of a value.";
    "getset", 3, WMF, (1, 1, 1), String, "1.0.0", strings::getset, "Sets a value and answers the one before.";
    "hello", -1, C, (0, 0, 0), Connection, "6.0.0", connection::hello, "Chooses the version of the protocol.";
    "incr", 2, WMF, (1, 1, 1), String, "1.0.0", integers::incr, "Adds one to a number.";
    "incrby", 3, WMF, (1, 1, 1), String, "1.0.0", integers::incrby, "Adds to a number.";
    "incrbyfloat", 3, WMF, (1, 1, 1), String, "2.6.0", integers::incrbyfloat, "Adds to a decimal fraction.";
    "info", -1, L, (0, 0, 0), Server, "1.0.0", info::info, "Tells facts about the server.";
    "keys", 2, R, (0, 0, 0), Generic, "1.0.0", keys::keys, "Lists the keys that match a pattern.";
    "mget", -2, RF, (1, -1, 1), String, "1.0.0", strings::mget, "Reads many values at one moment.";
    "mset", -3, WM, (1, -1, 2), String, "1.0.1", strings::mset, "Sets many values atomically.";
    "msetnx", -3, WM, (1, -1, 2), String, "1.0.1", strings::msetnx, "Sets many values if none of the keys exists.";
    "multi", 1, C, (0, 0, 0), Transactions, "1.2.0", transaction::multi, "Has the following commands wait for EXEC.";
    "persist", 2, WF, (1, 1, 1), Generic, "2.2.0", expiry::persist, "Takes the time to live away.";
    "pexpire", -3, WF, (1, 1, 1), Generic, "2.6.0", expiry::pexpire, "Sets the time to live in milliseconds.";
    "pexpireat", -3, WF, (1, 1, 1), Generic, "2.6.0", expiry::pexpireat, "Sets the end as a Unix time in milliseconds.";
    "pexpiretime", 2, RF, (1, 1, 1), Generic, "7.0.0", expiry::pexpiretime, "Tells the end as a Unix time in milliseconds.";
    "ping", -1, C, (0, 0, 0), Connection, "1.0.0", connection::ping, "Answers PONG.";
    "psetex", 4, WM, (1, 1, 1), String, "2.6.0", set::psetex, "Sets a value and its time to live in milliseconds.";
    "pttl", 2, RF, (1, 1, 1), Generic, "2.6.0", expiry::pttl, "Tells the time to live in milliseconds.";
    "quit", -1, C, (0, 0, 0), Connection, "1.0.0", connection::quit, "Ends the connection.";
    "rename", 3, W, (1, 2, 1), Generic, "1.0.0", keys::rename, "Gives a key another name.";
    "renamenx", 3, WF, (1, 2, 1), Generic, "1.0.0", keys::renamenx, "Gives a key another name that is free.";
    "reset", 1, C, (0, 0, 0), Connection, "6.2.0", connection::reset, "Makes the connection as if it were new.";
    "scan", -2, R, (0, 0, 0), Generic, "2.8.0", keys::scan, "Lists the keys a part at a time.";
    "select", 2, C, (0, 0, 0), Connection, "1.0.0", connection::select, "Chooses the database; there is only 0.";
    "set", -3, WM, (1, 1, 1), String, "1.0.0", set::set, "Sets a value.";
    "setbit", 4, WM, (1, 1, 1), Bitmap, "2.2.0", bits::setbit, "Sets a bit of a value.";
    "setex", 4, WM, (1, 1, 1), String, "2.0.0", set::setex, "Sets a value and its time to live in seconds.";
    "setnx", 3, WMF, (1, 1, 1), String, "1.0.0", set::setnx, "Sets a value if the key does not exist.";
    "setrange", 4, WM, (1, 1, 1), String, "2.2.0", strings::setrange, "Overwrites a part of a value.";
    "strlen", 2, RF, (1, 1, 1), String, "2.2.0", strings::strlen, "Tells the length of a value.";
    "substr", 4, R, (1, 1, 1), String, "1.0.0", strings::getrange, "Reads a part of a value.";
    "time", 1, C, (0, 0, 0), Server, "2.6.0", info::time, "Tells the time.";
    "touch", -2, RF, (1, -1, 1), Generic, "3.2.1", keys::exists, "Counts the given keys that exist.";
    "ttl", 2, RF, (1, 1, 1), Generic, "1.0.0", expiry::ttl, "Tells the time to live in seconds.";
    "type", 2, RF, (1, 1, 1), Generic, "1.0.0", keys::type_, "Tells the kind of a value.";
    "unlink", -2, WF, (1, -1, 1), Generic, "4.0.0", keys::del, "Removes keys.";
}

/// The longest name of a command.
const NAME_BYTES_MAX: usize = 16;

/// A name as a number, filled up with zeros: in the order of the names, and compared at once.
const fn name_number(name: &[u8]) -> u128 {
    let mut number = 0;
    let mut index = 0;
    while index < NAME_BYTES_MAX {
        let byte = if index < name.len() { name[index] } else { 0 };
        number = number << 8 | byte.to_ascii_lowercase() as u128;
        index += 1;
    }
    number
}

/// The names of all commands, as numbers.
static NAMES: [u128; COMMANDS.len()] = {
    let mut names = [0; COMMANDS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = name_number(COMMANDS[index].name.as_bytes());
        index += 1;
    }
    names
};

/// The command of this name, in any case.
pub(crate) fn by_name(name: &[u8]) -> Option<&'static Spec> {
    // A zero in a name would look like its end.
    if name.len() > NAME_BYTES_MAX || name.contains(&0) {
        return None;
    }
    NAMES.binary_search(&name_number(name)).ok().map(|at| &COMMANDS[at])
}

/// Finds a command and checks its number of words.
pub(crate) fn find(command: &Command) -> Result<&'static Spec, Problem> {
    let Some(spec) = by_name(command.name()) else { return Err(unknown(command)) };
    if !spec.takes(command.len()) {
        return Err(wrong_arity(spec.name));
    }
    Ok(spec)
}

/// What redis says about a wrong number of words.
pub(crate) fn wrong_arity(name: &str) -> Problem {
    Problem::Owned(format!("ERR wrong number of arguments for '{name}' command"))
}

/// What redis says about a command that it does not know: with the beginning of its arguments.
fn unknown(command: &Command) -> Problem {
    let mut args = Vec::new();
    for arg in command.iter().skip(1) {
        if args.len() >= ECHOED_BYTES_MAX {
            break;
        }
        let room = ECHOED_BYTES_MAX - args.len();
        args.extend([&b"'"[..], echoed(arg, room), b"' "].concat());
    }
    let name = echoed(command.name(), ECHOED_BYTES_MAX);
    let parts = [b"ERR unknown command '", name, b"', with args beginning with: ", &args];
    Problem::Bytes(parts.concat())
}

/// What redis says about a subcommand that it does not know, or that is one of those `known` but
/// with a wrong number of words.
pub(crate) fn no_such_form(command: &Command, known: &[&str]) -> Problem {
    if let Some(sub) = known.iter().find(|sub| command[1].eq_ignore_ascii_case(sub.as_bytes())) {
        let name = command.name().to_ascii_lowercase();
        return wrong_arity(&format!("{}|{sub}", name.escape_ascii()));
    }
    let name = command.name().to_ascii_uppercase();
    let sub = echoed(&command[1], ECHOED_BYTES_MAX);
    Problem::Bytes([b"ERR unknown subcommand '", sub, b"'. Try ", &name, b" HELP."].concat())
}

/// How much of what a client sent comes back in an error, in bytes.
const ECHOED_BYTES_MAX: usize = 128;

/// What of an argument comes back in an error: redis ends it at a NUL byte.
fn echoed(arg: &[u8], room: usize) -> &[u8] {
    let end = arg.iter().take(room).position(|&byte| byte == 0);
    &arg[..end.unwrap_or(arg.len().min(room))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
        assert!(COMMANDS.iter().all(|spec| spec.name.len() <= NAME_BYTES_MAX));
        assert!(COMMANDS.iter().enumerate().all(|(index, spec)| spec.index == index));
    }

    #[test]
    fn every_command_is_found_in_any_case_and_nothing_else_is() {
        for spec in COMMANDS {
            let found = |name: &str| by_name(name.as_bytes()).map(|found| found.index);
            assert_eq!(found(spec.name), Some(spec.index));
            assert_eq!(found(&spec.name.to_uppercase()), Some(spec.index));
            assert_eq!(found(&format!("{}\0", spec.name)), None);
            assert_eq!(found(&format!("{}x", spec.name)), None);
        }
        assert!(by_name(b"").is_none() && by_name(&[b'x'; 100]).is_none());
    }
}
