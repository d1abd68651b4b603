//! Prints what a benchmark measured.

use std::io;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Bench;
use super::record::Figures;
use super::run::Phase;
use super::workload::Kind;
use crate::cli::output::Output;

/// The percentiles of the report, with their names.
const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// Prints a table for people.
pub(crate) fn text(
    out: &mut Output,
    bench: &Bench,
    address: &str,
    phase: &Phase,
    kinds: &[(Kind, Figures)],
    all: &Figures,
) -> io::Result<()> {
    for line in settings_lines(bench, address) {
        out.line(&line)?;
    }
    let names = PERCENTILES.map(|(name, _)| format!("{name:>9}")).join(" ");
    out.line(&format!(
        "\n{:<5}{:>10} {:>8} {:>8} {:>10} {names} {:>9}",
        "", "requests", "missing", "failed", "a second", "max"
    ))?;
    for (kind, figures) in kinds {
        out.line(&row(kind.name(), figures, phase.elapsed))?;
    }
    if kinds.len() != 1 {
        out.line(&row("all", all, phase.elapsed))?;
    }
    for (kind, count) in &all.errors {
        out.line(&format!("{count} requests failed: {kind}"))?;
    }
    if all.wrong > 0 {
        out.line(&format!("{} WRONG VALUES: nobody set them", all.wrong))?;
    }
    if phase.unsent > 0 {
        out.line(&format!(
            "{} requests were due and not sent: the server did not keep up with the rate",
            phase.unsent
        ))?;
    }
    if phase.interrupted {
        out.line("interrupted: these are the figures up to then")?;
    }
    Ok(())
}

fn settings_lines(bench: &Bench, address: &str) -> [String; 2] {
    let pace = match bench.rate {
        Some(rate) => format!("open loop, {rate} requests a second"),
        None => "closed loop".to_owned(),
    };
    let (first, last) = (bench.value_size.start(), bench.value_size.end());
    let sizes = if first == last { first.to_string() } else { format!("{first} to {last}") };
    [
        format!(
            "{} {address}, {pace}, {} connections, pipeline {}, threads {}",
            bench.protocol.name(),
            bench.connections,
            bench.pipeline,
            bench.threads
        ),
        format!(
            "mix {}, {} keys of {} bytes, {}, values of {sizes} bytes, seed {}",
            bench.mix,
            bench.keys,
            bench.key_size,
            distribution(bench),
            bench.seed
        ),
    ]
}

/// The name of the distribution in arguments.
fn distribution(bench: &Bench) -> String {
    let value = clap::ValueEnum::to_possible_value(&bench.distribution);
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

fn row(name: &str, figures: &Figures, elapsed: Duration) -> String {
    let latencies = PERCENTILES
        .map(|(_, quantile)| figures.latencies.value_at_quantile(quantile))
        .map(|nanos| format!("{:>9}", time(nanos)))
        .join(" ");
    format!(
        "{name:<5}{:>10} {:>8} {:>8} {:>10.0} {latencies} {:>9}",
        figures.requests,
        figures.missing,
        figures.failed(),
        per_second(figures, elapsed),
        time(figures.latencies.max()),
    )
}

/// Requests a second that did not fail.
fn per_second(figures: &Figures, elapsed: Duration) -> f64 {
    figures.latencies.len() as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// A time of so many nanoseconds, with three digits.
fn time(nanos: u64) -> String {
    let (number, unit) = match nanos {
        0..1_000_000 => (nanos as f64 / 1e3, "us"),
        1_000_000..1_000_000_000 => (nanos as f64 / 1e6, "ms"),
        _ => (nanos as f64 / 1e9, "s"),
    };
    let decimals = match number {
        _ if number < 10.0 => 2,
        _ if number < 100.0 => 1,
        _ => 0,
    };
    format!("{number:.decimals$} {unit}")
}

/// The report for programs.
pub(crate) fn json(
    bench: &Bench,
    address: &str,
    phase: &Phase,
    kinds: &[(Kind, Figures)],
    all: &Figures,
) -> Value {
    let kinds: Map<String, Value> = kinds
        .iter()
        .map(|(kind, figures)| (kind.name().to_owned(), figures_json(figures, phase.elapsed)))
        .collect();
    json!({
        "settings": {
            "protocol": bench.protocol.name(),
            "address": address,
            "rate": bench.rate,
            "connections": bench.connections,
            "pipeline": bench.pipeline,
            "threads": bench.threads,
            "mix": bench.mix.to_string(),
            "keys": bench.keys,
            "key_bytes": bench.key_size,
            "value_bytes": [bench.value_size.start(), bench.value_size.end()],
            "distribution": distribution(bench),
            "seed": bench.seed,
            "verify": bench.verify,
        },
        "elapsed_s": phase.elapsed.as_secs_f64(),
        "unsent": phase.unsent,
        "interrupted": phase.interrupted,
        "all": figures_json(all, phase.elapsed),
        "kinds": kinds,
    })
}

fn figures_json(figures: &Figures, elapsed: Duration) -> Value {
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let mut latency: Map<String, Value> = PERCENTILES
        .iter()
        .map(|(name, quantile)| {
            ((*name).to_owned(), micros(figures.latencies.value_at_quantile(*quantile)).into())
        })
        .collect();
    latency.insert("mean".to_owned(), (figures.latencies.mean() / 1e3).into());
    latency.insert("max".to_owned(), micros(figures.latencies.max()).into());
    json!({
        "requests": figures.requests,
        "missing": figures.missing,
        "wrong": figures.wrong,
        "failed": figures.failed(),
        "errors": figures.errors,
        "per_second": per_second(figures, elapsed),
        "latency_us": latency,
    })
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_have_three_digits() {
        for (nanos, text) in [
            (0, "0.00 us"),
            (1_234, "1.23 us"),
            (56_789, "56.8 us"),
            (123_456, "123 us"),
            (1_000_000, "1.00 ms"),
            (12_345_678, "12.3 ms"),
            (2_345_678_901, "2.35 s"),
        ] {
            assert_eq!(time(nanos), text);
        }
    }
}
