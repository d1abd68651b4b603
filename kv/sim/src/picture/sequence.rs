//! Who said what to whom, as a picture: one line downwards a store, an arrow a message.
//!
//! Time goes down, but stretched: each event has a row of its own, so that nothing covers another.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{escape, millis, text::name};
use crate::network::FIRST_CLIENT;
use crate::outcome::Report;
use crate::trace::{Happened, What};

const ROW: usize = 16;
const COLUMN: usize = 230;
const LEFT: usize = 150;
const TOP: usize = 50;

/// The last rows of a run that make a picture; more would be too tall to look at.
const ROWS_MAX: usize = 600;

/// After how many rows the names of the columns stand again.
const NAMES_EVERY: usize = 45;

/// The end of a run as a picture: stores, their messages, and what befell them. Heartbeats are left
/// out.
#[must_use]
pub fn sequence_svg(report: &Report) -> String {
    let shown: Vec<&Happened> = report.trace.events().iter().filter(|it| is_shown(it)).collect();
    let shown = &shown[shown.len().saturating_sub(ROWS_MAX)..];
    let mut columns: BTreeMap<u64, usize> = BTreeMap::new();
    for happened in shown {
        match &happened.what {
            What::Message { from, to, .. } => columns.extend([(*from, 0), (*to, 0)]),
            What::Note { place, .. } => columns.extend([(*place, 0)]),
            What::All { .. } => {}
        }
    }
    for (number, column) in columns.values_mut().enumerate() {
        *column = LEFT + number * COLUMN;
    }
    // The row at which each message left: that of the first event not before.
    let row_of = |at: u64| shown.partition_point(|it| it.at < at);
    let (width, height) = (LEFT + columns.len() * COLUMN, TOP + (shown.len() + 2) * ROW);
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' \
         font-family='monospace' font-size='11'>\
         <defs><marker id='tip' markerWidth='8' markerHeight='8' refX='7' refY='4' orient='auto'>\
         <path d='M0,0 L8,4 L0,8 z' fill='#345'/></marker></defs>\
         <style>text{{paint-order:stroke;stroke:white;stroke-width:3px}}</style>\
         <rect width='100%' height='100%' fill='white'/>"
    );
    for (place, x) in &columns {
        let _ = writeln!(svg, "<line x1='{x}' y1='30' x2='{x}' y2='{height}' stroke='#bbb'/>");
        for row in (0..=shown.len()).step_by(NAMES_EVERY) {
            let (y, name) = (row * ROW + 20, name(*place));
            let _ = writeln!(
                svg,
                "<text x='{x}' y='{y}' text-anchor='middle' font-weight='bold'>{name}</text>"
            );
        }
    }
    // Words come last, so that no line crosses them.
    let mut words = String::new();
    for (row, happened) in shown.iter().enumerate() {
        let y = TOP + row * ROW;
        let _ = writeln!(
            svg,
            "<text x='4' y='{}' fill='#777'>{} ms</text>",
            y + 4,
            millis(happened.at)
        );
        let from_y = TOP + row_of(start(happened)) * ROW;
        draw(&mut svg, &mut words, happened, (from_y, y), &columns, width);
    }
    svg.push_str(&words);
    svg.push_str("</svg>\n");
    svg
}

fn is_shown(happened: &Happened) -> bool {
    match &happened.what {
        What::Message { text, .. } => !text.contains("heartbeat"),
        What::Note { place, fault, .. } => *fault || *place < FIRST_CLIENT,
        What::All { .. } => true,
    }
}

fn start(happened: &Happened) -> u64 {
    match happened.what {
        What::Message { sent, .. } => sent,
        _ => happened.at,
    }
}

fn draw(
    svg: &mut String,
    words: &mut String,
    happened: &Happened,
    (from_y, y): (usize, usize),
    columns: &BTreeMap<u64, usize>,
    width: usize,
) {
    match &happened.what {
        What::Message { from, to, arrived, text, .. } => {
            let (x1, x2) = (columns[from], columns[to]);
            let text = escape(text);
            if *arrived {
                let _ = writeln!(
                    svg,
                    "<line x1='{x1}' y1='{from_y}' x2='{x2}' y2='{y}' stroke='#345' \
                     marker-end='url(#tip)'/>"
                );
            } else {
                // It ends on the way.
                let x = (x1 * 3 + x2) / 4;
                let _ = writeln!(
                    svg,
                    "<line x1='{x1}' y1='{y}' x2='{x}' y2='{y}' stroke='#c33' \
                     stroke-dasharray='4 3'/><text x='{x}' y='{}' fill='#c33'>x</text>",
                    y + 4
                );
            }
            // Beside the receiver, where no other row is.
            let (x, anchor) = match (x2 > x1, *arrived) {
                (true, true) => (x2 - 10, "end"),
                (false, true) => (x2 + 10, "start"),
                (true, false) => (x1 + 70, "start"),
                (false, false) => (x1 - 70, "end"),
            };
            let _ = writeln!(
                words,
                "<text x='{x}' y='{}' text-anchor='{anchor}' fill='#345'>{text}</text>",
                y.saturating_sub(3)
            );
        }
        What::Note { place, fault, text } => {
            let (x, colour) = (columns[place], if *fault { "#c33" } else { "#262" });
            let _ = writeln!(
                words,
                "<circle cx='{x}' cy='{y}' r='4' fill='{colour}'/>\
                 <text x='{}' y='{}' fill='{colour}' font-weight='bold'>{}</text>",
                x + 8,
                y + 4,
                escape(text)
            );
        }
        What::All { text } => {
            let _ = writeln!(
                words,
                "<line x1='{LEFT}' y1='{y}' x2='{width}' y2='{y}' stroke='#c33'/>\
                 <text x='{LEFT}' y='{}' fill='#c33' font-weight='bold'>{}</text>",
                y.saturating_sub(3),
                escape(text)
            );
        }
    }
}
