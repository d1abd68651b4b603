//! A comparison as a bar chart in SVG.

use std::fmt::Write;

use super::{Group, human};
use crate::backend;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 120.0;
const BAR: f64 = 18.0;
const GAP: f64 = 4.0;
const HEAD: f64 = 26.0;

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
    let bars = group.cells.len() as f64;
    let height = 56.0 + group.variants.len() as f64 * HEAD + bars * (BAR + GAP) + 20.0;
    let longest = group.cells.values().map(|cell| cell.figure).fold(f64::MIN_POSITIVE, f64::max);
    let better = if group.unit.more_is_better() { "longer is better" } else { "shorter is better" };
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
<text x="12" y="22" font-size="16" font-weight="bold">{}</text>
<text x="12" y="42" fill="#555555">{better}</text>
"##,
        escape(&group.title())
    );
    let mut y = 56.0;
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
            let length = (cell.figure / longest * (WIDTH - LEFT - RIGHT)).max(1.0);
            let mark = backend::named(name).and_then(|b| b.caveat).map_or("", |_| " *");
            let _ = writeln!(
                out,
                r##"<text x="{}" y="{}" text-anchor="end">{name}{mark}</text><rect x="{LEFT}" y="{y}" width="{length:.1}" height="{BAR}" fill="{}"/><text x="{:.1}" y="{}">{}</text>"##,
                LEFT - 8.0,
                y + 14.0,
                colour(name),
                LEFT + length + 6.0,
                y + 14.0,
                human(cell.figure, group.unit)
            );
            y += BAR + GAP;
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Text that may stand in XML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
