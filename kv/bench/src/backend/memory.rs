//! memory: our engine without a disk, the bound for what the others can reach.

use std::path::Path;
use std::sync::Arc;

use engine::{Engine, Memory};

use super::{Backend, Caveat, Matters, Settings};

pub(super) const BACKEND: Backend = Backend {
    name: "memory",
    family: "ordered map in memory",
    caveats: &[Caveat::new(Matters::Always, "nothing survives the process, at any level")],
    persistent: false,
    open,
};

fn open(_: &Path, _: Settings) -> anyhow::Result<Arc<dyn Engine>> {
    Ok(Arc::new(Memory::new()))
}
