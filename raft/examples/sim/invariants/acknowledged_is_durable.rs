//! What a node acknowledges is on its disk, and whole.

use tinykv_raft::{Index, Storage, Term};

use super::super::member::Member;
use super::Check;

pub(super) fn check(member: &Member, term: Term, index: Index) -> Check {
    let disk = &member.disk.durable;
    let Ok(state) = disk.initial_state() else { return Ok(()) };
    // A promise of an earlier term may leave late. What it promised held then; a leader of the later
    // term, who is bound by it, may have replaced the entry since.
    if state.hard_state.term > term {
        return Ok(());
    }
    // What is damaged but applied is in the state machine.
    let needed = member.disk.machine.applied.next()..=index;
    if disk.last_index() < index || state.faulty.iter().any(|faulty| needed.contains(faulty)) {
        let last = disk.last_index();
        return Err(format!(
            "durability: node {} acknowledged {index}, but only {last} is durable or part is damaged",
            member.id
        ));
    }
    match state.hard_state.term >= term || index == Index(0) {
        true => Ok(()),
        false => Err(format!(
            "durability: node {} promised in term {term}, which it may forget",
            member.id
        )),
    }
}
