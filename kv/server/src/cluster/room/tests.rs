//! Writes wait for room, and go on or end with the store.

use std::thread;

use engine::Memory;

use super::*;

/// An engine without room for so many writes.
#[derive(Debug)]
struct Full {
    memory: Memory,
    has_room: AtomicBool,
}

impl Engine for Full {
    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        if self.has_room.load(Ordering::SeqCst) {
            return self.memory.write(batch, durability);
        }
        let source = std::io::ErrorKind::StorageFull.into();
        Err(Error::DiskFull { file: PathBuf::from("f"), source })
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        self.memory.get(cf, key)
    }

    fn view(&self) -> Result<Arc<dyn View>> {
        self.memory.view()
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }

    fn merge(&self) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> Stats {
        self.memory.stats()
    }
}

/// Writes a key on a full disk; once that waits, does something, and gives what the write came to
/// and what is there.
fn write_while_full(then: impl FnOnce(&Full, &Room)) -> (Result<()>, Option<Bytes>) {
    let full = Arc::new(Full { memory: Memory::new(), has_room: AtomicBool::new(false) });
    let room = Arc::new(Room::new(PathBuf::from("."), Some(0)));
    let patient = Patient { engine: Arc::clone(&full) as _, room: Arc::clone(&room) };
    assert_eq!(room.shortage(false), None);
    let writer = thread::spawn(move || {
        let mut batch = Batch::new();
        batch.put(Cf::Default, "key", "value");
        let result = patient.write(batch, Durability::Never);
        (result, patient.get(Cf::Default, b"key").expect("it is in memory"))
    });
    while room.shortage(false) != Some(Shortage::Full) {
        assert!(!writer.is_finished(), "it does not wait");
        thread::yield_now();
    }
    then(&full, &room);
    let outcome = writer.join().expect("it does not panic");
    assert_eq!(room.shortage(false), outcome.0.is_err().then_some(Shortage::Full));
    outcome
}

#[test]
fn a_write_waits_until_there_is_room() {
    let (result, found) = write_while_full(|full, _| full.has_room.store(true, Ordering::SeqCst));
    result.expect("there is room");
    assert_eq!(found, Some(Bytes::from_static(b"value")));
}

#[test]
fn a_write_that_waits_ends_with_the_store() {
    let (result, found) = write_while_full(|_, room| room.close());
    assert!(matches!(result, Err(Error::Poisoned(_))));
    assert_eq!(found, None);
}

#[test]
fn a_disk_with_less_than_the_reserve_is_short() {
    for (reserve, shortage) in [(0, None), (u64::MAX / 4, Some(Shortage::Low))] {
        let room = Room::new(PathBuf::from("."), Some(reserve));
        room.look();
        assert_eq!(room.shortage(false), shortage);
        assert_eq!(room.shortage(true), Some(Shortage::Full));
    }
}
