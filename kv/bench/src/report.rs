//! The report of a run: a table and a chart for each question, a page that shows them, and JSON.

mod chart;
mod page;
mod table;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::backend;
use crate::level::Level;
use crate::measurement::{Latency, Measurement, Unit};
use crate::scale::Scale;

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
}

impl Group {
    fn title(&self) -> String {
        let level = self.level.map_or("reads only", Level::name);
        format!("{}, {} B values, durability: {level}", self.question, self.value_bytes)
    }

    /// A name that a file may have.
    fn slug(&self) -> String {
        let level = self.level.map_or("reads", Level::name);
        let name = format!("{} {} {level}", self.question, self.value_bytes);
        name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
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
                && group.level == found.level
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
        }
        figures
            .entry((place, found.variant.clone(), backend.name))
            .or_default()
            .push(found.clone());
    }
    for ((place, variant, backend), rounds) in figures {
        groups[place].cells.insert((variant, backend), median(rounds));
    }
    groups
}

fn median(mut rounds: Vec<Measurement>) -> Cell {
    rounds.sort_by(|a, b| a.figure.total_cmp(&b.figure));
    let middle = &rounds[rounds.len() / 2];
    Cell { figure: middle.figure, latency: middle.latency }
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
    }
}
