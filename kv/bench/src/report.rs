//! The report of a run: a table and a chart for each question, a page that shows them, and JSON.

mod chart;
mod page;
mod table;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use mutant::mutant;

use crate::backend;
use crate::level::Level;
use crate::measurement::{Latency, Measurement, Unit};
use crate::scale::Scale;

/// The backend that the others are compared with.
const OURS: &str = "bitcask";

/// All that a run found, and on what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// How large it was.
    pub scale: Scale,
    /// The processor, cores and kernel.
    pub machine: String,
    /// Each figure of each round.
    pub found: Vec<Measurement>,
}

impl Results {
    /// What was found on this machine.
    pub fn new(scale: Scale, found: Vec<Measurement>) -> Results {
        Results { scale, machine: machine(), found }
    }
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let cpu = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown processor".to_owned());
    format!("{cpu}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

/// One comparison: what may stand beside each other, that is one question at one level of
/// durability with one size of values.
#[derive(Debug)]
struct Group {
    question: String,
    level: Option<Level>,
    value_bytes: usize,
    unit: Unit,
    /// In the order in which they were found.
    variants: Vec<String>,
    backends: Vec<&'static str>,
    /// By variant and backend.
    cells: BTreeMap<(String, &'static str), Cell>,
}

/// The median of the rounds.
#[derive(Clone, Copy, Debug)]
struct Cell {
    figure: f64,
    latency: Option<Latency>,
    /// How far bitcask is ahead: the median of the ratios of each round, since what disturbs a
    /// round disturbs both.
    ratio: Option<f64>,
    /// The same for the median call, which other loads of the machine disturb least.
    call_ratio: Option<f64>,
}

impl Group {
    fn title(&self) -> String {
        let level = self.level.map(|level| format!(", durability {}", level.name()));
        format!("{}, {} B values{}", self.question, self.value_bytes, level.unwrap_or_default())
    }

    /// A name that a file may have.
    fn slug(&self) -> String {
        let level = self.level.map_or("reads", Level::name);
        let name = format!("{} {} {level}", self.question, self.value_bytes);
        name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
    }

    /// What a backend cannot promise that matters here.
    fn caveats(&self, name: &str) -> Vec<&'static str> {
        backend::named(name)
            .map_or_else(Vec::new, |it| it.caveats_at(&self.question, self.level).collect())
    }

    fn cell(&self, variant: &str, backend: &'static str) -> Option<Cell> {
        self.cells.get(&(variant.to_owned(), backend)).copied()
    }
}

/// Sorts the figures into comparisons, in the order in which they were found.
fn groups(results: &Results) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut figures: BTreeMap<(usize, String, &'static str), Vec<Measurement>> = BTreeMap::new();
    for found in &results.found {
        let Some(backend) = backend::all().into_iter().find(|b| b.name == found.backend) else {
            continue;
        };
        let place = groups.iter().position(|group| {
            group.question == found.question
                && (group.level == found.level || mutant!("bench-levels-mixed"))
                && group.value_bytes == found.value_bytes
        });
        let place = place.unwrap_or_else(|| {
            groups.push(Group {
                question: found.question.clone(),
                level: found.level,
                value_bytes: found.value_bytes,
                unit: found.unit,
                variants: Vec::new(),
                backends: Vec::new(),
                cells: BTreeMap::new(),
            });
            groups.len() - 1
        });
        let group = &mut groups[place];
        if !group.variants.contains(&found.variant) {
            group.variants.push(found.variant.clone());
        }
        if !group.backends.contains(&backend.name) {
            group.backends.push(backend.name);
            let all: Vec<_> = backend::all().iter().map(|backend| backend.name).collect();
            group.backends.sort_by_key(|name| all.iter().position(|it| it == name));
        }
        figures
            .entry((place, found.variant.clone(), backend.name))
            .or_default()
            .push(found.clone());
    }
    for ((place, variant, backend), rounds) in &figures {
        let ours = figures.get(&(*place, variant.clone(), OURS)).filter(|_| *backend != OURS);
        let more_is_better = groups[*place].unit.more_is_better();
        let figure = |it: &Measurement| Some(it.figure);
        let call = |it: &Measurement| it.latency.map(|latency| latency.p50);
        let cell = Cell {
            ratio: ours.and_then(|ours| median_ratio(ours, rounds, more_is_better, figure)),
            call_ratio: ours.and_then(|ours| median_ratio(ours, rounds, false, call)),
            ..median(rounds.clone())
        };
        groups[*place].cells.insert((variant.clone(), backend), cell);
    }
    groups
}

fn median(mut rounds: Vec<Measurement>) -> Cell {
    rounds.sort_by(|a, b| a.figure.total_cmp(&b.figure));
    let middle = &rounds[(rounds.len() - 1) / 2];
    Cell { figure: middle.figure, latency: middle.latency, ratio: None, call_ratio: None }
}

/// How far ours is ahead of theirs, if neither has a zero.
fn median_ratio(
    ours: &[Measurement],
    theirs: &[Measurement],
    more_is_better: bool,
    figure: impl Fn(&Measurement) -> Option<f64>,
) -> Option<f64> {
    let mut ratios: Vec<f64> = ours
        .iter()
        .filter_map(|ours| {
            let theirs = theirs.iter().find(|theirs| theirs.round == ours.round)?;
            let ratio = figure(ours)? / figure(theirs)?;
            Some(if more_is_better { ratio } else { ratio.recip() })
        })
        .filter(|ratio| ratio.is_finite() && *ratio > 0.0)
        .collect();
    ratios.sort_by(f64::total_cmp);
    // Of an even number there are two in the middle: neither side gets the better one.
    let last = ratios.len().checked_sub(1)?;
    Some((ratios[last / 2] * ratios[last.div_ceil(2)]).sqrt())
}

/// Writes `results.json`, `tables.txt`, a chart a comparison and `index.html` into a folder, and
/// prints the tables.
///
/// # Errors
/// If a file cannot be written.
pub fn write(results: &Results, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let save = |name: &str, text: &str| {
        let file = out.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    save("results.json", &serde_json::to_string_pretty(results)?)?;
    let groups = groups(results);
    let tables = table::all(results, &groups);
    save("tables.txt", &tables)?;
    for group in &groups {
        save(&format!("{}.svg", group.slug()), &chart::svg(group))?;
    }
    save("index.html", &page::html(results, &groups))?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(tables.as_bytes())?;
    writeln!(stdout, "charts and page: {}", out.join("index.html").display())?;
    Ok(())
}

/// A whole number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let (first, rest) = digits.split_at((digits.len() - 1) % 3 + 1);
    let rest: String = rest
        .char_indices()
        .flat_map(|(at, digit)| (at % 3 == 0).then_some(',').into_iter().chain([digit]))
        .collect();
    format!("{first}{rest}")
}

/// A figure as a person reads it.
fn human(figure: f64, unit: Unit) -> String {
    match unit {
        Unit::OpsPerSecond if figure >= 1e6 => format!("{:.2} M/s", figure / 1e6),
        Unit::OpsPerSecond if figure >= 1e4 => format!("{:.0} k/s", figure / 1e3),
        Unit::OpsPerSecond if figure >= 1e3 => format!("{:.1} k/s", figure / 1e3),
        Unit::OpsPerSecond => format!("{figure:.0} /s"),
        Unit::Seconds if figure < 1.0 => format!("{:.1} ms", figure * 1e3),
        Unit::Seconds => format!("{figure:.2} s"),
        Unit::Micros => format!("{figure:.1} us"),
        Unit::Bytes => format!("{:.0} MiB", figure / f64::from(1 << 20)),
        Unit::Times => format!("{figure:.2} x"),
        Unit::Count => grouped(figure as u64),
    }
}
