//! Who reads what is being erased asks again, and erasures are announced before the engine is told.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use engine::{Batch, Cf, Direction, Durability, Engine, Stats, View};
use node::format::{encode_key, encode_range};
use node::{Chunk, Command, Expiry, Read, Response, Scan, Write};
use proto::peer::RegionId;
use raftstore::{Applier, Done, Task};
use tokio::runtime::Builder;

use super::*;
use crate::cluster::apply_thread::carry_out;
use crate::cluster::{Machine, open};
use crate::config::{Address, Config};
use crate::server::Server;
use crate::store::{Backlog, Landing, Mailbox, Outcome, Store, Tagged};

fn range(start: &'static str, end: &'static str) -> Range {
    let end = (!end.is_empty()).then(|| Bytes::from_static(end.as_bytes()));
    Range { start: Bytes::from_static(start.as_bytes()), end }
}

fn key(key: &'static str) -> Reach {
    Reach::Key(Bytes::from_static(key.as_bytes()))
}

#[test]
fn erasures_concern_who_was_there_before_they_ended() {
    let erasures = Erasures::default();
    let before = erasures.moment();
    let erasing = erasures.begin(vec![range("b", "d"), range("x", "")]);
    let within = erasures.moment();
    for moment in [before, within] {
        for (name, intact) in [("a", true), ("b", false), ("d", true), ("z", false)] {
            assert_eq!(erasures.is_intact(|| key(name), moment), intact, "{name}");
        }
    }
    drop(erasing);
    assert!(!erasures.is_intact(|| key("b"), before));
    assert!(!erasures.is_intact(|| key("b"), within));
    assert!(erasures.is_intact(|| key("b"), erasures.moment()));
    drop(erasures.begin(vec![range("e", "f")]));
    assert!(!erasures.is_intact(|| key("b"), before));
    assert!(!erasures.is_intact(|| key("e"), within));
    assert!(erasures.is_intact(|| key("g"), before));
}

#[test]
fn ranges_and_several_keys_meet_what_is_erased() {
    let erased = range("d", "m");
    let keys = |keys: [&'static str; 2]| {
        Reach::Keys(keys.map(|it| Bytes::from_static(it.as_bytes())).to_vec())
    };
    assert!(touches(&erased, &keys(["a", "e"])));
    assert!(!touches(&erased, &keys(["a", "m"])));
    let read = |start, end| {
        let (range, direction) = (range(start, end), Direction::Backward);
        touches(&erased, &Reach::Range { range, direction, regions_max: 1 })
    };
    assert!(read("", "") && read("a", "e") && read("lz", "z") && read("e", "f"));
    assert!(!read("a", "d") && !read("m", ""));
}

#[test]
fn who_is_older_than_what_is_remembered_asks_again() {
    let erasures = Erasures::default();
    let before = erasures.moment();
    drop(erasures.begin(vec![range("a", "b")]));
    let after = erasures.moment();
    (0..REMEMBERED_MAX).for_each(|_| drop(erasures.begin(Vec::new())));
    assert!(!erasures.is_intact(|| key("z"), before));
    assert!(erasures.is_intact(|| key("a"), after));
}

/// The configuration of a cluster of one store.
fn config(path: &Path) -> Config {
    Config {
        path: path.to_owned(),
        addr: Address::Off,
        resp_addr: Address::Off,
        status_addr: Address::Off,
        cluster: "1=127.0.0.1:0".parse().expect("a member"),
        store_id: 1,
        ..Config::default()
    }
}

/// Does something with a store that holds a key.
fn with_store(config: Config, work: impl AsyncFnOnce(&Store, &Arc<Mailbox>)) {
    let running = Server::start(config).expect("it starts");
    let store = Arc::clone(&running.context.store);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&store)));
        tokio::spawn(Arc::clone(&mailbox).forward());
        let (value, expiry) = (b("value"), Expiry::Never);
        let put = Write::Put { cf: Cf::Default, key: b("key"), value, expiry };
        let put = Chunk::from(vec![Command::Write(put)]);
        mailbox.run(put).await.expect("it is written");
        work(&store, &mailbox).await;
    });
}

