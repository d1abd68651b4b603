//! A small cluster driven by a script: nodes, messages on their way, and two storage threads a node.
//!
//! A node with `async-storage-writes` hands its writes and its committed entries to an append thread
//! and an apply thread, which the script runs one job at a time. The transcripts show such jobs as
//! messages to the threads, and the reports of their ends as messages from them.

mod member;

use tinykv_raft::confchange::{Change, Transition};
use tinykv_raft::{
    CampaignError, Config, Membership, Message, NodeId, Payload, ProposeError, RoleKind,
    SendPolicy, Snapshot, StepError, TransferError,
};

use super::confchange::parse_steps;
use super::describe;
use super::script::{Directive, number, truth};
use bytes::Bytes;
use member::{Flight, Member};

/// Levels of log lines, of which only the last matters here: it silences all output.
const LEVELS: [&str; 6] = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"];
const DEBUG: usize = 0;
const INFO: usize = 1;
const WARN: usize = 2;
const ERROR: usize = 3;
const NONE: usize = 5;

/// The members and the messages between them, in the order they were sent.
#[derive(Default)]
pub(crate) struct Cluster {
    members: Vec<Member>,
    flights: Vec<Flight>,
    output: Output,
}

/// What a directive printed.
#[derive(Default)]
struct Output {
    text: String,
    indent: usize,
    level: usize,
    /// The directive did something that etcd-io/raft writes a log line about. Only without any
    /// output, log lines included, is the answer `ok`.
    logged: bool,
}

impl Output {
    fn line(&mut self, text: &str) {
        if self.level < NONE {
            for line in text.lines() {
                self.text.push_str(&" ".repeat(self.indent));
                self.text.push_str(line);
                self.text.push('\n');
            }
        }
    }

    fn logs(&mut self, level: usize) {
        self.logged |= self.level <= level;
    }
}

impl Cluster {
    /// Carries out a directive and returns what it prints.
    pub(crate) fn handle(&mut self, directive: &Directive) -> String {
        self.output.text.clear();
        self.output.logged = false;
        if let Err(error) = self.single(directive) {
            if self.output.level == NONE {
                return error;
            }
            self.output.text.push_str(&error);
        }
        match self.output.text.is_empty() && !self.output.logged {
            true => "ok".to_owned(),
            false => self.output.text.clone(),
        }
    }

    fn single(&mut self, directive: &Directive) -> Result<(), String> {
        match directive.command.as_str() {
            "_breakpoint" => Ok(()),
            "add-nodes" => self.add_nodes(directive),
            "campaign" => {
                // What stands against a campaign is a log line elsewhere, and so is its beginning.
                let level = match self.member(directive.first_id()?)?.node.campaign() {
                    Ok(()) => INFO,
                    Err(CampaignError::AlreadyLeader) => DEBUG,
                    Err(_) => WARN,
                };
                self.output.logs(level);
                Ok(())
            }
            "compact" => self.compact(directive),
            "deliver-msgs" => self.deliver_messages(directive),
            "process-ready" => self.each(directive, "handling Ready", Cluster::process_ready),
            "process-append-thread" => {
                self.each(directive, "processing append thread", Cluster::process_append)
            }
            "process-apply-thread" => {
                self.each(directive, "processing apply thread", Cluster::process_apply)
            }
            "log-level" => {
                let name = directive.arguments.first().map_or("", |argument| &argument.key);
                self.set_level(name)
            }
            "raft-log" => self.raft_log(directive.first_id()?),
            "raft-state" => {
                for member in &self.members {
                    self.output.line(&describe::state(&member.status()));
                }
                Ok(())
            }
            "set-randomized-election-timeout" => {
                let ticks = directive.values("timeout").next().ok_or("timeout is missing")?;
                let ticks = number(ticks)? as u32;
                self.member(directive.first_id()?)?.node.set_election_timeout(ticks);
                Ok(())
            }
            "stabilize" => self.stabilize(directive),
            "status" => self.status(directive.first_id()?),
            "tick-election" => self.tick(directive, true),
            "tick-heartbeat" => self.tick(directive, false),
            "transfer-leadership" => self.transfer(directive),
            "forget-leader" => self.forget_leader(directive.first_id()?),
            "send-snapshot" => self.send_snapshot(directive),
            "propose" => self.propose(directive),
            "propose-conf-change" => self.propose_change(directive),
            "report-unreachable" => self.report_unreachable(directive),
            _ => Err("unknown command".to_owned()),
        }
    }

