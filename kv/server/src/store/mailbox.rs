//! Where the connections of one worker put their chunks, and get the answers.
//!
//! A round of the worker's event loop polls all connections that have input before the mailbox's
//! own task, which then takes all their chunks as one. So a round costs one hand-over to the
//! write thread and one wake-up back, not one for each connection.
//!
//! Where a sync is quick the hand-over costs as much as the sync does. So a worker waits for the
//! disk itself if that delays nobody: all that it serves are writes that wait for this very sync.

mod asked;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use engine::{Direction, Range};
use mutant::mutant;
use node::format::encode_key;
use node::{Chunk, Command, Page, Read, Response, Scan, Time};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use super::backlog::{Backlog, Held, NO_ROOM, bytes_of};
use super::{Permit, Store, StoreError};
use asked::Asked;

/// A worker whose reads are at most this part of its writes, one in sixteen, serves writers.
const READS_OF_WRITES: u64 = 16;

/// What became of a chunk: one response for each command.
pub(crate) type Outcome = Result<Vec<Response>, StoreError>;

/// A chunk on its way.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(super) chunk: Chunk,
    pub(super) reply: Reply,
}

impl Submission {
    /// The chunk, and where its outcome goes.
    pub(crate) fn into_parts(self) -> (Chunk, Reply) {
        (self.chunk, self.reply)
    }
}

/// Where an outcome goes, and the room that the chunk takes until it is answered.
#[derive(Debug)]
pub(crate) struct Reply {
    to: Destination,
    _permit: Permit,
}

impl Reply {
    pub(super) fn new(to: Destination, permit: Permit) -> Reply {
        Reply { to, _permit: permit }
    }

    /// Whether the client can be sent to another store: one of the native protocol can.
    pub(crate) fn may_redirect(&self) -> bool {
        matches!(self.to, Destination::Tagged(_))
    }
}

/// Where an outcome goes.
#[derive(Debug)]
pub(crate) enum Destination {
    /// To one that waits for nothing else.
    Once(oneshot::Sender<Outcome>),
    /// To one that waits for many.
    Tagged(Tagged),
}

/// The number by which a connection knows a request.
pub(crate) type Tag = u64;

/// An outcome that has come to its connection.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) tag: Tag,
    pub(crate) outcome: Outcome,
    /// The room that it takes until it is written.
    _held: Option<Held>,
}

/// Where the outcomes of one connection's requests go, and what is there for all.
#[derive(Clone, Debug)]
pub(crate) struct Landing {
    to: mpsc::UnboundedSender<Landed>,
    backlog: Arc<Backlog>,
}

impl Landing {
    pub(crate) fn new(backlog: Arc<Backlog>) -> (Landing, mpsc::UnboundedReceiver<Landed>) {
        let (to, landed) = mpsc::unbounded_channel();
        (Landing { to, backlog }, landed)
    }

    fn land(&self, tag: Tag, outcome: Outcome, held: Option<Held>) {
        // An error means that nobody waits any more: the connection has gone.
        let _ = self.to.send(Landed { tag, outcome, _held: held });
    }
}

/// Where the outcome of one request of many goes. It says by itself that the outcome is lost when
/// it is dropped without one.
#[derive(Debug)]
pub(crate) struct Tagged {
    tag: Tag,
    /// None once the outcome was sent.
    to: Option<Landing>,
}

impl Tagged {
    pub(crate) fn new(tag: Tag, to: Landing) -> Tagged {
        Tagged { tag, to: Some(to) }
    }

    /// Sends the outcome.
    pub(crate) fn send(mut self, outcome: Outcome) {
        if let Some(to) = self.to.take() {
            let bytes = bytes_of(&outcome);
            let held = (bytes > 0).then(|| to.backlog.hold(bytes));
            to.land(self.tag, outcome, held);
        }
    }

    /// Sends the outcome of a read, or that there is no room for it.
    pub(crate) fn send_read(mut self, outcome: Outcome) {
        let Some(to) = self.to.take() else { return };
        match (bytes_of(&outcome), &to.backlog) {
            (0, _) => to.land(self.tag, outcome, None),
            (bytes, backlog) => match backlog.try_hold(bytes) {
                Some(held) => to.land(self.tag, outcome, Some(held)),
                None => to.land(self.tag, Err(StoreError::Busy(NO_ROOM.to_owned())), None),
            },
        }
    }
}

impl Drop for Tagged {
    fn drop(&mut self) {
        if let Some(to) = self.to.take() {
            to.land(self.tag, Err(StoreError::Lost), None);
        }
    }
}

/// An outcome on its way back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) reply: Reply,
    pub(super) outcome: Outcome,
}

/// One who waits until reads see all that was answered before; called on the worker's thread. Of a
/// range it hears up to which of the engine's keys that holds; none: all of it.
pub(crate) type Waiter = Box<dyn FnOnce(Result<Option<Bytes>, StoreError>) + Send>;

/// The engine's keys that are to be read.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    Key(Bytes),
    Keys(Vec<Bytes>),
    /// A range, in a direction. Forward, so many regions of it at a time.
    Range {
        range: Range,
        direction: Direction,
        regions_max: usize,
    },
}

