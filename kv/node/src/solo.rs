//! A store that stands alone: what it executes is written at once.

use engine::{Cf, Engine};

use crate::overlay::Overlay;
use crate::read;
use crate::sweep::{expiring, sweep};
use crate::write::Writer;
use crate::{Chunk, Command, Group, Response, Result, Time};

/// The state of a store that stands alone.
#[derive(Debug)]
pub struct Solo {
    /// Which column families may hold a key that expires, by [`Cf::index`].
    may_expire: [bool; Cf::ALL.len()],
    /// The latest time that was passed in.
    now: Time,
}

impl Solo {
    /// Learns what it must know of the engine's keys.
    pub(crate) fn open(engine: &dyn Engine) -> Result<Solo> {
        let may_expire = expiring(engine.view()?.as_ref())?;
        Ok(Solo { may_expire, now: Time::default() })
    }

    /// Executes chunks one after the other, as one group.
    pub(crate) fn execute(&mut self, engine: &dyn Engine, chunks: &[Chunk], now: Time) -> Group {
        self.now = self.now.max(now);
        let mut writer =
            Writer { overlay: Overlay::new(engine), now: self.now, may_expire: self.may_expire };
        let responses = chunks
            .iter()
            .map(|chunk| chunk.commands.iter().map(|it| execute_one(&mut writer, it)).collect())
            .collect();
        self.may_expire = writer.may_expire;
        Group { batch: writer.overlay.batch, responses, has_more: false }
    }

    /// Removes some keys that have expired.
    pub(crate) fn tick(&mut self, engine: &dyn Engine, now: Time) -> Result<Group> {
        self.now = self.now.max(now);
        if !self.may_expire.contains(&true) {
            return Ok(Group::default());
        }
        let sweep = sweep(engine, self.now)?;
        if sweep.batch.is_empty() {
            // Nothing is due. Where nothing will ever be, writes need not look for it.
            self.may_expire = expiring(engine.view()?.as_ref())?;
        }
        Ok(Group { batch: sweep.batch, responses: Vec::new(), has_more: sweep.has_more })
    }
}

/// Executes one command.
pub(crate) fn execute_one(writer: &mut Writer<'_>, command: &Command) -> Response {
    let result = match command {
        Command::Read(read) => read::run(&writer.overlay, read, writer.now),
        Command::Write(write) => writer.run(write),
    };
    result.unwrap_or_else(Response::Failed)
}
