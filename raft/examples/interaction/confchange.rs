//! Membership changes: `simple`, `enter-joint [autoleave=true]`, `leave-joint`, with steps below.
//!
//! The group begins empty. `next` shows in which directive, counted from zero, a member was added:
//! that is the guess of its next index.

use std::collections::BTreeMap;

use tinykv_raft::confchange::{self, Diff, Step};
use tinykv_raft::{ChangeError, Index, Membership, NodeId, Progress};

use super::describe;
use super::script::Directive;

/// A membership and what a leader would know about its members.
#[derive(Default)]
pub(crate) struct Group {
    membership: Membership,
    progress: BTreeMap<NodeId, Progress>,
    directives: u64,
}

impl Group {
    pub(crate) fn handle(&mut self, directive: &Directive) -> String {
        let result = self.change(directive);
        self.directives += 1;
        result.unwrap_or_else(|error| error + "\n")
    }

    fn change(&mut self, directive: &Directive) -> Result<String, String> {
        let steps = parse_steps(&directive.input)?;
        let from = &self.membership;
        let changed: Result<(Membership, Diff), ChangeError> = match directive.command.as_str() {
            "simple" => confchange::simple(from, &steps),
            "enter-joint" => {
                let auto_leave = directive.values("autoleave").any(|value| value == "true");
                confchange::enter_joint(from, auto_leave, &steps)
            }
            "leave-joint" if !steps.is_empty() => {
                return Err("this command takes no input".to_owned());
            }
            "leave-joint" => confchange::leave_joint(from),
            _ => return Err("unknown command".to_owned()),
        };
        let (membership, diff) = changed.map_err(|error| error.to_string())?;
        for id in &diff.removed {
            self.progress.remove(id);
        }
        for id in diff.added {
            let mut progress = Progress::new(id, Index(self.directives));
            progress.recent_active = true;
            self.progress.insert(id, progress);
        }
        self.membership = membership;
        let members = self.progress.iter().map(|(id, progress)| {
            let learner = self.membership.learners.contains(*id);
            format!("{id}: {}\n", describe::progress(progress, learner, usize::MAX))
        });
        let configuration = describe::configuration(&self.membership);
        Ok(format!("{configuration}\n{}", members.collect::<String>()))
    }
}

/// Parses `v1 l2 r3 u4`: a voter, a learner, a removal, an update.
pub(crate) fn parse_steps(input: &str) -> Result<Vec<Step>, String> {
    let step = |token: &str| {
        let mut characters = token.chars();
        let kind = characters.next().unwrap_or(' ');
        if characters.as_str().is_empty() {
            return Err(format!("unknown token {token}"));
        }
        let id = || {
            let digits = characters.as_str();
            let bad = |_| format!("strconv.ParseUint: parsing \"{digits}\": invalid syntax");
            digits.parse().map(NodeId).map_err(bad)
        };
        match kind {
            'v' => Ok(Step::AddVoter(id()?)),
            'l' => Ok(Step::AddLearner(id()?)),
            'r' => Ok(Step::Remove(id()?)),
            'u' => Ok(Step::Update(id()?)),
            _ => Err(format!("unknown input: {token}")),
        }
    };
    input.split_whitespace().map(step).collect()
}
