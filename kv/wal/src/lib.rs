//! The only door to files.
//!
//! [`Fs`] is what the storage crates see of a disk. Everything above it runs unchanged on real
//! files, on a memory file system that loses what was not synced when it crashes, and on one
//! that injects errors.

mod fs;

pub use fs::{
    Choose, CrashPoint, CrashStates, Damage, DirLock, Enumerate, ErrFs, Failure, Fault, File, Fs,
    FsOp, MemFs, OpenMode, RealFs, Seeded,
};
