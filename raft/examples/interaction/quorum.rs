//! Quorum decisions: `committed cfg=(1,2) [cfgj=(2,3)] idx=(5,_,7)` and `vote cfg=.. votes=(y,n,_)`.
//!
//! Values are given for the voters of `cfg` and then those of `cfgj`, without repetition; `_` is a
//! voter that said nothing. Beside the answer, every case is asked in equivalent ways, and a
//! different answer is printed.

use std::collections::BTreeMap;
use std::fmt::Write;

use tinykv_raft::quorum::{Joint, Majority, VoteResult};
use tinykv_raft::{Index, NodeId};

use super::script::{Directive, number};

pub(crate) fn handle(directive: &Directive) -> String {
    decide(directive).unwrap_or_else(|error| error)
}

fn decide(directive: &Directive) -> Result<String, String> {
    let ids = |key| -> Result<Vec<NodeId>, String> {
        let values = directive.values(key).filter(|value| *value != "zero");
        values.map(|value| number(value).map(NodeId)).collect()
    };
    let (incoming, outgoing) = (ids("cfg")?, ids("cfgj")?);
    let joint = directive.values("cfgj").next().is_some();
    let mut order: Vec<NodeId> = Vec::new();
    for id in incoming.iter().chain(&outgoing) {
        if !order.contains(id) {
            order.push(*id);
        }
    }
    let given = directive.values("idx").chain(directive.values("votes"));
    let given: Vec<&str> = given.collect();
    if given.len() != order.len() {
        order.sort_unstable();
        let voters: Vec<String> = order.iter().map(|id| format!("{id}:{{}}")).collect();
        let said = |value: &&str| match *value {
            "y" => "2".to_owned(),
            "n" => "1".to_owned(),
            "_" => "0".to_owned(),
            index => index.to_owned(),
        };
        let (voters, given) = (voters.join(" "), given.iter().map(said).collect::<Vec<_>>());
        return Ok(format!(
            "error: mismatched input (explicit or _) for voters map[{voters}]: [{}]",
            given.join(" ")
        ));
    }
    let said: BTreeMap<NodeId, &str> =
        order.into_iter().zip(given).filter(|(_, value)| *value != "_").collect();
    let voters = Joint { incoming: Majority::from(incoming), outgoing: Majority::from(outgoing) };
    match directive.command.as_str() {
        "committed" => committed(&voters, joint, &said),
        "vote" => vote(&voters, joint, &said),
        command => Err(format!("unknown command: {command}")),
    }
}

fn committed(voters: &Joint, joint: bool, said: &BTreeMap<NodeId, &str>) -> Result<String, String> {
    let mut reached = BTreeMap::new();
    for (id, value) in said {
        reached.insert(*id, Index(number(value)?));
    }
    let ask = |voters: &Joint| voters.committed_index(|id| reached.get(&id).copied());
    let answer = ask(voters);
    let mut text = chart(voters, &reached);
    let mut check = |other: Index, way: &str| {
        if other != answer {
            writeln!(text, "{} <-- via {way}", index(other)).expect("a string can be written");
        }
    };
    let swapped = Joint { incoming: voters.outgoing.clone(), outgoing: voters.incoming.clone() };
    let alone = |majority: &Majority| majority.committed_index(|id| reached.get(&id).copied());
    if joint {
        check(ask(&swapped), "symmetry");
    } else {
        let twice = Joint { incoming: voters.incoming.clone(), outgoing: voters.incoming.clone() };
        check(by_definition(&voters.incoming, &reached), "alternative computation");
        check(alone(&voters.incoming), "zero-joint quorum");
        check(ask(&twice), "self-joint quorum");
        for (id, value) in &reached {
            // What is below the answer does not matter to it.
            if *value < answer {
                for lower in [value.prev(), Index(0)] {
                    let other = voters.incoming.committed_index(|voter| {
                        if voter == *id { Some(lower) } else { reached.get(&voter).copied() }
                    });
                    check(other, &format!("overlaying {id}->{lower}"));
                }
            }
        }
    }
    Ok(text + &index(answer) + "\n")
}

/// The largest index that more than half have reached, tried one by one.
fn by_definition(voters: &Majority, reached: &BTreeMap<NodeId, Index>) -> Index {
    if voters.is_empty() {
        return Index(u64::MAX);
    }
    let enough = |index: &&Index| {
        let count = voters.ids().iter().filter(|id| reached.get(id).is_some_and(|at| at >= *index));
        count.count() > voters.ids().len() / 2
    };
    reached.values().filter(enough).max().copied().unwrap_or(Index(0))
}

fn index(index: Index) -> String {
    if index.0 == u64::MAX { "∞".to_owned() } else { index.to_string() }
}

/// Draws one bar a voter: its length is the rank of the voter's index.
fn chart(voters: &Joint, reached: &BTreeMap<NodeId, Index>) -> String {
    let ids: Vec<NodeId> = voters.ids().collect();
    let count = ids.len();
    if count == 0 {
        return "<empty majority quorum>".to_owned();
    }
    let at = |id: &NodeId| reached.get(id).copied().unwrap_or(Index(0));
    let mut text = format!("{}    idx\n", " ".repeat(count));
    for id in &ids {
        let rank = ids.iter().filter(|other| at(other) < at(id)).count();
        let bar = match reached.contains_key(id) {
            true => format!("{}>{}", "x".repeat(rank), " ".repeat(count - rank)),
            false => format!("?{}", " ".repeat(count)),
        };
        writeln!(text, "{bar} {:5}    (id={:x})", at(id).0, id.0).expect("a string can be written");
    }
    text
}

fn vote(voters: &Joint, joint: bool, said: &BTreeMap<NodeId, &str>) -> Result<String, String> {
    if let Some(value) = said.values().find(|value| !["y", "n"].contains(*value)) {
        return Err(format!("unknown vote: {value}"));
    }
    let ask = |voters: &Joint| voters.vote_result(|id| said.get(&id).map(|value| *value == "y"));
    let name = |result| match result {
        VoteResult::Pending => "VotePending",
        VoteResult::Won => "VoteWon",
        VoteResult::Lost => "VoteLost",
    };
    let answer = ask(voters);
    let mut text = String::new();
    let swapped = Joint { incoming: voters.outgoing.clone(), outgoing: voters.incoming.clone() };
    if joint && ask(&swapped) != answer {
        writeln!(text, "{} <-- via symmetry", name(ask(&swapped)))
            .expect("a string can be written");
    }
    Ok(text + name(answer) + "\n")
}
