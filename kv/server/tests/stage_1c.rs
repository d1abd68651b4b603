//! Stage 1c: the server, its threads, and readers beside writers.
//!
//! The scenarios of projects 3 and 4 of the kvs course.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/http.rs"]
mod http;
#[path = "support/program.rs"]
mod program;
#[path = "support/resp.rs"]
mod resp;
#[path = "support/start.rs"]
mod start;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use program::Program;
use resp::{Resp, encode, show};
use tinykv_server::pool::{
    NaivePool, PoolFull, PoolOptions, RayonPool, SharedQueuePool, ThreadPool,
};

/// One pool of each kind.
fn pools(threads: usize, jobs_max: usize) -> Vec<Box<dyn ThreadPool>> {
    let options = PoolOptions { threads, jobs_max };
    vec![
        Box::new(NaivePool::new(options)),
        Box::new(SharedQueuePool::new(options).unwrap()),
        Box::new(RayonPool::new(options).unwrap()),
    ]
}

/// Has 20 jobs count to 1000 each; dropping the pool waits for them.
fn count_to_20_000(pool: Box<dyn ThreadPool>) {
    let counter = Arc::new(AtomicUsize::new(0));
    for _ in 0..20 {
        let counter = Arc::clone(&counter);
        let job = move || {
            for _ in 0..1000 {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        };
        pool.spawn(Box::new(job)).unwrap();
    }
    let name = format!("{pool:?}");
    drop(pool);
    assert_eq!(counter.load(Ordering::SeqCst), 20_000, "{name}");
}

#[test]
fn every_job_runs() {
    pools(4, 100).into_iter().for_each(count_to_20_000);
}

#[test]
fn jobs_that_panic_cost_no_thread() {
    for pool in pools(4, 10_000) {
        for _ in 0..1000 {
            // Unwinds as a panic does, without its message.
            pool.spawn(Box::new(|| resume_unwind(Box::new("on purpose")))).unwrap();
        }
        count_to_20_000(pool);
    }
}

/// Counts the threads that have ended, when their local variables are dropped.
struct Ended(Arc<AtomicUsize>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn dropping_a_pool_ends_its_threads() {
    thread_local! {
        static ENDED: std::cell::RefCell<Option<Ended>> = const { std::cell::RefCell::new(None) };
    }
    for pool in pools(4, 100) {
        let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..20 {
            let (begun, ended) = (Arc::clone(&begun), Arc::clone(&ended));
            let job = move || {
                ENDED.with_borrow_mut(|mark| {
                    if mark.is_none() {
                        begun.fetch_add(1, Ordering::SeqCst);
                        *mark = Some(Ended(ended));
                    }
                });
            };
            pool.spawn(Box::new(job)).unwrap();
        }
        let name = format!("{pool:?}");
        drop(pool);
        let (begun, ended) = (begun.load(Ordering::SeqCst), ended.load(Ordering::SeqCst));
        assert!(begun >= 1, "{name}");
        assert_eq!(begun, ended, "{name}");
    }
}

#[test]
fn the_queue_of_a_pool_is_bounded() {
    for pool in pools(1, 2) {
        let (release, wait) = crossbeam_channel::bounded::<()>(0);
        let job = || {
            let wait = wait.clone();
            Box::new(move || assert!(wait.recv().is_err()))
        };
        assert_eq!(pool.spawn(job()), Ok(()));
        assert_eq!(pool.spawn(job()), Ok(()));
        assert_eq!(pool.spawn(job()), Err(PoolFull), "{pool:?}");
        assert_eq!(pool.jobs(), 2);
        drop((release, wait));
    }
}

/// Sets, reads and removes keys, and leaves one.
fn dialogue(client: &mut Resp) {
    for (command, reply) in [
        ("SET key1 value1", "OK"),
        ("GET key1", "\"value1\""),
        ("SET key1 value2", "OK"),
        ("GET key1", "\"value2\""),
        ("GET key2", "(nil)"),
        ("DEL key2", "0"),
        ("SET key2 value3", "OK"),
        ("DEL key1", "1"),
        ("GET key1", "(nil)"),
    ] {
        assert_eq!(client.run(command), reply, "{command}");
    }
}

#[test]
fn data_survives_a_restart_with_each_pool() {
    for pool in ["naive", "shared", "rayon"] {
        let folder = tempfile::tempdir().unwrap();
        let pool = format!("--read-pool={pool}");
        let server = Program::start(folder.path(), &[&pool]);
        dialogue(&mut Resp::connect(server.resp()));
        let (status, log) = server.end("TERM");
        assert!(status.success(), "{log}");
        let server = Program::start(folder.path(), &[&pool]);
        let mut client = Resp::connect(server.resp());
        assert_eq!(client.run("GET key2"), "\"value3\"");
        assert_eq!(client.run("GET key1"), "(nil)");
    }
}

#[test]
fn the_log_tells_version_engine_and_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(folder.path(), &[]);
    let (address, engine) = (server.resp().to_string(), server.field("engine").to_owned());
    assert_eq!(engine, start::engine().unwrap_or_else(|| "bitcask".to_owned()));
    let (_, log) = server.end("TERM");
    let first = log.lines().next().unwrap();
    assert!(first.contains(concat!("tinykv-server ", env!("CARGO_PKG_VERSION"))), "{log}");
    assert!(first.contains(&format!("engine={engine}")), "{log}");
    assert!(log.contains(&format!("resp={address}")), "{log}");
}

#[test]
fn a_folder_of_another_engine_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Program::start(folder.path(), &[]).end("TERM").0.success());
    let output = program::command(folder.path(), &["--engine=memory"]).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    let engine = start::engine().unwrap_or_else(|| "bitcask".to_owned());
    let wanted = format!("was made by the engine `{engine}`, not `memory`");
    assert!(error.contains(&wanted), "{error}");
    // And the other way round: what an engine is called there is in the folder's FORMAT.
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("FORMAT"), "engine sled\n").unwrap();
    let output = program::command(other.path(), &[]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("FORMAT"));
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Program::start(folder.path(), &[]);
    let output = program::command(folder.path(), &[]).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("in use by another process"), "{error}");
    assert_eq!(Resp::connect(first.resp()).run("PING"), "PONG");
}

