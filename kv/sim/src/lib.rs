//! A seeded world around stores, and the checkers that judge what clients saw. Never ships.
//!
//! - [`history`]: what clients asked and were told, as data and as JSON lines.
//! - [`linear`]: whether such a history is linearizable.

pub mod history;
pub mod linear;

pub mod clock;
pub mod disk;
pub mod network;
pub mod queue;
pub mod random;

pub mod fault;
pub mod process;
pub mod scenario;

pub mod client;
pub mod corpus;
pub mod invariants;
pub mod marks;
pub mod outcome;
pub mod trace;

pub mod picture;
pub mod shrink;
pub mod store;
mod world;

pub use world::run;
pub use world::script::Script;