    fn member(&mut self, id: u64) -> Result<&mut Member, String> {
        let place = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        let member = place.and_then(|place| self.members.get_mut(place));
        member.ok_or_else(|| format!("there is no node {id}"))
    }

    fn set_level(&mut self, name: &str) -> Result<(), String> {
        let level = LEVELS.iter().position(|level| level.eq_ignore_ascii_case(name));
        self.output.level =
            level.ok_or_else(|| format!("log levels must be either of [{}]", LEVELS.join(" ")))?;
        Ok(())
    }

    fn add_nodes(&mut self, directive: &Directive) -> Result<(), String> {
        let count = directive.first_id()?;
        let mut snapshot = Snapshot::default();
        let mut config = config_stub();
        let ids = |key| -> Result<Vec<u64>, String> { directive.values(key).map(number).collect() };
        let flag = |key, flag: &mut bool| -> Result<(), String> {
            directive.values(key).try_for_each(|value| truth(value).map(|value| *flag = value))
        };
        snapshot.membership = Membership::of_voters(ids("voters")?).with_learners(ids("learners")?);
        for index in ids("index")? {
            snapshot.last.index.0 = index;
        }
        if let Some(content) = directive.values("content").next() {
            snapshot.data = Bytes::copy_from_slice(content.as_bytes());
        }
        flag("async-storage-writes", &mut config.async_writes)?;
        flag("prevote", &mut config.pre_vote)?;
        flag("checkquorum", &mut config.check_quorum)?;
        flag("step-down-on-removal", &mut config.step_down_on_removal)?;
        let mut unchecked = false;
        flag("disable-conf-change-validation", &mut unchecked)?;
        config.validate_changes = !unchecked;
        for window in ids("inflight")? {
            config.inflight_messages_max = window as usize;
        }
        for bytes in ids("max-committed-size-per-ready")? {
            config.applying_bytes_max = bytes;
        }
        for ticks in ids("election-tick")? {
            config.election_ticks = ticks as u32;
        }
        for ticks in ids("heartbeat-tick")? {
            config.heartbeat_ticks = ticks as u32;
        }
        // The language has no reads. Of their lease only one thing shows: that the leader is not
        // forgotten. What else this crate does for a lease goes beyond what the scripts expect.
        let lease = match directive.values("read-only").next() {
            None | Some("safe") => false,
            Some("lease-based") => true,
            Some(other) => return Err(format!("invalid read-only option {other:?}")),
        };
        let founding = snapshot != Snapshot::default();
        if founding && snapshot.last.index.0 <= 1 {
            return Err("index must be specified as > 1 due to bootstrap".to_owned());
        }
        snapshot.last.term.0 = u64::from(founding);
        for _ in 0..count {
            config.id = NodeId(self.members.len() as u64 + 1);
            config.applied = snapshot.last.index;
            let member = Member::new(config.clone(), lease, snapshot.clone(), founding);
            self.members.push(member.map_err(|error| error.to_string())?);
            self.output.logs(INFO);
        }
        Ok(())
    }

    fn compact(&mut self, directive: &Directive) -> Result<(), String> {
        let [id, index] = directive.ids()?[..] else { return Err("two numbers needed".into()) };
        self.member(id)?.compact(index)?;
        self.raft_log(id)
    }

    fn raft_log(&mut self, id: u64) -> Result<(), String> {
        let text = self.member(id)?.raft_log();
        self.output.line(&text);
        Ok(())
    }