#[test]
fn a_thousand_connections_set_a_key_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("--path={}", folder.path().display());
    let server = start::start(&[&path]);
    let address = start::resp(&server);
    let mut clients: Vec<Resp> = (0..1000).map(|_| Resp::connect(address)).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(&[b"SET", format!("key{n}").as_bytes(), format!("value{n}").as_bytes()]);
    }
    for client in &mut clients {
        assert_eq!(show(&client.receive().unwrap()), "OK");
    }
    let check = |client: &mut Resp| {
        for n in 0..1000 {
            assert_eq!(client.run(&format!("GET key{n}")), format!("\"value{n}\""));
        }
    };
    check(&mut clients[7]);
    drop(clients);
    server.shutdown().unwrap();
    let server = start::start(&[&path]);
    check(&mut Resp::connect(start::resp(&server)));
}

#[test]
fn increments_of_many_connections_are_not_lost() {
    for flags in [&["--sync=always", "--threads=2"][..], &["--sync=never", "--threads=3"]] {
        let folder = tempfile::tempdir().unwrap();
        let path = format!("--path={}", folder.path().display());
        let server = start::start(&[flags, &[&path]].concat());
        let address = start::resp(&server);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut client = Resp::connect(address);
                    for _ in 0..50 {
                        client.send_raw(&encode(&[b"INCR", b"n"]).repeat(4));
                        (0..4).for_each(|_| drop(client.receive().unwrap()));
                    }
                });
            }
        });
        assert_eq!(Resp::connect(address).run("GET n"), "\"1600\"");
    }
}

#[test]
fn readers_see_whole_values_during_writes_and_merges() {
    const KEYS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let path = format!("--path={}", folder.path().display());
    let server = start::start(&[&path, "--sync=never", "--segment-size=64KiB", "--threads=2"]);
    let (address, status) = (start::resp(&server), server.addresses().status.unwrap());
    let value = |n: u64| n.to_string().repeat(200).into_bytes();
    let set = |client: &mut Resp, n: u64| {
        let key = format!("key{}", n % KEYS as u64);
        assert_eq!(client.run_words(&[b"SET", key.as_bytes(), &value(n)]), "OK");
    };
    let mut writer = Resp::connect(address);
    (0..KEYS as u64).for_each(|n| set(&mut writer, n));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for reader in 0..3 {
            let is_over = &is_over;
            scope.spawn(move || {
                let mut client = Resp::connect(address);
                let mut last = [0; KEYS];
                let mut round = reader;
                while !is_over.load(Ordering::SeqCst) {
                    let key = round % KEYS;
                    let found = client.run(&format!("GET key{key}"));
                    let digits = found.trim_matches('"');
                    let n: u64 = digits[..digits.len() / 200].parse().unwrap();
                    assert_eq!(found.as_bytes()[1..found.len() - 1], value(n), "a mixed value");
                    assert_eq!(n as usize % KEYS, key, "the value of another key");
                    assert!(n >= last[key], "an older value than before");
                    last[key] = n;
                    round += 1;
                }
            });
        }
        // At least so many merges go on under the readers.
        let (name, enough) = match start::engine().as_deref() {
            Some("rocksdb") => ("compactions", 1.0),
            _ => ("merges", 3.0),
        };
        let merges = || http::metric(status, &format!("tinykv_engine_extra{{name=\"{name}\"}}"));
        let mut n = KEYS as u64;
        while merges() < enough {
            for _ in 0..200 {
                set(&mut writer, n);
                n += 1;
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn bad_clients_do_not_harm_others() {
    let server = start::start_memory(&["--threads=1"]);
    let address = start::resp(&server);
    let native = server.addresses().native.unwrap();
    let mut good = Resp::connect(address);
    good.run_words(&[b"SET", b"large", &vec![b'x'; 4 << 20]]);
    // Some say nothing, some stop in the middle of a request, some announce what never comes.
    let _idle: Vec<_> = (0..100).map(|_| Resp::connect(address)).collect();
    let _slow: Vec<_> = (0..50)
        .map(|_| {
            let mut client = Resp::connect(address);
            client.send_raw(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$60000000\r\nabc");
            client
        })
        .collect();
    // Some ask for a lot and never read it.
    let _deaf: Vec<_> = (0..5)
        .map(|_| {
            let mut client = Resp::connect(address);
            client.send_raw(&encode(&[b"GET", b"large"]).repeat(20));
            client
        })
        .collect();
    // Some speak something else.
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"*99999999999\r\n", b"\0\xff\0\xff\r\n"] {
        Resp::connect(address).send_raw(bytes);
        Resp::connect(native).send_raw(bytes);
    }
    for n in 0..300 {
        assert_eq!(good.run(&format!("SET k {n}")), "OK");
        assert_eq!(good.run("GET k"), format!("\"{n}\""));
    }
}
