//! The locks and threads of the log.
//!
//! In the unit tests they are those of shuttle, which runs the threads in one and chooses who
//! goes on at each lock: `group_commit::tests` tries thousands of orders so.

#[cfg(test)]
mod checked;

#[cfg(test)]
pub(crate) use checked::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(test))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(test)]
pub(crate) use shuttle::thread;
#[cfg(not(test))]
pub(crate) use std::thread;
