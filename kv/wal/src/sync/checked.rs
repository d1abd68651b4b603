//! shuttle's locks with the functions of parking_lot's.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use shuttle::sync as inner;

/// Why a lock is never poisoned: a panic ends the whole execution.
const SOUND: &str = "a panic ends the execution";

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(inner::Mutex<T>);

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    lock: &'a Mutex<T>,
    /// `None` only while it is given back for a time.
    held: Option<inner::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(inner::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: self, held: Some(self.0.lock().expect(SOUND)) }
    }
}

impl<T> MutexGuard<'_, T> {
    pub(crate) fn unlocked<R>(guard: &mut Self, run: impl FnOnce() -> R) -> R {
        guard.held = None;
        let result = run();
        guard.held = Some(guard.lock.0.lock().expect(SOUND));
        result
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("it is held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("it is held")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(inner::Condvar);

/// Whether a wait ended by itself.
pub(crate) struct Waited(bool);

impl Waited {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar::default()
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().expect("it is held");
        guard.held = Some(self.0.wait(held).expect(SOUND));
    }

    /// The time runs out at once, or never.
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) -> Waited {
        let timed_out = shuttle::rand::RngCore::next_u32(&mut shuttle::rand::thread_rng()) & 1 == 0;
        if timed_out {
            MutexGuard::unlocked(guard, shuttle::thread::yield_now);
        } else {
            self.wait(guard);
        }
        Waited(timed_out)
    }
}

#[derive(Debug)]
pub(crate) struct RwLock<T>(inner::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> RwLock<T> {
        RwLock(inner::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> inner::RwLockReadGuard<'_, T> {
        self.0.read().expect(SOUND)
    }

    pub(crate) fn write(&self) -> inner::RwLockWriteGuard<'_, T> {
        self.0.write().expect(SOUND)
    }
}
