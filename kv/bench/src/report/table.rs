//! The comparisons as text tables.

use std::fmt::Write;

use super::{Group, Results, human};

/// All tables, below a heading that says what they were taken on.
pub(super) fn all(results: &Results, groups: &[Group]) -> String {
    let scale = &results.scale;
    let mut out = format!(
        "Storage backends, {} keys of 16 bytes, median of {} round(s)\n{}\n",
        scale.keys, scale.rounds, results.machine
    );
    out.push_str(
        "In brackets: bitcask against it, the median of the rounds' ratios; above 1 bitcask is ahead.\n\
         Percentiles are of one call, which may be a batch or a scan; the ratio behind them is that\n\
         of the median calls, which other loads of the machine disturb least.\n",
    );
    for group in groups {
        out.push('\n');
        out.push_str(&one(group));
    }
    out
}

fn one(group: &Group) -> String {
    let mut rows = vec![
        std::iter::once(String::new())
            .chain(group.backends.iter().map(|&name| name.to_owned()))
            .collect::<Vec<_>>(),
    ];
    for variant in &group.variants {
        let mut row = vec![variant.clone()];
        row.extend(group.backends.iter().map(|backend| cell(group, variant, backend)));
        rows.push(row);
        if group
            .backends
            .iter()
            .any(|b| group.cell(variant, b).is_some_and(|c| c.latency.is_some()))
        {
            let mut row = vec!["  p50 / p99 / p99.9 / max us".to_owned()];
            row.extend(group.backends.iter().map(|backend| latency(group, variant, backend)));
            rows.push(row);
        }
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = format!("{}\n", group.title());
    for row in &rows {
        for (place, (text, width)) in row.iter().zip(&widths).enumerate() {
            let gap = if place == 0 { "" } else { "  " };
            let _ = if place == 0 {
                write!(out, "{text:width$}")
            } else {
                write!(out, "{gap}{text:>width$}")
            };
        }
        out.push('\n');
    }
    for &name in &group.backends {
        for caveat in group.caveats(name) {
            let _ = writeln!(out, "  {name}: {caveat}");
        }
    }
    out
}

fn cell(group: &Group, variant: &str, backend: &'static str) -> String {
    let Some(cell) = group.cell(variant, backend) else { return "-".to_owned() };
    let text = human(cell.figure, group.unit);
    match cell.ratio {
        Some(ratio) => format!("{text} [{ratio:.2}]"),
        None => text,
    }
}

fn latency(group: &Group, variant: &str, backend: &'static str) -> String {
    let short = |micros: f64| {
        if micros < 10.0 { format!("{micros:.1}") } else { format!("{micros:.0}") }
    };
    let cell = group.cell(variant, backend);
    let ratio = cell.and_then(|cell| cell.call_ratio);
    let ratio = ratio.map_or_else(String::new, |ratio| format!(" [{ratio:.2}]"));
    cell.and_then(|cell| cell.latency).map_or_else(
        || "-".to_owned(),
        |l| {
            let [p50, p99, p999, max] = [l.p50, l.p99, l.p999, l.max].map(short);
            format!("{p50} / {p99} / {p999} / {max}{ratio}")
        },
    )
}
