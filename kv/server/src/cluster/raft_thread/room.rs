//! What the raft thread does while the disk lacks room: leadership goes elsewhere, and what cannot be
//! written is refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mutant::mutant;
use node::{Chunk, Command, Write as NodeWrite};
use proto::peer::RegionId;

use super::{Pending, RaftThread};
use crate::cluster::request::Write;
use crate::cluster::room::Shortage;
use crate::store::StoreError;

/// How often other stores are asked to lead instead: those asked before may lack room too.
const HAND_OVER_EVERY: Duration = Duration::from_secs(5);

/// How often it is looked how much room is left.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A time in which the disk lacks room.
pub(super) struct Short {
    of: Shortage,
    /// When others were asked to lead.
    asked: Instant,
    /// Until when writes wait for that.
    waits: Instant,
    /// Until when those wait that were on their way.
    gives_up: Instant,
    /// How often others were asked.
    turns: usize,
}

impl RaftThread {
    /// Finds out whether there is room, and acts where that has changed.
    pub(super) fn look_at_room(&mut self) {
        self.look_at_disk();
        let shortage = self.parts.room.shortage(self.parts.wal.is_full());
        let now = Instant::now();
        match (shortage, self.short.as_mut()) {
            (None, None) => {}
            (None, Some(_)) => {
                self.short = None;
                log::info!("there is room on the disk again");
            }
            (Some(of), Some(short)) => {
                short.of = of;
                let gives_up = of == Shortage::Full && now >= short.gives_up;
                if now >= short.asked + HAND_OVER_EVERY {
                    let turns = short.turns + 1;
                    self.short = Some(self.lead_elsewhere(of, turns));
                }
                if gives_up {
                    self.give_up_writes();
                }
            }
            (Some(of), None) => {
                log::warn!("the disk lacks room: free space on it, or make it larger";
                    "path" => self.parts.room.path().display().to_string(),
                    "is" => of.to_string());
                self.short = Some(self.lead_elsewhere(of, 0));
            }
        }
    }

    /// Has another thread look how much is left.
    fn look_at_disk(&mut self) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        let room = Arc::clone(&self.parts.room);
        // A pool that is full does it next time.
        let _ = self.parts.pool.spawn(Box::new(move || room.look()));
    }

    /// Asks other stores to lead what this one leads.
    fn lead_elsewhere(&mut self, of: Shortage, turns: usize) -> Short {
        let (asked, now) = (self.hand_over(turns), Instant::now());
        let election = self.parts.tick * self.parts.election_ticks;
        let gives_up = now + 2 * election;
        let waits = if asked > 0 { gives_up } else { now };
        Short { of, asked: now, waits, gives_up, turns }
    }

    /// Answers the writes that this store proposed. They may be carried out, but it cannot apply them
    /// before there is room, so that it will not hear of it in time.
    fn give_up_writes(&mut self) {
        let writes = self.pending.extract_if(|_, it| matches!(it, Pending::Write(..)));
        let writes: Vec<Pending> = writes.map(|(_, pending)| pending).collect();
        for pending in writes {
            if let Pending::Write(_, write) = pending {
                let reason = "the disk of the leader became full".to_owned();
                self.finish(write, Err(StoreError::Undetermined(reason)));
            }
        }
    }

    /// What the disk lacks, for people.
    pub(super) fn shortage(&self) -> Option<String> {
        self.short.as_ref().map(|short| short.of.to_string())
    }

    /// Gives a write back for which there is room. Another one waits while a store that may have room
    /// is asked to lead, and is refused if this one leads on.
    pub(super) fn with_room(&mut self, write: Write, region: RegionId) -> Option<Write> {
        let Some(short) = &self.short else { return Some(write) };
        let has_room = short.of == Shortage::Low && frees_room(&write.chunk);
        if has_room || mutant!("writes-without-room") {
            return Some(write);
        }
        if Instant::now() < short.waits {
            self.park(region, write);
        } else {
            let store = self.parts.node.store.id();
            let reason = format!(
                "the disk of store {store} is {}: nothing was done. Free space on it or make it \
                 larger; writes go on by themselves then",
                short.of
            );
            self.finish(write, Err(StoreError::DiskFull(reason)));
        }
        None
    }
}

/// Whether a chunk takes no room that lasts.
fn frees_room(chunk: &Chunk) -> bool {
    chunk.commands.iter().all(|command| {
        matches!(
            command,
            Command::Read(_)
                | Command::Write(
                    NodeWrite::Delete { .. }
                        | NodeWrite::GetDelete { .. }
                        | NodeWrite::DeleteRange { .. }
                )
        )
    })
}
