//! What a killed process loses: it wrote at a level of durability, and was killed right after.
//!
//! This is no power loss: what the operating system has, it keeps. Nothing may be lost where each
//! write, or batch, is synced; at the other levels the figure tells which engines keep writes in
//! their own memory.

use anyhow::{Result, ensure};
use engine::Cf;

use super::Bench;
use super::maker::Make;
use crate::keys;
use crate::level::Level;
use crate::measurement::Unit;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    bench.have_made(Make::Written)?;
    let engine = bench.open()?;
    let mut lost = 0;
    for number in 0..bench.fill_keys() {
        match engine.get(Cf::Default, &keys::key(number))? {
            Some(value) => bench.check(number, Some(&value))?,
            None => lost += 1,
        }
    }
    let synced = matches!(bench.level, Level::PerWrite | Level::PerBatch);
    ensure!(!synced || lost == 0, "{}: {lost} synced writes are lost", bench.backend.name);
    let variant = format!("of {} writes", bench.fill_keys());
    bench.figure("lost by a kill", &variant, Some(bench.level), f64::from(lost), Unit::Count);
    Ok(())
}
