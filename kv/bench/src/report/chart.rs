//! A comparison as a bar chart in SVG, with what the engines cannot promise below it.

use std::fmt::Write;

use super::{Group, human};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 150.0;
const BAR: f64 = 18.0;
const GAP: f64 = 4.0;
/// The height of a variant's name.
const HEAD: f64 = 30.0;
/// Where the first variant starts.
const TOP: f64 = 52.0;
/// The height of a note's line.
const NOTE: f64 = 18.0;

/// One colour a backend, told apart by people who see no red or green too (Okabe and Ito).
fn colour(backend: &str) -> &'static str {
    match backend {
        "bitcask" => "#D55E00",
        "rocksdb" => "#0072B2",
        "fjall" => "#009E73",
        "sled" => "#CC79A7",
        "redb" => "#E69F00",
        _ => "#999999",
    }
}

/// Bars from zero on, grouped by variant.
pub(super) fn svg(group: &Group) -> String {
    let notes = notes(group);
    let bars = group.cells.len() as f64;
    let notes_top = TOP + group.variants.len() as f64 * HEAD + bars * (BAR + GAP) + 14.0;
    let height = notes_top + notes.len() as f64 * NOTE + 10.0;
    let longest = longest(group.cells.values().map(|cell| cell.figure).collect());
    let better = if group.unit.more_is_better() { "longer is better" } else { "shorter is better" };
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
<text x="12" y="22" font-size="16" font-weight="bold">{}</text>
<text x="12" y="42" fill="#555555">{better}</text>
"##,
        escape(&group.title())
    );
    let mut y = TOP;
    for variant in &group.variants {
        let _ = writeln!(
            out,
            r##"<text x="12" y="{}" font-weight="bold">{}</text>"##,
            y + HEAD - 9.0,
            escape(variant)
        );
        y += HEAD;
        for &name in &group.backends {
            let Some(cell) = group.cell(variant, name) else { continue };
            let room = WIDTH - LEFT - RIGHT;
            let length = (cell.figure / longest * room).clamp(1.0, room);
            let cut = if cell.figure > longest { gap(y) } else { String::new() };
            let _ = writeln!(
                out,
                r##"<text x="{}" y="{}" text-anchor="end">{name}{}</text><rect x="{LEFT}" y="{y}" width="{length:.1}" height="{BAR}" fill="{}"/>{cut}<text x="{:.1}" y="{}">{}</text>"##,
                LEFT - 8.0,
                y + 14.0,
                marks(&notes, name),
                colour(name),
                LEFT + length + 6.0,
                y + 14.0,
                human(cell.figure, group.unit)
            );
            y += BAR + GAP;
        }
    }
    for (place, note) in notes.iter().enumerate() {
        let _ = writeln!(
            out,
            r##"<text x="12" y="{}" font-size="12" fill="#555555">{} {}: {}</text>"##,
            notes_top + (place + 1) as f64 * NOTE - 4.0,
            mark(place),
            note.0.join(", "),
            escape(note.1)
        );
    }
    out.push_str("</svg>\n");
    out
}

/// The figure whose bar takes all the room: the largest, but for at most a third of them that are so
/// far above the others that nothing could be seen of these.
fn longest(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let above_max = figures.len() / 3;
    let last = (0..figures.len().saturating_sub(1))
        .filter(|at| figures.len() - 1 - at <= above_max)
        .find(|at| figures[*at] > 0.0 && figures[at + 1] > CUT_ABOVE * figures[*at]);
    let last = last.unwrap_or(figures.len().saturating_sub(1));
    figures.get(last).copied().unwrap_or(0.0).max(f64::MIN_POSITIVE)
}

/// Bars that are more than so many times as long as the next one are cut.
const CUT_ABOVE: f64 = 3.0;

/// The gap in a bar that is cut.
fn gap(y: f64) -> String {
    let x = WIDTH - RIGHT - 26.0;
    let bottom = y + BAR;
    format!(r##"<path d="M{x} {bottom} l8 -{BAR} h6 l-8 {BAR} z" fill="#ffffff"/>"##)
}

/// A note, and the backends that it is about.
type Note = (Vec<&'static str>, &'static str);

/// What the backends of a chart cannot promise, each note once.
fn notes(group: &Group) -> Vec<Note> {
    let mut notes: Vec<Note> = Vec::new();
    for &name in &group.backends {
        for caveat in group.caveats(name) {
            match notes.iter_mut().find(|note| note.1 == caveat) {
                Some(note) => note.0.push(name),
                None => notes.push((vec![name], caveat)),
            }
        }
    }
    notes
}

/// The marks behind a backend's name: one for each of its notes.
fn marks(notes: &[Note], name: &str) -> String {
    let own = notes.iter().enumerate().filter(|(_, note)| note.0.contains(&name));
    own.map(|(place, _)| mark(place).to_string()).collect::<Vec<_>>().join("\u{2009}")
}

/// A raised digit.
fn mark(place: usize) -> char {
    ['¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][place % 9]
}

/// Text that may stand in XML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
