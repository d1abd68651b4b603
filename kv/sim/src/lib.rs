//! A seeded world around stores, and the checkers that judge what clients saw. Never ships.
//!
//! - [`history`]: what clients asked and were told, as data and as JSON lines.
//! - [`linear`]: whether such a history is linearizable.

pub mod history;
pub mod linear;
