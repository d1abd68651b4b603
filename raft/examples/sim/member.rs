//! A node of the simulated group, alive or crashed.

use std::collections::VecDeque;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tinykv_raft::{Config, Entries, MemStorage, Message, Node, NodeId, Ready};

use super::disk::{self, Disk};

/// A node and its disk.
pub(crate) struct Member {
    pub(crate) id: u64,
    /// `None` while it is down.
    pub(crate) node: Option<Node<MemStorage>>,
    pub(crate) disk: Disk,
    /// Counts the starts; what was begun before a crash is void.
    pub(crate) life: u32,
    /// It does nothing until then.
    pub(crate) paused_until: u64,
    /// Promises of portions that are being written, oldest first.
    pub(crate) writing: VecDeque<(u64, Vec<Message>)>,
    /// Committed entries that are to be applied, oldest first.
    pub(crate) applying: VecDeque<Vec<Entries>>,
    pub(crate) ready: Ready,
}

impl Member {
    pub(crate) fn new(id: u64, disk: Disk) -> Member {
        Member {
            id,
            node: None,
            disk,
            life: 0,
            paused_until: 0,
            writing: VecDeque::new(),
            applying: VecDeque::new(),
            ready: Ready::default(),
        }
    }

    /// Starts the node from what is durable.
    pub(crate) fn start(&mut self, config: &Config, seed: u64) -> Result<(), String> {
        let machine = &self.disk.machine;
        let config = Config { id: NodeId(self.id), applied: machine.applied, ..config.clone() };
        self.disk.durable.set_membership(machine.membership.clone());
        let rng = SmallRng::seed_from_u64(seed ^ (self.id << 8) ^ (u64::from(self.life) << 16));
        let node = Node::new(config, self.disk.durable.clone(), rng);
        self.node = Some(node.map_err(|error| format!("node {} cannot start: {error}", self.id))?);
        self.life += 1;
        Ok(())
    }

    pub(crate) fn crash(&mut self, rng: &mut SmallRng) {
        self.node = None;
        self.disk.crash(rng);
        self.writing.clear();
        self.applying.clear();
    }

    /// Writes the portion in `ready`, without syncing.
    pub(crate) fn write(&mut self) {
        let writes = disk::writes_of(&self.ready);
        if let Some(node) = &mut self.node {
            writes.iter().for_each(|write| disk::write(node.storage_mut(), write));
        }
        self.disk.remember(self.ready.number, writes);
    }
}
