//! The history of the clients as a page: one row a client, one bar a call, as long as it took.
//!
//! The calls that contradict each other are red; the others are shown as far as they overlap them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{escape, millis};
use crate::history::Call;
use crate::outcome::{Failure, Report};

const ROW: u64 = 34;
const LEFT: u64 = 90;
const WIDTH: u64 = 1300;

/// The most calls on a page.
const CALLS_MAX: usize = 600;

/// The history of a run as a page, with the calls that contradict each other in red.
#[must_use]
pub fn history_html(report: &Report) -> String {
    let calls = report.history.calls().unwrap_or_default();
    let (keys, guilty): (BTreeSet<&str>, Vec<&Call>) = match &report.failure {
        Some(Failure::NotLinearizable(violation)) => {
            (violation.keys.iter().map(String::as_str).collect(), violation.calls.iter().collect())
        }
        _ => (BTreeSet::new(), Vec::new()),
    };
    let guilty: BTreeSet<u64> = guilty.iter().map(|call| call.id).collect();
    let concerns = |call: &&Call| keys.is_empty() || call.op.keys().any(|key| keys.contains(key));
    let mut shown: Vec<&Call> = calls.iter().filter(concerns).collect();
    if let Some(first) = calls.iter().find(|call| guilty.contains(&call.id)) {
        let last = calls.iter().rfind(|call| guilty.contains(&call.id)).unwrap_or(first);
        let (from, to) = (first.times.0, last.times.1.unwrap_or(last.times.0));
        let margin = (to - from) / 20 + 10_000;
        shown.retain(|call| {
            guilty.contains(&call.id)
                || call.times.0 <= to + margin
                    && call.times.1.is_none_or(|end| end + margin >= from)
        });
    }
    let shown = &shown[shown.len().saturating_sub(CALLS_MAX)..];
    let headline = match &report.failure {
        Some(failure) => escape(&failure.to_string()),
        None => "nothing is wrong".to_owned(),
    };
    format!(
        "<!doctype html><meta charset='utf-8'><title>history</title>\
         <style>body{{font:13px monospace;margin:16px}}pre{{color:#a22;white-space:pre-wrap}}\
         .call{{fill:#d8e4f0;stroke:#567}}.open{{fill:#f5ecd0;stroke:#a83;stroke-dasharray:4 3}}\
         .failed{{fill:#eee;stroke:#aaa}}.guilty{{fill:#f6c4c0;stroke:#b22;stroke-width:2}}\
         text{{font:11px monospace}}</style>\
         <h1>What the clients saw</h1><pre>{headline}</pre>\
         <p>Blue: answered. Yellow: nobody knows whether it took effect. Grey: it did not. Red: \
         these calls have no order that explains their answers. Rest on a bar to read it whole.\
         </p>{}\n",
        bars(shown, &guilty)
    )
}

fn bars(calls: &[&Call], guilty: &BTreeSet<u64>) -> String {
    let rows: BTreeMap<u64, u64> = {
        let processes: BTreeSet<u64> = calls.iter().map(|call| call.process).collect();
        processes.into_iter().zip(0..).collect()
    };
    let begin = calls.iter().map(|call| call.times.0).min().unwrap_or(0);
    let last = |call: &&Call| call.times.1.unwrap_or(call.times.0);
    let end = calls.iter().map(last).max().unwrap_or(1).max(begin + 1);
    let x = |at: u64| LEFT + (at.clamp(begin, end) - begin) * WIDTH / (end - begin);
    let height = (rows.len() as u64 + 1) * ROW + 20;
    let mut svg = String::new();
    let _ = writeln!(svg, "<svg width='{}' height='{height}'>", LEFT + WIDTH + 80);
    for (process, row) in &rows {
        let _ = writeln!(
            svg,
            "<text x='2' y='{}'>client {process}</text>\
             <line x1='{LEFT}' x2='{}' y1='{2}' y2='{2}' stroke='#ddd'/>",
            row * ROW + 22,
            LEFT + WIDTH,
            row * ROW + 32
        );
    }
    for call in calls {
        let class = match call {
            call if guilty.contains(&call.id) => "guilty",
            call if call.failed => "failed",
            call if call.is_open() => "open",
            _ => "call",
        };
        let (from, y) = (x(call.times.0), rows[&call.process] * ROW + 6);
        // An open call has no end: as far as its client waited, and on.
        let to = call.times.1.map_or(LEFT + WIDTH, x);
        let width = (to - from).max(3);
        let answer = match &call.answer {
            Some(answer) => answer.short(),
            None if call.why.is_empty() => "?".to_owned(),
            None => call.why.clone(),
        };
        let fits = usize::try_from(width / 7).unwrap_or(0);
        // The whole call if there is room, else what was asked.
        let whole = format!("{} = {answer}", call.op.short());
        let short = if whole.chars().count() <= fits { whole.clone() } else { call.op.short() };
        let short: String = short.chars().take(fits).collect();
        let text = escape(&whole);
        let _ = writeln!(
            svg,
            "<g><title>call {} from {} ms: {text}</title>\
             <rect class='{class}' x='{from}' y='{y}' width='{width}' height='22' rx='3'/>\
             <text x='{}' y='{}'>{}</text></g>",
            call.id,
            millis(call.times.0),
            from + 3,
            y + 15,
            escape(&short)
        );
    }
    let _ = writeln!(
        svg,
        "<text x='{LEFT}' y='{0}'>{1} ms</text><text x='{2}' y='{0}'>{3} ms</text></svg>",
        height - 4,
        millis(begin),
        LEFT + WIDTH,
        millis(end)
    );
    svg
}
