//! How the transcripts write states, entries and messages.

use std::fmt::Write;

use tinykv_raft::confchange::{Change, Step};
use tinykv_raft::quorum::Majority;
use tinykv_raft::{
    Body, Entry, HardState, Index, Membership, Message, NodeId, Payload, Progress, ProgressState,
    Ready, RoleKind, Snapshot, SoftState, Status,
};

/// Marks a change that was proposed in the older form of one step; see [`entry`].
pub(crate) const V1: &[u8] = b"v1";

pub(crate) fn role(kind: RoleKind) -> &'static str {
    match kind {
        RoleKind::Follower => "StateFollower",
        RoleKind::PreCandidate => "StatePreCandidate",
        RoleKind::Candidate => "StateCandidate",
        RoleKind::Leader => "StateLeader",
    }
}

fn id_or_zero(id: Option<NodeId>) -> u64 {
    id.map_or(0, |id| id.0)
}

pub(crate) fn soft_state(state: &SoftState) -> String {
    format!("Lead:{} State:{}", id_or_zero(state.leader), role(state.role))
}

pub(crate) fn hard_state(state: &HardState) -> String {
    let vote = state.vote.map_or(String::new(), |vote| format!(" Vote:{vote}"));
    format!("Term:{}{vote} Commit:{}", state.term, state.commit)
}

fn list(ids: &[NodeId]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    format!("[{}]", ids.join(" "))
}

fn membership(membership: &Membership) -> String {
    format!(
        "Voters:{} VotersOutgoing:{} Learners:{} LearnersNext:{} AutoLeave:{}",
        list(membership.voters.incoming.ids()),
        list(membership.voters.outgoing.ids()),
        list(membership.learners.ids()),
        list(membership.learners_next.ids()),
        membership.auto_leave
    )
}

/// Writes who votes and who learns, as the language of membership changes does: in hexadecimal.
pub(crate) fn configuration(membership: &Membership) -> String {
    let set = |ids: &Majority| {
        let ids: Vec<String> = ids.ids().iter().map(|id| format!("{:x}", id.0)).collect();
        format!("({})", ids.join(" "))
    };
    let mut text = format!("voters={}", set(&membership.voters.incoming));
    for (name, ids) in [
        ("&&", &membership.voters.outgoing),
        (" learners=", &membership.learners),
        (" learners_next=", &membership.learners_next),
    ] {
        if !ids.is_empty() {
            text += &(name.to_owned() + &set(ids));
        }
    }
    if membership.auto_leave {
        text += " autoleave";
    }
    text
}

pub(crate) fn snapshot(snapshot: &Snapshot) -> String {
    let Snapshot { last, membership: members, .. } = snapshot;
    format!("Index:{} Term:{} ConfState:{}", last.index, last.term, membership(members))
}

pub(crate) fn steps(change: &Change) -> String {
    let step = |step: &Step| match step {
        Step::AddVoter(id) => format!("v{id}"),
        Step::AddLearner(id) => format!("l{id}"),
        Step::Remove(id) => format!("r{id}"),
        Step::Update(id) => format!("u{id}"),
    };
    change.steps.iter().map(step).collect::<Vec<_>>().join(" ")
}

fn payload(payload: &Payload) -> String {
    match payload {
        Payload::Normal(data) => format!("EntryNormal {}", quoted(data)),
        Payload::Change(change) => {
            let name = if change.context == V1 { "EntryConfChange" } else { "EntryConfChangeV2" };
            format!("{name} {}", steps(change)).trim_end().to_owned()
        }
    }
}

fn quoted(data: &[u8]) -> String {
    let mut text = String::from("\"");
    for character in String::from_utf8_lossy(data).chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\x07'..='\r' => {
                text.extend(['\\', b"abtnvfr"[character as usize - 7].into()]);
            }
            control if control.is_ascii_control() => {
                write!(text, "\\x{:02x}", u32::from(control)).expect("a string can be written")
            }
            control if control.is_control() => {
                write!(text, "\\u{:04x}", u32::from(control)).expect("a string can be written")
            }
            other => text.push(other),
        }
    }
    text + "\""
}

pub(crate) fn entry(entry: &Entry) -> String {
    format!("{}/{} {}", entry.term, entry.index, payload(&entry.payload))
}

pub(crate) fn entries<'a>(all: impl Iterator<Item = &'a Entry>) -> String {
    all.map(|one| entry(one) + "\n").collect()
}

/// Writes a list of entries as part of a message: one in the line, more below it.
pub(crate) fn entry_list(entries: &[String]) -> String {
    match entries {
        [] => String::new(),
        [one] => format!(" Entries:[{one}]"),
        more => {
            let lines: String = more.iter().map(|line| format!("\n  {line}")).collect();
            format!(" Entries:[{lines}\n]")
        }
    }
}