    fn status(&mut self, id: u64) -> Result<(), String> {
        let member = self.member(id)?;
        let (status, window) = (member.node.status(), member.config.inflight_messages_max);
        for progress in &status.progress {
            let learner = status.membership.learners.contains(progress.id);
            let text = describe::progress(progress, learner, window);
            self.output.line(&format!("{}: {text}", progress.id));
        }
        Ok(())
    }

    fn tick(&mut self, directive: &Directive, election: bool) -> Result<(), String> {
        let member = self.member(directive.first_id()?)?;
        let config = &member.config;
        let ticks = if election { config.election_ticks } else { config.heartbeat_ticks };
        let mut level = None;
        for _ in 0..ticks {
            let node = &mut member.node;
            let was = (node.term(), node.role());
            let had_ready = node.has_ready();
            node.tick();
            // A pre-candidate that asks again stays what it is, but has something to send.
            let changed = was != (node.term(), node.role()) || had_ready != node.has_ready();
            match node.status().election_elapsed {
                _ if node.is_leader() => {}
                // Only an election, begun or refused, ends the wait within a tick.
                0 if changed => level = Some(INFO),
                0 => level = level.max(Some(WARN)),
                _ => {}
            }
        }
        level.into_iter().for_each(|level| self.output.logs(level));
        Ok(())
    }

    fn transfer(&mut self, directive: &Directive) -> Result<(), String> {
        let id = |key| {
            let value = directive.values(key).next().ok_or_else(|| format!("{key} is missing"));
            value.and_then(number)
        };
        let (from, to) = (id("from")?, id("to")?);
        let node = &mut self.member(from)?.node;
        let (role, ended) = (node.role(), node.status().transferee.is_some());
        // Whether it worked shows in who leads.
        let level = match (role, node.transfer_leader(NodeId(to))) {
            (RoleKind::Leader, Err(TransferError::NotVoter { .. })) => Some(DEBUG),
            (RoleKind::Leader, Ok(())) if from == to && !ended => Some(DEBUG),
            (RoleKind::Leader, _) | (RoleKind::Follower, Err(_)) => Some(INFO),
            _ => None,
        };
        level.into_iter().for_each(|level| self.output.logs(level));
        Ok(())
    }

    fn forget_leader(&mut self, id: u64) -> Result<(), String> {
        let member = self.member(id)?;
        if member.lease && member.node.role() == RoleKind::Follower {
            self.output.logs(ERROR);
        } else if member.node.forget_leader() {
            self.output.logs(INFO);
        }
        Ok(())
    }

    fn report_unreachable(&mut self, directive: &Directive) -> Result<(), String> {
        let [id, lost] = directive.ids()?[..] else { return Err("two numbers needed".into()) };
        let node = &mut self.member(id)?.node;
        node.report_unreachable(NodeId(lost));
        if node.is_leader() {
            self.output.logs(DEBUG);
        }
        Ok(())
    }

    fn send_snapshot(&mut self, directive: &Directive) -> Result<(), String> {
        let [from, to] = directive.ids()?[..] else { return Err("two numbers needed".into()) };
        let member = self.member(from)?;
        let message = Message {
            from: NodeId(from),
            to: NodeId(to),
            term: member.node.term(),
            body: tinykv_raft::Body::Snapshot(Box::new(member.latest_snapshot())),
        };
        self.output.line(&describe::message(&message));
        self.flights.push(Flight::of(message));
        Ok(())
    }

    fn propose(&mut self, directive: &Directive) -> Result<(), String> {
        let [id, data] = &directive.arguments[..] else { return Err("one payload needed".into()) };
        let data = Bytes::copy_from_slice(data.key.as_bytes());
        let id = number(&id.key)?;
        self.logs_of_snapshots(id)?;
        self.member(id)?.propose(Payload::Normal(data)).map_err(dropped)
    }

    /// Before a proposal: sending a snapshot, or not sending one, is a log line elsewhere.
    fn logs_of_snapshots(&mut self, id: u64) -> Result<(), String> {
        let member = self.member(id)?;
        if member.node.status().progress.iter().any(|progress| member.lacks(progress)) {
            self.output.logs(DEBUG);
        }
        Ok(())
    }

