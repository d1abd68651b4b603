//! A thread that does something twice a second, for engines that do not sync by themselves.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Half of the second that the level `interval` promises.
const EVERY: Duration = Duration::from_millis(500);

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Periodic {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Periodic {
    /// Calls `action` until this is dropped.
    pub(super) fn start(action: impl Fn() + Send + 'static) -> Periodic {
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                action();
            }
        });
        Periodic { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Periodic {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic inside was printed by the panic hook.
            let _ = thread.join();
        }
    }
}
