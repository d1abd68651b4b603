//! `SET` and its kin, and the times to live that they take.

use node::{Condition, Expiry, Time, Write};
use proto::resp::{Command, Writer};

use super::args::{NOT_INTEGER, SYNTAX, bytes, integer, is};
use super::render::Render;
use super::session::{Answer, Session};
use super::strings::{CF, write};
use super::table::Problem;

/// How a time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeWord {
    /// `EX`: seconds from now.
    Ex,
    /// `PX`: milliseconds from now.
    Px,
    /// `EXAT`: a Unix time in seconds.
    ExAt,
    /// `PXAT`: a Unix time in milliseconds.
    PxAt,
}

impl TimeWord {
    /// What argument `index` says, if it is such a word.
    pub(super) fn of(command: &Command, index: usize) -> Option<TimeWord> {
        let words = [
            ("ex", TimeWord::Ex),
            ("px", TimeWord::Px),
            ("exat", TimeWord::ExAt),
            ("pxat", TimeWord::PxAt),
        ];
        words.into_iter().find(|(word, _)| is(command, index, word)).map(|(_, word)| word)
    }

    /// The moment that a number means, in milliseconds since the epoch; none if there is none.
    pub(super) fn moment(self, number: i64, now: Time) -> Option<i64> {
        let ms = match self {
            TimeWord::Ex | TimeWord::ExAt => number.checked_mul(1000)?,
            TimeWord::Px | TimeWord::PxAt => number,
        };
        match self {
            TimeWord::Ex | TimeWord::Px => ms.checked_add(i64::try_from(now.0).ok()?),
            TimeWord::ExAt | TimeWord::PxAt => Some(ms),
        }
    }
}

/// What redis says about a time that cannot be.
pub(super) fn invalid_expire(name: &str) -> Problem {
    Problem::Owned(format!("ERR invalid expire time in '{name}' command"))
}

/// The expiry that argument `index` means. It must be positive.
pub(super) fn expiry_of(
    session: &Session<'_>,
    name: &str,
    word: TimeWord,
    command: &Command,
    index: usize,
) -> Result<Expiry, Problem> {
    let number = integer(command, index)?;
    let moment = word.moment(number, session.context.store.clock.now());
    match moment {
        Some(ms) if number > 0 && ms > 0 => Ok(Expiry::At(Time(ms.unsigned_abs()))),
        _ => Err(invalid_expire(name)),
    }
}

/// The options of `SET`.
#[derive(Debug, Default)]
struct SetOptions {
    condition: Option<Condition>,
    expiry: Option<Expiry>,
    get: bool,
}

impl SetOptions {
    /// Reads the options from argument 3 on.
    fn read(session: &Session<'_>, command: &Command) -> Result<SetOptions, Problem> {
        let mut options = SetOptions::default();
        let mut index = 3;
        while index < command.len() {
            let is = |word| is(command, index, word);
            if is("get") {
                options.get = true;
            } else if options.condition.is_none() && is("nx") {
                options.condition = Some(Condition::Absent);
            } else if options.condition.is_none() && is("xx") {
                options.condition = Some(Condition::Present);
            } else if options.condition.is_none() && is("ifeq") && index + 1 < command.len() {
                index += 1;
                options.condition = Some(Condition::Equals(bytes(command, index)));
            } else if options.expiry.is_none() && is("keepttl") {
                options.expiry = Some(Expiry::Keep);
            } else if options.expiry.is_none()
                && let Some(word) = TimeWord::of(command, index)
                && index + 1 < command.len()
            {
                index += 1;
                options.expiry = Some(expiry_of(session, "set", word, command, index)?);
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        Ok(options)
    }
}

/// `SET key value [NX | XX | IFEQ old] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub(super) fn set(session: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let (key, value) = (bytes(command, 1), bytes(command, 2));
    let options = SetOptions::read(session, command)?;
    let expiry = options.expiry.unwrap_or_default();
    let render = if options.get { Render::Previous } else { Render::OkOrNull };
    match options.condition {
        None if !options.get => write(Write::Put { cf: CF, key, value, expiry }, Render::Ok),
        condition => {
            let condition = condition.unwrap_or(Condition::Always);
            write(Write::PutIf { cf: CF, key, value, expiry, condition }, render)
        }
    }
}

pub(super) fn setnx(_: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let put = Write::PutIf {
        cf: CF,
        key: bytes(command, 1),
        value: bytes(command, 2),
        expiry: Expiry::Never,
        condition: Condition::Absent,
    };
    write(put, Render::Stored)
}

pub(super) fn setex(session: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    set_with_ttl(session, command, "setex", TimeWord::Ex)
}

pub(super) fn psetex(session: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    set_with_ttl(session, command, "psetex", TimeWord::Px)
}

/// `SETEX key time value` and `PSETEX`.
fn set_with_ttl(session: &Session<'_>, command: &Command, name: &str, word: TimeWord) -> Answer {
    let expiry = expiry_of(session, name, word, command, 2)?;
    let (key, value) = (bytes(command, 1), bytes(command, 3));
    write(Write::Put { cf: CF, key, value, expiry }, Render::Ok)
}

/// The moment that a number means where it may lie in the past; what cannot be is an error.
pub(super) fn moment_of(
    session: &Session<'_>,
    name: &str,
    word: TimeWord,
    command: &Command,
    index: usize,
) -> Result<Time, Problem> {
    let number = proto::resp::parse_integer(&command[index]).ok_or(NOT_INTEGER)?;
    let moment = word.moment(number, session.context.store.clock.now());
    // What lies before the epoch is as past as the epoch.
    moment.map(|ms| Time(u64::try_from(ms).unwrap_or(0))).ok_or_else(|| invalid_expire(name))
}
