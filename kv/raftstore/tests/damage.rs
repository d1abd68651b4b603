//! Logs whose last entry is torn or damaged, and how a store gets over it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod support {
    pub(crate) mod machine;
    pub(crate) mod world;
}

use std::path::Path;

use bytes::Bytes;
use support::machine::Op;
use support::world::{Options, REGION, World};
use wal::{Damage, Fs, MemFs, OpenMode};

fn put(value: &str) -> Op {
    Op::Put(Bytes::from_static(b"k"), Bytes::copy_from_slice(value.as_bytes()))
}

/// A store alone cannot ask whether its torn last entry was acknowledged. It was not, so the store
/// cuts it off and leads again; were it kept as damaged, nobody could ever lead.
#[test]
fn a_store_alone_gets_over_a_torn_last_write() {
    let mut torn = 0;
    for seed in 0..60 {
        let mut world = World::new(Options::new(seed, 1));
        world.is_prompt = true;
        world.node_mut(1).store.campaign(REGION);
        world.must_put("k", "acknowledged");
        // The power fails when the next entry, of several sectors, is written and not synced.
        let operations = world.fs(1).operations();
        world.crash_after(1, Some(operations + 1));
        world.propose(1, &put(&"torn".repeat(1000)));
        world.until("the power fails", |world| !world.is_up(1));
        world.start_crashed(1);
        torn += u32::from(world.node(1).report.torn_ambiguous);
        let value = world.must_get("k");
        assert!(value == "acknowledged" || value.starts_with(b"torn"), "SEED={seed}: {value:?}");
        world.must_put("k", "afterwards");
        assert_eq!(world.must_get("k"), "afterwards", "SEED={seed}");
    }
    assert!(torn > 0, "no crash left an entry that is torn and named");
}

/// Flips a bit in the file of a log that holds some bytes.
fn damage(fs: &MemFs, bytes: &[u8]) {
    let folder = Path::new("wal");
    for name in fs.list(folder).unwrap() {
        let path = folder.join(name);
        let Ok(file) = fs.open(&path, OpenMode::Read) else { continue };
        let mut content = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_exact_at(&mut content, 0).unwrap();
        drop(file);
        if let Some(at) = content.windows(bytes.len()).position(|window| window == bytes) {
            let flip = Damage::FlipBit { offset: at as u64, bit: 3 };
            assert!(flip.apply(fs, &path).unwrap());
            return;
        }
    }
    panic!("no file of the log holds these bytes");
}

/// A leader writes an entry that nobody else gets, and it is damaged. The next leader has another
/// entry in its place, of its own term: it is no copy, and takes the place all the same.
#[test]
fn a_damaged_last_entry_gives_way_to_one_of_another_term() {
    for seed in 0..10 {
        let mut world = World::new(Options::new(seed, 3));
        world.is_prompt = true;
        world.node_mut(3).store.campaign(REGION);
        world.until("store 3 leads", |world| world.leader() == Some(3));
        world.must_put("k", "first");
        world.settle();
        world.partition(&[&[3], &[1, 2]]);
        world.propose(3, &put("only on store 3"));
        let last = world.node(3).store.status(REGION).unwrap().last;
        world.stop(3);
        damage(world.fs(3), b"only on store 3");
        world.heal();
        world.must_put("k", "second");
        world.start(3);
        assert_eq!(world.node(3).report.faulty.len(), 1, "SEED={seed}");
        assert_eq!(world.node(3).store.status(REGION).unwrap().damaged, [last.index]);
        world.settle();
        // What took its place is on the disk, too.
        world.stop(3);
        world.start(3);
        let status = world.node(3).store.status(REGION).unwrap();
        assert!(status.damaged.is_empty(), "SEED={seed}: {status:?}");
        world.settle();
        let status = world.node(3).store.status(REGION).unwrap();
        assert!(status.last.term > last.term, "SEED={seed}");
        assert_eq!(world.local(3, "k").unwrap(), "second", "SEED={seed}");
        assert!(world.alarms.is_empty(), "SEED={seed}: {:?}", world.alarms);
    }
}

/// Entries in the middle of a log are damaged; they are fetched again, and what stands after them,
/// which was acknowledged, stays.
#[test]
fn a_damaged_entry_in_the_middle_is_fetched_and_the_rest_stays() {
    for seed in 0..10 {
        let mut world = World::new(Options::new(seed, 5));
        world.is_prompt = true;
        world.node_mut(1).store.campaign(REGION);
        world.until("store 1 leads", |world| world.leader() == Some(1));
        world.must_put("k", "first");
        world.settle();
        // These are not committed.
        world.partition(&[&[1, 3], &[2, 4, 5]]);
        for value in ["before", "damaged entry", "after", "at the end"] {
            world.propose(1, &put(value));
        }
        let last = world.node(1).store.status(REGION).unwrap().last;
        let has_all = |world: &World| world.node(3).store.status(REGION).unwrap().last == last;
        world.until("store 3 has all", has_all);
        world.stop(3);
        damage(world.fs(3), b"damaged entry");
        world.stop(1);
        // From now on each entry is in a message of its own.
        world.options.configure = |config| config.message_bytes_max = 1;
        world.start(1);
        world.start(3);
        assert_eq!(world.node(3).store.status(REGION).unwrap().damaged.len(), 1);
        world.partition(&[&[1, 2, 3], &[4, 5]]);
        world.node_mut(1).store.campaign(REGION);
        for _ in 0..100 {
            assert!(world.node(3).store.status(REGION).unwrap().last >= last, "SEED={seed}");
            world.tick();
        }
        let status = world.node(3).store.status(REGION).unwrap();
        assert!(status.damaged.is_empty(), "SEED={seed}: {status:?}");
        assert_eq!(world.local(3, "k").unwrap(), "at the end", "SEED={seed}");
    }
}