    fn propose_change(&mut self, directive: &Directive) -> Result<(), String> {
        let v1 = directive.values("v1").map(truth).last().unwrap_or(Ok(false))?;
        let transition = match directive.values("transition").next() {
            None | Some("auto") => Transition::Auto,
            Some("implicit") => Transition::JointImplicit,
            Some("explicit") => Transition::JointExplicit,
            Some(other) => return Err(format!("unknown transition {other}")),
        };
        let valued = directive.arguments.iter().filter(|argument| !argument.values.is_empty());
        if let Some(other) = valued
            .map(|argument| &argument.key)
            .find(|key| !["v1", "transition"].contains(&key.as_str()))
        {
            return Err(format!("unknown command {other}"));
        }
        let steps = parse_steps(&directive.input)?;
        if v1 && (steps.len() > 1 || transition != Transition::Auto) {
            return Err("v1 conf change can only have one operation and no transition".to_owned());
        }
        let context = Bytes::from_static(if v1 { describe::V1 } else { b"" });
        let change = Payload::Change(Change { transition, steps, context }.into());
        let id = directive.first_id()?;
        self.logs_of_snapshots(id)?;
        match self.member(id)?.propose(change) {
            // The scripts expect a change that is refused to become an empty entry.
            Err(ProposeError::Change(_)) => {
                self.output.logs(INFO);
                self.member(id)?.propose(Payload::NOOP).map_err(dropped)
            }
            other => other.map_err(dropped),
        }
    }

    /// Runs one job for each of the given nodes.
    fn each(
        &mut self,
        directive: &Directive,
        title: &str,
        job: fn(&mut Cluster, u64) -> Result<(), String>,
    ) -> Result<(), String> {
        let ids = directive.ids()?;
        for id in &ids {
            if ids.len() > 1 {
                self.titled(*id, title, job)?;
            } else {
                job(self, *id)?;
            }
        }
        Ok(())
    }

    fn titled(
        &mut self,
        id: u64,
        title: &str,
        job: impl FnOnce(&mut Cluster, u64) -> Result<(), String>,
    ) -> Result<(), String> {
        self.output.line(&format!("> {id} {title}"));
        self.output.indent += 2;
        let result = job(self, id);
        self.output.indent -= 2;
        result
    }

    fn process_ready(&mut self, id: u64) -> Result<(), String> {
        let (text, flights) = self.member(id)?.process_ready()?;
        self.output.line(&text);
        self.flights.extend(flights);
        Ok(())
    }

    fn process_append(&mut self, id: u64) -> Result<(), String> {
        let Some(work) = self.member(id)?.process_append() else {
            self.output.line("no append work to perform");
            return Ok(());
        };
        self.processed(&work.text, work.responses);
        Ok(())
    }

    fn process_apply(&mut self, id: u64) -> Result<(), String> {
        let Some(work) = self.member(id)?.process_apply()? else {
            self.output.line("no apply work to perform");
            return Ok(());
        };
        self.processed(&work.text, work.responses);
        Ok(())
    }

    fn processed(&mut self, text: &str, responses: Vec<Flight>) {
        self.output.line(&format!("Processing:\n{text}\nResponses:"));
        for response in &responses {
            self.output.line(&response.text);
        }
        self.flights.extend(responses);
    }

    fn deliver_messages(&mut self, directive: &Directive) -> Result<(), String> {
        let kind = directive.values("type").next();
        let mut recipients: Vec<(u64, bool)> = Vec::new();
        for argument in &directive.arguments {
            let drop = argument.key == "drop";
            let ids = match argument.values.is_empty() {
                true => std::slice::from_ref(&argument.key),
                false if drop => &argument.values[..],
                false => continue,
            };
            for id in ids {
                let id = number(id)?;
                if drop && recipients.contains(&(id, false)) {
                    return Err(format!("can't both deliver and drop msgs to {id}"));
                }
                recipients.push((id, drop));
            }
        }
        let mut count = 0;
        for (id, drop) in recipients {
            count += self.deliver(id, kind, drop)?;
        }
        if count == 0 {
            self.output.line("no messages");
        }
        Ok(())
    }

