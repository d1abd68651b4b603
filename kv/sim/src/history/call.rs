//! Calls: the begin and the end of each, put together.

use std::collections::BTreeMap;

use super::{Answer, Error, Event, Kind, Op};

/// One call of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number in the history.
    pub id: u64,
    /// The client.
    pub process: u64,
    /// What was asked for.
    pub op: Op,
    /// Where it begins: a place in the history, counted in events.
    pub begin: usize,
    /// Where it ends; none for ever if nobody knows whether it took effect.
    pub end: Option<usize>,
    /// What the client was told, if it took effect.
    pub answer: Option<Answer>,
    /// Whether it had no effect.
    pub failed: bool,
    /// When it began and ended, in microseconds; for pictures.
    pub times: (u64, Option<u64>),
    /// Why it failed or is open, for people.
    pub why: String,
}

impl Call {
    /// Whether nobody knows if it took effect.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.answer.is_none() && !self.failed
    }
}

/// Puts begins and ends together.
pub(super) fn pair(events: &[Event]) -> Result<Vec<Call>, Error> {
    let mut calls: Vec<Call> = Vec::new();
    let mut places = BTreeMap::new();
    for (place, event) in events.iter().enumerate() {
        if let Kind::Invoke { op } = &event.kind {
            if places.insert(event.call, calls.len()).is_some() {
                return Err(Error::BeginsTwice { call: event.call });
            }
            calls.push(Call {
                id: event.call,
                process: event.process,
                op: op.clone(),
                begin: place,
                end: None,
                answer: None,
                failed: false,
                times: (event.at, None),
                why: String::new(),
            });
            continue;
        }
        let open = places.get(&event.call).map(|at| &mut calls[*at]);
        let open = open.filter(|call| call.times.1.is_none());
        let call = open.ok_or(Error::NotOpen { call: event.call, event: place })?;
        call.times.1 = Some(event.at);
        match &event.kind {
            Kind::Invoke { .. } => unreachable!("handled above"),
            Kind::Ok { answer } => {
                if !call.op.fits(answer) {
                    return Err(Error::WrongAnswer { call: call.id });
                }
                (call.answer, call.end) = (Some(answer.clone()), Some(place));
            }
            Kind::Fail { why } => {
                (call.failed, call.end, call.why) = (true, Some(place), why.clone());
            }
            Kind::Info { why } => call.why.clone_from(why),
        }
    }
    Ok(calls)
}