/// One who wants to read.
pub(crate) struct Reader {
    pub(crate) reach: Reach,
    pub(crate) waiter: Waiter,
}

/// One who waits at the barrier of a region.
pub(crate) struct Admitted {
    pub(crate) waiter: Waiter,
    /// Up to where it may read.
    pub(crate) border: Option<Bytes>,
}

/// What comes back to a worker.
pub(crate) enum Back {
    /// Outcomes of a parcel.
    Answers(Vec<Answer>),
    /// That these may read, or why not.
    Readable(Vec<Admitted>, Result<(), StoreError>),
}

impl Answer {
    pub(crate) fn new(reply: Reply, outcome: Outcome) -> Answer {
        Answer { reply, outcome }
    }

    /// Hands the outcome over.
    fn deliver(self) {
        // An error means that nobody waits any more: the connection has gone.
        match self.reply.to {
            Destination::Once(to) => drop(to.send(self.outcome)),
            Destination::Tagged(to) => to.send(self.outcome),
        }
    }
}

/// A round's chunks on their way to the write thread, and the way back.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) submissions: Vec<Submission>,
    pub(super) back: mpsc::UnboundedSender<Back>,
}

/// The mailbox of one worker.
pub(crate) struct Mailbox {
    store: Arc<Store>,
    submissions: Mutex<Vec<Submission>>,
    /// Readers of a store of a cluster.
    readers: Mutex<Vec<Reader>>,
    /// Says that there are submissions or readers.
    filled: Notify,
    /// Reads that the worker began since its last round of writes.
    reads: AtomicU64,
    /// Parcels that the write thread has of it. While there is one, no chunk may overtake it.
    parcels_out: AtomicUsize,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl Mailbox {
    pub(crate) fn new(store: Arc<Store>) -> Mailbox {
        Mailbox {
            store,
            submissions: Mutex::default(),
            readers: Mutex::default(),
            filled: Notify::new(),
            reads: AtomicU64::new(0),
            parcels_out: AtomicUsize::new(0),
        }
    }

    /// Reads, if that needs neither a disk nor another store; none if it may.
    pub(crate) fn read_now(&self, read: &Read, now: Time) -> Option<Response> {
        if self.store.cluster().is_some() {
            return None;
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.store.read_now(read, now)
    }

    /// Calls `waiter` on this thread once reads of these keys see all that was answered before.
    fn when_readable(&self, reach: Reach, waiter: Waiter) {
        if mutant!("cluster-reads-without-barrier") {
            return waiter(Ok(None));
        }
        let mut readers = self.readers.lock();
        readers.push(Reader { reach, waiter });
        if readers.len() == 1 {
            self.filled.notify_one();
        }
    }

    /// Waits until reads of these keys see all that was answered before.
    async fn readable(&self, reach: Reach) -> Result<Option<Bytes>, StoreError> {
        let (to, readable) = oneshot::channel();
        self.when_readable(reach, Box::new(move |result| drop(to.send(result))));
        readable.await.unwrap_or(Err(StoreError::Lost))
    }

    /// Reads, where [`Mailbox::read_now`] cannot.
    pub(crate) async fn read(&self, read: Read) -> Result<Vec<Response>, StoreError> {
        let Some(cluster) = self.store.cluster() else { return self.store.read(vec![read]).await };
        if cluster.is_behind() {
            return self.run(Chunk::from(vec![Command::Read(read)])).await;
        }
        loop {
            let since = cluster.erasures.moment();
            let permit = self.enter_read(&read)?;
            self.readable(reach_of(&read)).await?;
            drop(permit);
            let responses = match self.store.read_now(&read, self.store.clock.now()) {
                Some(response) => vec![response],
                None => self.store.read(vec![read.clone()]).await?,
            };
            if cluster.erasures.is_intact(|| reach_of(&read), since) {
                return Ok(responses);
            }
        }
    }

    /// Reads, where [`Mailbox::read_now`] cannot; the outcome goes to `to`.
    pub(crate) fn read_to(self: &Arc<Self>, read: Read, to: Tagged) -> Result<(), StoreError> {
        match self.store.cluster() {
            None => self.store.read_to(read, to),
            Some(cluster) if cluster.is_behind() => {
                self.submit(Chunk::from(vec![Command::Read(read)]), Destination::Tagged(to))
            }
            Some(cluster) => {
                Asked { since: cluster.erasures.moment(), read, to }.wait(self, cluster)
            }
        }
    }

    /// Takes room for a read that waits at a barrier.
    fn enter_read(&self, read: &Read) -> Result<Permit, StoreError> {
        self.store.enter(1, read.bytes())
    }

    /// Reads a page of a range. In a cluster it is read region by region, each part at one moment.
    pub(crate) async fn scan(&self, scan: Scan) -> Result<Page, StoreError> {
        let Some(cluster) = self.store.cluster() else { return self.store.scan(scan).await };
        let (mut page, mut rest) = (Page::default(), scan);
        // A short scan should not ask for many regions, a long one not for each by itself.
        let mut regions_max = 1;
        loop {
            let since = cluster.erasures.moment();
            let direction = rest.direction;
            let reach = |scan: &Scan| Reach::Range { range: scan.range(), direction, regions_max };
            let border = self.readable(reach(&rest)).await?;
            let mut part = rest.clone();
            let next = border.map(|border| part.split_off(&border));
            let found = self.store.scan(part.clone()).await?;
            if !cluster.erasures.is_intact(|| reach(&part), since) {
                continue;
            }
            let bytes: usize = found.pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
            let pairs = found.pairs.len();
            page.has_more = found.has_more;
            page.pairs.extend(found.pairs);
            let goes_on = !page.has_more && !mutant!("scan-ends-at-border");
            let Some(next) = next.filter(|_| goes_on) else { return Ok(page) };
            rest = Scan {
                pairs_max: rest.pairs_max.saturating_sub(pairs),
                bytes_max: rest.bytes_max.saturating_sub(bytes),
                ..next
            };
            regions_max *= 4;
        }
    }

    /// How many keys there are, of what was answered before at least.
    pub(crate) async fn keys(&self) -> Result<u64, StoreError> {
        if self.store.cluster().is_some() {
            let range = node::format::encode_range(b"", None);
            let direction = Direction::Forward;
            self.readable(Reach::Range { range, direction, regions_max: usize::MAX }).await?;
        }
        Ok(self.store.keys())
    }

    /// Reads a page of a range; the outcome goes to `to`.
    pub(crate) fn scan_to(self: &Arc<Self>, scan: Scan, to: Tagged) -> Result<(), StoreError> {
        if self.store.cluster().is_none() {
            return self.store.scan_to(scan, to);
        }
        let permit = self.store.enter(1, 0)?;
        let mailbox = Arc::clone(self);
        tokio::spawn(async move {
            let page = mailbox.scan(scan).await;
            to.send_read(page.map(|page| vec![Response::Pairs(page.pairs)]));
            drop(permit);
        });
        Ok(())
    }

    /// Takes a chunk; its outcome goes to `to` when it is durable.
    pub(crate) fn submit(&self, chunk: Chunk, to: Destination) -> Result<(), StoreError> {
        let bytes = chunk.commands.iter().map(Command::bytes).sum();
        let permit = self.store.enter(chunk.commands.len(), bytes)?;
        let mut submissions = self.submissions.lock();
        submissions.push(Submission { chunk, reply: Reply::new(to, permit) });
        if submissions.len() == 1 {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Carries a chunk out and waits for it.
    pub(crate) async fn run(&self, chunk: Chunk) -> Outcome {
        let (to, outcome) = oneshot::channel();
        self.submit(chunk, Destination::Once(to))?;
        outcome.await.unwrap_or(Err(StoreError::Lost))
    }

    /// Forwards what comes in, for as long as the worker lives.
    pub(crate) async fn forward(self: Arc<Self>) {
        let (back, mut answers) = mpsc::unbounded_channel::<Back>();
        loop {
            tokio::select! {
                () = self.filled.notified() => self.send(&back),
                Some(answer) = answers.recv() => match answer {
                    Back::Answers(answers) => {
                        self.parcels_out.fetch_sub(1, Ordering::Relaxed);
                        answers.into_iter().for_each(Answer::deliver);
                    }
                    Back::Readable(readers, result) => {
                        for Admitted { waiter, border } in readers {
                            waiter(result.clone().map(|()| border));
                        }
                    }
                }
            }
        }
    }

    /// Sends what is there to where it is carried out.
    fn send(&self, back: &mpsc::UnboundedSender<Back>) {
        let submissions = std::mem::take(&mut *self.submissions.lock());
        if let Some(cluster) = self.store.cluster() {
            let readers = std::mem::take(&mut *self.readers.lock());
            if !submissions.is_empty() {
                cluster.write(submissions, back);
            }
            if !readers.is_empty() {
                cluster.readable(readers, back);
            }
            return;
        }
        if submissions.is_empty() {
            return;
        }
        let reads = self.reads.swap(0, Ordering::Relaxed);
        let delays_nobody = reads.saturating_mul(READS_OF_WRITES) <= submissions.len() as u64
            && self.parcels_out.load(Ordering::Relaxed) == 0;
        match self.store.commit_here(submissions, delays_nobody) {
            Ok(answers) => answers.into_iter().for_each(Answer::deliver),
            Err(submissions) => {
                self.parcels_out.fetch_add(1, Ordering::Relaxed);
                self.store.enqueue(Parcel { submissions, back: back.clone() });
            }
        }
    }
}

/// The engine's keys of a read.
fn reach_of(read: &Read) -> Reach {
    match read {
        Read::Get { key, .. } | Read::Ttl { key, .. } => Reach::Key(encode_key(key)),
        Read::GetMany { keys, .. } | Read::Exists { keys, .. } => match keys.as_slice() {
            [key] => Reach::Key(encode_key(key)),
            keys => Reach::Keys(keys.iter().map(|key| encode_key(key)).collect()),
        },
    }
}
