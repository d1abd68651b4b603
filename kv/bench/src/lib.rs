//! The bench of storage backends: every engine under equal durability, every answer checked.
//!
//! [`run::run`] starts one process for each backend and [`script::Script`], round after round so
//! that no backend has the quiet hours for itself, and writes tables, charts, a page and JSON.

pub mod backend;
pub mod keys;
pub mod level;
pub mod limit;
pub mod measurement;
pub mod process;
mod progress;
pub mod report;
pub mod run;
pub mod scale;
pub mod script;
pub mod syncs;
mod wrong;