fn b(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn get() -> Read {
    Read::Get { cf: Cf::Default, key: b("key") }
}

/// Begins a read, has it pass the barrier again and again while its key is being erased, and gives
/// what it comes to after that.
async fn while_erased<T>(store: &Store, read: impl Future<Output = T>) -> T {
    let cluster = store.cluster().expect("a store of a cluster");
    let erasing = cluster.erasures.begin(vec![encode_range(b"k", Some(b"l"))]);
    let mut read = pin!(read);
    let reads = async || cluster.inspect().await.expect("it runs").raft.reads;
    let before = reads().await;
    while reads().await < before + 3 {
        let sleep = tokio::task::yield_now();
        tokio::select! {
            biased;
            _ = &mut read => panic!("it answered from what is being erased"),
            () = sleep => {}
        }
    }
    drop(erasing);
    read.await
}

#[test]
fn reads_of_what_is_being_erased_are_not_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    with_store(config(folder.path()), all_reads);
}

async fn all_reads(store: &Store, mailbox: &Arc<Mailbox>) {
    let found = |outcome: Outcome| match outcome.expect("it is read").as_slice() {
        [Response::Value(Some(value))] => assert_eq!(value, "value"),
        other => panic!("{other:?} is not what was written"),
    };

    found(while_erased(store, mailbox.read(get())).await);

    let (to, mut answers) = Landing::new(Backlog::new(1));
    mailbox.read_to(get(), Tagged::new(7, to)).expect("there is room");
    found(while_erased(store, async { answers.recv().await.expect("an answer").outcome }).await);

    let scan = Scan {
        cf: Cf::Default,
        start: Bytes::new(),
        end: None,
        direction: Direction::Forward,
        keys_only: false,
        pairs_max: 10,
        bytes_max: 1 << 20,
    };
    let page = while_erased(store, mailbox.scan(scan)).await.expect("it is read");
    assert_eq!(page.pairs, [(b("key"), b("value"))]);
}

/// An engine each of whose writes comes while a key is being erased.
#[derive(Debug)]
struct Watched {
    engine: Arc<dyn Engine>,
    erasures: Arc<Erasures>,
    before: Moment,
    writes: AtomicU64,
}

impl Engine for Watched {
    fn write(&self, batch: Batch, durability: Durability) -> engine::Result<()> {
        let key = || Reach::Key(encode_key(b"key"));
        assert!(!self.erasures.is_intact(key, self.before), "nobody was told");
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.engine.write(batch, durability)
    }

    fn get(&self, cf: Cf, key: &[u8]) -> engine::Result<Option<Bytes>> {
        self.engine.get(cf, key)
    }

    fn view(&self) -> engine::Result<Arc<dyn View>> {
        self.engine.view()
    }

    fn flush(&self) -> engine::Result<()> {
        self.engine.flush()
    }

    fn merge(&self) -> engine::Result<()> {
        self.engine.merge()
    }

    fn stats(&self) -> Stats {
        self.engine.stats()
    }
}

#[test]
fn what_is_destroyed_is_announced_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    with_store(config.clone(), async |_, _| {});
    let opened = open(&config).expect("it opens");
    let erasures = Arc::new(Erasures::default());
    let before = erasures.moment();
    let watched = Arc::new(Watched {
        engine: Arc::clone(&opened.engine),
        erasures: Arc::clone(&erasures),
        before,
        writes: AtomicU64::new(0),
    });
    let engine: Arc<dyn Engine> = Arc::clone(&watched) as _;
    let mut applier = Applier::open(engine, Machine::default()).expect("it opens");
    let region = RegionId(1);
    assert!(applier.region(region).is_some(), "there is something to destroy");
    let done = carry_out(&mut applier, vec![Task::Destroy { region }], &erasures);
    assert!(matches!(done.expect("it is destroyed")[..], [Done::Destroyed(RegionId(1))]));
    assert!(watched.writes.load(Ordering::Relaxed) > 0);
    let key = || Reach::Key(encode_key(b"key"));
    assert!(erasures.is_intact(key, erasures.moment()), "it has ended");
}