/// The name of a message's kind.
pub(crate) fn kind(body: &Body) -> &'static str {
    match body {
        Body::RequestPreVote { .. } => "MsgPreVote",
        Body::PreVoteResponse(_) => "MsgPreVoteResp",
        Body::RequestVote { .. } => "MsgVote",
        Body::VoteResponse(_) => "MsgVoteResp",
        Body::Append { .. } => "MsgApp",
        Body::AppendAccepted { .. } | Body::AppendRejected { .. } => "MsgAppResp",
        Body::Heartbeat { .. } => "MsgHeartbeat",
        Body::HeartbeatResponse { .. } => "MsgHeartbeatResp",
        Body::Commit { .. } => "MsgCommit",
        Body::Snapshot(_) => "MsgSnap",
        Body::TimeoutNow => "MsgTimeoutNow",
        Body::TransferLeader { .. } => "MsgTransferLeader",
        Body::Propose { .. } => "MsgProp",
        Body::ReadIndex { .. } => "MsgReadIndex",
        Body::ReadIndexResponse { .. } => "MsgReadIndexResp",
    }
}

pub(crate) fn message(message: &Message) -> String {
    let (mut log, mut rest) = ((0, Index(0)), String::new());
    let commit = |index: &Index| match index.0 {
        0 => String::new(),
        index => format!(" Commit:{index}"),
    };
    let rejected = |hint: u64| format!(" Rejected (Hint: {hint})");
    match &message.body {
        Body::RequestPreVote { last } | Body::RequestVote { last, .. } => {
            log = (last.term.0, last.index);
        }
        Body::PreVoteResponse(vote) | Body::VoteResponse(vote) if !vote.granted => {
            rest = rejected(0);
        }
        Body::Append { prev, commit: index, entries } => {
            log = (prev.term.0, prev.index);
            let lines: Vec<String> = entries.iter().map(entry).collect();
            rest = commit(index) + &entry_list(&lines);
        }
        Body::AppendAccepted { index } => log = (0, *index),
        Body::AppendRejected { rejected: at, hint, .. } => {
            log = (hint.term.0, *at);
            rest = rejected(hint.index.0);
        }
        Body::Heartbeat { commit: index, .. } | Body::Commit { index } => rest = commit(index),
        Body::Snapshot(body) if body.last.index > Index(0) => {
            rest = format!("\n  Snapshot: {}", snapshot(body));
        }
        Body::Propose { payloads } => {
            let lines: Vec<String> =
                payloads.iter().map(|one| format!("0/0 {}", payload(one))).collect();
            rest = entry_list(&lines);
        }
        _ => {}
    }
    // Elsewhere this message comes from the node that shall lead.
    let from = match message.body {
        Body::TransferLeader { target } => target,
        _ => message.from,
    };
    format!(
        "{:x}->{:x} {} Term:{} Log:{}/{}{rest}",
        from.0,
        message.to.0,
        kind(&message.body),
        message.term,
        log.0,
        log.1
    )
}

/// Writes a portion of work; `messages` are written already.
pub(crate) fn ready(ready: &Ready, messages: &[String]) -> String {
    let mut text = String::new();
    let mut line = |content: String| {
        text.push_str(&content);
        text.push('\n');
    };
    if let Some(state) = &ready.soft_state {
        line(soft_state(state));
    }
    if let Some(state) = &ready.hard_state {
        line(format!("HardState {}", hard_state(state)));
    }
    let mut titled = |title: &str, content: String| {
        if !content.is_empty() {
            line(title.to_owned());
            line(content.trim_end_matches('\n').to_owned());
        }
    };
    titled("Entries:", entries(ready.entries()));
    if let Some(body) = &ready.snapshot {
        line(format!("Snapshot {}", snapshot(body)));
    }
    let mut titled = |title: &str, content: String| {
        if !content.is_empty() {
            line(title.to_owned());
            line(content.trim_end_matches('\n').to_owned());
        }
    };
    titled("CommittedEntries:", entries(ready.committed()));
    titled("Messages:", messages.join("\n"));
    if text.is_empty() {
        return "<empty Ready>".to_owned();
    }
    format!("Ready MustSync={}:\n{text}", ready.must_sync)
}

/// Writes what a leader knows about a member. `window` is the limit of messages on their way.
pub(crate) fn progress(progress: &Progress, learner: bool, window: usize) -> String {
    let (state, pending) = match progress.state {
        ProgressState::Probe => ("StateProbe", 0),
        ProgressState::Replicate => ("StateReplicate", 0),
        ProgressState::Snapshot(index) => ("StateSnapshot", index.0),
    };
    let mut text = format!("{state} match={} next={}", progress.matched, progress.next);
    if learner {
        text.push_str(" learner");
    }
    if progress.is_paused() {
        text.push_str(" paused");
    }
    if pending > 0 {
        write!(text, " pendingSnap={pending}").expect("a string can be written");
    }
    if !progress.recent_active {
        text.push_str(" inactive");
    }
    let inflight = progress.inflights.count();
    if inflight > 0 {
        write!(text, " inflight={inflight}").expect("a string can be written");
        if progress.inflights.is_full((window, u64::MAX)) {
            text.push_str("[full]");
        }
    }
    text
}

/// Writes what a node is.
pub(crate) fn state(status: &Status) -> String {
    let voter = if status.membership.is_voter(status.id) { "(Voter)" } else { "(Non-Voter)" };
    let SoftState { leader, role: kind } = status.soft_state;
    let term = status.hard_state.term;
    format!("{}: {} {voter} Term:{term} Lead:{}\n", status.id, role(kind), id_or_zero(leader))
}
