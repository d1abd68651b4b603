//! Who said what to whom, as text: one line an event, one column a place.

use std::fmt::Write;

use super::millis;
use crate::network::FIRST_CLIENT;
use crate::outcome::Report;
use crate::trace::{Happened, What};

/// The name of a place.
pub(super) fn name(place: u64) -> String {
    let what = if place < FIRST_CLIENT { "store" } else { "client" };
    format!("{what} {place}")
}

/// All events of a run that were kept.
#[must_use]
pub fn sequence_text(report: &Report) -> String {
    let mut text = String::new();
    if report.trace.forgotten() > 0 {
        let _ = writeln!(text, "({} older events are not kept)", report.trace.forgotten());
    }
    for Happened { at, what } in report.trace.events() {
        let line = match what {
            What::Message { from, to, sent, arrived, text } => {
                let after = millis(at - sent);
                let end = if *arrived { format!("after {after}") } else { "LOST".to_owned() };
                format!("{:<11} -> {:<11} {text}  ({end})", name(*from), name(*to))
            }
            What::Note { place, fault, text } => {
                let mark = if *fault { "!!" } else { "  " };
                format!("{:<11} {mark} {text}", name(*place))
            }
            What::All { text } => format!("=== {text}"),
        };
        let _ = writeln!(text, "{:>12} ms  {line}", millis(*at));
    }
    if let Some(failure) = &report.failure {
        let _ = writeln!(text, "\n{failure}");
    }
    text
}