    /// Delivers or drops what is on its way to a node; returns how much that was.
    fn deliver(&mut self, id: u64, kind: Option<&str>, drop: bool) -> Result<usize, String> {
        let is_meant = |flight: &mut Flight| {
            // Reports of the threads are not subject to a network.
            flight.to == id
                && !(drop && flight.is_local())
                && kind.is_none_or(|kind| flight.kind == kind)
        };
        let meant: Vec<Flight> = self.flights.extract_if(.., is_meant).collect();
        let count = meant.len();
        for flight in meant {
            if drop {
                self.output.line(&format!("dropped: {}", flight.text));
                continue;
            }
            self.output.line(&flight.text);
            let result = self.member(id)?.receive(flight.delivery);
            match result {
                Err(StepError::PeerNotFound) => {
                    self.output.line(&StepError::PeerNotFound.to_string());
                }
                Err(StepError::Propose(ProposeError::Change(_))) => {
                    // As if it had been proposed here.
                    let _ = self.member(id)?.propose(Payload::NOOP);
                }
                Err(StepError::Propose(error)) => self.output.line(&dropped(error)),
                // Others are log lines elsewhere.
                _ => {}
            }
        }
        Ok(count)
    }

    /// Lets the given nodes work until nothing is left to do.
    fn stabilize(&mut self, directive: &Directive) -> Result<(), String> {
        let mut ids = directive.ids()?;
        if ids.is_empty() {
            ids = (1..=self.members.len() as u64).collect();
        }
        let level = self.output.level;
        for name in directive.values("log-level") {
            self.set_level(name)?;
        }
        let result = self.settle(&ids);
        self.output.level = level;
        result
    }

    fn settle(&mut self, ids: &[u64]) -> Result<(), String> {
        loop {
            let mut done = true;
            for id in ids {
                if self.member(*id)?.node.has_ready() {
                    self.titled(*id, "handling Ready", Cluster::process_ready)?;
                    done = false;
                }
            }
            for id in ids {
                if self.flights.iter().any(|flight| flight.to == *id) {
                    self.titled(*id, "receiving messages", |cluster, id| {
                        cluster.deliver(id, None, false).map(drop)
                    })?;
                    done = false;
                }
            }
            for id in ids {
                if self.member(*id)?.has_append_work() {
                    self.titled(*id, "processing append thread", |cluster, id| {
                        while cluster.member(id)?.has_append_work() {
                            cluster.process_append(id)?;
                        }
                        Ok(())
                    })?;
                    done = false;
                }
            }
            for id in ids {
                if self.member(*id)?.has_apply_work() {
                    self.titled(*id, "processing apply thread", |cluster, id| {
                        while cluster.member(id)?.has_apply_work() {
                            cluster.process_apply(id)?;
                        }
                        Ok(())
                    })?;
                    done = false;
                }
            }
            if done {
                return Ok(());
            }
        }
    }
}

/// What is said of any proposal that was not taken.
fn dropped(_: ProposeError) -> String {
    "raft proposal dropped".to_owned()
}

/// The options of the scripts' nodes, but for what `add-nodes` says.
fn config_stub() -> Config {
    Config {
        election_ticks: 3,
        heartbeat_ticks: 1,
        pre_vote: false,
        check_quorum: false,
        send: SendPolicy::Immediate,
        step_down_on_removal: false,
        message_bytes_max: u64::MAX,
        inflight_messages_max: i32::MAX as usize,
        inflight_bytes_max: u64::MAX,
        uncommitted_bytes_max: u64::MAX,
        applying_bytes_max: u64::MAX,
        snapshot_ticks: u32::MAX,
        async_writes: false,
        ..Config::new(NodeId(1))
    }
}

/// Indents every line but the first.
pub(crate) fn nested(text: &str) -> String {
    text.lines().map(|line| format!("\n  {line}")).collect()
}
