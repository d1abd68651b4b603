//! `kill -9` under load, again and again on one folder.
//!
//! Writers set many keys at once, to a number that grows, and note which number was answered. After
//! each kill the folder is opened again: every key of a writer must have the same number (no write
//! is half applied), one that is not below the last that was answered (none is lost).
//!
//! At `interval` and `never` the same must hold: what the kernel has is not lost with the process.
//! What a power loss takes at each level is tested in the engine, on a file system that forgets.
//!
//! `KILLS` says how often (5), `SEED` when: `KILLS=100 SEED=7 cargo test -p tinykv-server --test
//! kill`.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stdout, reason = "a failure must say how to replay it")]

#[path = "support/program.rs"]
mod program;
#[path = "support/resp.rs"]
mod resp;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use program::Program;
use proto::resp::Value;
use resp::{Resp, encode};

const WRITERS: usize = 4;
const KEYS: usize = 20;
/// Requests that a writer has in flight.
const DEPTH: u64 = 4;

/// A number from the environment.
fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// What a writer has sent and what was answered.
#[derive(Default)]
struct Progress {
    sent: AtomicU64,
    answered: AtomicU64,
}

/// Sets all keys of a writer to the next number, until the server is gone.
fn write(address: std::net::SocketAddr, writer: usize, progress: &Progress, total: &AtomicU64) {
    let mut client = Resp::connect(address);
    let mut first = progress.sent.load(Ordering::SeqCst) + 1;
    loop {
        let mut requests = Vec::new();
        for n in first..first + DEPTH {
            let keys: Vec<String> = (0..KEYS).map(|key| format!("{writer}:{key}")).collect();
            // Large enough that a batch may tear.
            let value = format!("{n}:{}", "x".repeat(200));
            let mut words: Vec<&[u8]> = vec![b"MSET"];
            keys.iter().for_each(|key| words.extend([key.as_bytes(), value.as_bytes()]));
            requests.extend(encode(&words));
        }
        progress.sent.store(first + DEPTH - 1, Ordering::SeqCst);
        if std::io::Write::write_all(&mut client.socket, &requests).is_err() {
            return;
        }
        for n in first..first + DEPTH {
            match client.receive() {
                Some(Value::Simple(_)) => progress.answered.store(n, Ordering::SeqCst),
                Some(other) => panic!("a write was refused: {other:?}"),
                None => return,
            }
            total.fetch_add(1, Ordering::SeqCst);
        }
        first += DEPTH;
    }
}

/// Reads all keys of a writer, which must agree, and gives their number.
fn number(client: &mut Resp, writer: usize) -> u64 {
    let read = |client: &mut Resp, key| {
        let reply = client.run(&format!("GET {writer}:{key}"));
        let digits = reply.trim_matches('"').split(':').next().unwrap().to_owned();
        if reply == "(nil)" { 0 } else { digits.parse().unwrap() }
    };
    let first = read(client, 0);
    for key in 1..KEYS {
        assert_eq!(read(client, key), first, "writer {writer}: a write is half applied");
    }
    first
}

fn kill_again_and_again(path: &Path, sync: &str, seed: u64) {
    let kills = env("KILLS", 5);
    println!("replay: KILLS={kills} SEED={seed} cargo test -p tinykv-server --test kill");
    let progress: Vec<Progress> = (0..WRITERS).map(|_| Progress::default()).collect();
    let mut random = seed;
    // Small segments, so that kills hit rolls and merges too.
    let flags = [&format!("--sync={sync}")[..], "--segment-size=256KiB"];
    for round in 0..=kills {
        let mut server = Program::start(path, &flags);
        let mut client = Resp::connect(server.resp());
        for (writer, progress) in progress.iter().enumerate() {
            let found = number(&mut client, writer);
            let answered = progress.answered.load(Ordering::SeqCst);
            let sent = progress.sent.load(Ordering::SeqCst);
            assert!(
                (answered..=sent).contains(&found),
                "round {round}, writer {writer}: {answered} was answered, {found} is there"
            );
        }
        if round == kills {
            return;
        }
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = 1 + (random >> 33) % 300;
        let total = AtomicU64::new(0);
        let address = server.resp();
        thread::scope(|scope| {
            for (writer, progress) in progress.iter().enumerate() {
                let total = &total;
                scope.spawn(move || write(address, writer, progress, total));
            }
            while total.load(Ordering::SeqCst) < after {
                thread::yield_now();
            }
            server.process.kill();
        });
    }
}

#[test]
fn at_always_no_answered_write_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    kill_again_and_again(folder.path(), "always", env("SEED", 1));
}

#[test]
fn at_interval_the_kernel_keeps_what_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    kill_again_and_again(folder.path(), "interval", env("SEED", 2));
}
