//! Fail-stop: after a write or a sync has failed nobody knows what is on the disk, so the process
//! ends rather than go on with what it believes. A supervisor starts it again, and it recovers from
//! what the disk really has.
//!
//! Whoever meets such a failure reports it here; the program waits for the first report. Until the
//! end, clients are told that the store has stopped.

use tokio::sync::watch;

/// Whether this process has to end, and why.
#[derive(Debug, Default)]
pub(crate) struct Halt {
    reason: watch::Sender<Option<String>>,
}

impl Halt {
    /// Reports a failure; the first one counts.
    pub(crate) fn halt(&self, reason: String) {
        let is_first = self.reason.send_if_modified(|it| {
            let is_first = it.is_none();
            it.get_or_insert_with(|| reason.clone());
            is_first
        });
        if is_first {
            log::error!("this store cannot go on: {reason}");
        }
    }

    /// Why it cannot go on, if it cannot.
    pub(crate) fn reason(&self) -> Option<String> {
        self.reason.borrow().clone()
    }

    /// Waits until it cannot go on, and says why.
    pub(crate) async fn halted(&self) -> String {
        let mut reason = self.reason.subscribe();
        let halted = reason.wait_for(Option::is_some).await;
        // An error means that the sender has gone, and with it the store.
        halted.ok().and_then(|it| it.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Halt;

    #[tokio::test]
    async fn the_first_failure_counts() {
        let halt = Halt::default();
        assert_eq!(halt.reason(), None);
        halt.halt("one".to_owned());
        halt.halt("two".to_owned());
        assert_eq!(halt.halted().await, "one");
    }
}
