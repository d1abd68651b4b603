//! A read of a store of a cluster whose outcome goes to a connection: [`Asked`].

use std::sync::Arc;

use node::{Read, Response};

use super::{Mailbox, Tagged, reach_of};
use crate::cluster::{Cluster, Moment};
use crate::store::StoreError;

/// A read of a store of a cluster on its way to an answer: through the barrier, to the engine, and
/// again if its keys were erased meanwhile.
pub(super) struct Asked {
    /// Before it came to the barrier.
    pub(super) since: Moment,
    pub(super) read: Read,
    pub(super) to: Tagged,
}

impl Asked {
    /// Waits at the barrier.
    pub(super) fn wait(
        self,
        mailbox: &Arc<Mailbox>,
        cluster: &Arc<Cluster>,
    ) -> Result<(), StoreError> {
        let (permit, reach) = (mailbox.enter_read(&self.read)?, reach_of(&self.read));
        let (this, cluster) = (Arc::clone(mailbox), Arc::clone(cluster));
        let waiter = move |readable: Result<_, StoreError>| {
            drop(permit);
            match readable {
                Err(error) => self.to.send(Err(error)),
                Ok(_) => self.read(this, cluster),
            }
        };
        mailbox.when_readable(reach, Box::new(waiter));
        Ok(())
    }

    /// Reads, on this thread or one that may wait for the disk.
    fn read(self, mailbox: Arc<Mailbox>, cluster: Arc<Cluster>) {
        let store = Arc::clone(&mailbox.store);
        match store.read_now(&self.read, store.clock.now()) {
            Some(response) => self.answer(response, &mailbox, &cluster),
            // Where the pool is full, dropping the job answers.
            None => drop(store.to_pool(move |store| {
                let response = node::read(store.engine.as_ref(), &self.read, store.clock.now());
                self.answer(response, &mailbox, &cluster);
            })),
        }
    }

    /// Answers, if that is what there was.
    fn answer(mut self, response: Response, mailbox: &Arc<Mailbox>, cluster: &Arc<Cluster>) {
        if cluster.erasures.is_intact(|| reach_of(&self.read), self.since) {
            return self.to.send_read(Ok(vec![response]));
        }
        self.since = cluster.erasures.moment();
        // Where there is no room, dropping it answers.
        let _ = self.wait(mailbox, cluster);
    }
}
