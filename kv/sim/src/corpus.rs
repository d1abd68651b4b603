//! The corpus: a few seeds that together leave every mark.
//!
//! A change of the program or of the simulator may turn all seeds into other runs. So the seeds are
//! data, each with the marks that it is there for, and a search chooses them anew:
//!
//! ```text
//! # a comment
//! 738: a region's log holds up the wal
//! 312: a removed peer is spoken to; a removed region's data goes at the start
//! ```

use std::collections::{BTreeMap, BTreeSet};

/// A seed, and the marks that it is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The seed.
    pub seed: u64,
    /// What its run leaves.
    pub marks: Vec<String>,
}

/// What is known of a seed that could be kept.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Events of its run: what it costs.
    pub steps: u64,
    /// What its run leaves.
    pub marks: BTreeSet<&'static str>,
}

/// Reads a corpus.
///
/// # Errors
/// The line that is none.
pub fn parse(text: &str) -> Result<Vec<Kept>, String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let kept = |line: &str| {
        let (seed, marks) = line.split_once(": ")?;
        let marks = marks.split("; ").map(str::to_owned).collect();
        Some(Kept { seed: seed.parse().ok()?, marks })
    };
    lines.map(|line| kept(line).ok_or_else(|| format!("`{line}` is no seed"))).collect()
}

/// Writes what [`parse`] reads.
#[must_use]
pub fn format(corpus: &[Kept]) -> String {
    let line = |kept: &Kept| format!("{}: {}\n", kept.seed, kept.marks.join("; "));
    corpus.iter().map(line).collect()
}

/// How many seeds leave each mark, where so many do: a change that turns some of them into other runs
/// may spare the others.
const TIMES: usize = 2;

/// Chooses seeds that together leave every mark that any of them leaves: for the rarest mark first,
/// and of those that leave it the one that leaves most that is missing, for the fewest events.
#[must_use]
pub fn choose(candidates: &BTreeMap<u64, Candidate>) -> Vec<Kept> {
    let mut left: BTreeMap<u64, &Candidate> = candidates.iter().map(|(id, it)| (*id, it)).collect();
    let mut corpus = Vec::new();
    for _ in 0..TIMES {
        let chosen = choose_once(&left);
        left.retain(|seed, _| chosen.iter().all(|kept| kept.seed != *seed));
        corpus.extend(chosen);
    }
    corpus
}

fn choose_once(candidates: &BTreeMap<u64, &Candidate>) -> Vec<Kept> {
    let mut runs: BTreeMap<&'static str, u64> = BTreeMap::new();
    for mark in candidates.values().flat_map(|it| &it.marks) {
        *runs.entry(mark).or_default() += 1;
    }
    let mut corpus = Vec::new();
    while let Some(rarest) = runs.iter().min_by_key(|(_, runs)| **runs).map(|(mark, _)| *mark) {
        let news = |it: &Candidate| it.marks.iter().filter(|it| runs.contains_key(*it)).count();
        let worth = |it: &Candidate| (news(it) as u64 * 1_000_000) / (it.steps + 1_000);
        let leaving = candidates.iter().filter(|(_, it)| it.marks.contains(rarest));
        let Some((seed, best)) = leaving.max_by_key(|(_, it)| worth(it)) else { break };
        let marks = best.marks.iter().filter(|mark| runs.remove(*mark).is_some());
        corpus.push(Kept { seed: *seed, marks: marks.map(|mark| (*mark).to_owned()).collect() });
    }
    corpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_seeds_leave_all_marks() {
        let candidate = |steps, marks: &[&'static str]| Candidate {
            steps,
            marks: marks.iter().copied().collect(),
        };
        let candidates = BTreeMap::from([
            (1, candidate(100, &["often", "common"])),
            (2, candidate(100, &["often"])),
            (3, candidate(9_000, &["often", "common"])),
            (4, candidate(100, &["rare", "often"])),
        ]);
        let corpus = choose(&candidates);
        let text = format(&corpus);
        assert_eq!(text, "4: often; rare\n1: common\n3: common; often\n");
        assert_eq!(parse(&format!("# two\n\n{text}")), Ok(corpus));
        assert!(parse("seed: mark").is_err());
    }
}
