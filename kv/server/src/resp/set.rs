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
    let moment = word.moment(number, session.now);
    match moment {
        Some(ms) if number > 0 && ms > 0 => Ok(Expiry::At(Time(ms.unsigned_abs()))),
        _ => Err(invalid_expire(name)),
    }
}

/// The options of `SET` and `GETEX`.
///
/// Read as redis reads them: a word may be there twice, of two times the last one counts, and a
/// number is judged only after all the words.
#[derive(Debug, Default)]
pub(super) struct Options {
    condition: Option<Condition>,
    get: bool,
    keep: bool,
    pub(super) persist: bool,
    /// A time, and the argument that has its number.
    pub(super) time: Option<(TimeWord, usize)>,
}

/// Which options a command has beside times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OptionsOf {
    /// `NX`, `XX`, `IFEQ`, `GET` and `KEEPTTL`.
    Set,
    /// `PERSIST`.
    GetEx,
}

impl Options {
    /// Reads the options from argument `index` on.
    pub(super) fn read(
        command: &Command,
        mut index: usize,
        of: OptionsOf,
    ) -> Result<Options, Problem> {
        let mut options = Options::default();
        while index < command.len() {
            index += options.read_one(command, index, of).ok_or(SYNTAX)?;
        }
        Ok(options)
    }

    /// Reads the option at argument `index`; gives how many arguments it has, or none if there is
    /// no such option, or it cannot stand beside the others.
    fn read_one(&mut self, command: &Command, index: usize, of: OptionsOf) -> Option<usize> {
        let is = |word| is(command, index, word);
        let (sets, has_value) = (of == OptionsOf::Set, index + 1 < command.len());
        if let Some(word) = TimeWord::of(command, index) {
            let alone = self.time.is_none_or(|(other, _)| other == word);
            self.time = Some((word, index + 1));
            return (has_value && alone && !self.keep && !self.persist).then_some(2);
        }
        let may_condition =
            |wanted: &Condition| self.condition.as_ref().is_none_or(|it| it == wanted);
        if sets && is("get") {
            self.get = true;
        } else if sets && is("nx") && may_condition(&Condition::Absent) {
            self.condition = Some(Condition::Absent);
        } else if sets && is("xx") && may_condition(&Condition::Present) {
            self.condition = Some(Condition::Present);
        } else if sets && is("ifeq") && has_value && self.condition.is_none() {
            self.condition = Some(Condition::Equals(bytes(command, index + 1)));
            return Some(2);
        } else if sets && is("keepttl") && self.time.is_none() {
            self.keep = true;
        } else if !sets && is("persist") && self.time.is_none() {
            self.persist = true;
        } else {
            return None;
        }
        Some(1)
    }
}

/// `SET key value [NX | XX | IFEQ old] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
pub(super) fn set(session: &mut Session<'_>, command: &Command, _: &mut Writer<'_>) -> Answer {
    let (key, value) = (bytes(command, 1), bytes(command, 2));
    let options = Options::read(command, 3, OptionsOf::Set)?;
    let expiry = match options.time {
        Some((word, index)) => expiry_of(session, "set", word, command, index)?,
        None if options.keep => Expiry::Keep,
        None => Expiry::default(),
    };
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
    let moment = word.moment(number, session.now);
    // What lies before the epoch is as past as the epoch.
    moment.map(|ms| Time(u64::try_from(ms).unwrap_or(0))).ok_or_else(|| invalid_expire(name))
}
