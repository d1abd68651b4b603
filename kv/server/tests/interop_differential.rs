//! The same commands to redis and to us: the replies must be equal, in RESP2 and in RESP3.
//!
//! Needs `redis-server` 7.0 (Debian: `apt install redis-server`), and so runs with
//! `make test-interop` only. What is sent is drawn from a seed: `SEED=7 make test-interop` runs
//! that one alone, `SEEDS=500` so many; a failure prints the seed and the steps before it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![expect(clippy::print_stdout, reason = "a failure shows how to replay it")]

#[path = "interop/commands.rs"]
mod commands;
#[path = "interop/connection.rs"]
mod connection;
#[path = "interop/ours.rs"]
mod ours;
#[path = "support/program.rs"]
mod program;
#[path = "interop/redis.rs"]
mod redis;

use std::collections::{BTreeMap, VecDeque};
use std::net::TcpStream;

use commands::{Compare, Random};
use connection::Connection;
use ours::Ours;
use proto::resp::Value;
use redis::Redis;

/// Commands of one sequence.
const STEPS: usize = 400;

/// The seeds to run.
fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SEEDS").unwrap_or(20)).collect(),
    }
}

/// Two connections in the same state.
struct Pair {
    redis: Connection,
    ours: Connection,
    /// What was sent last, to be shown when replies differ.
    history: VecDeque<String>,
    /// Replies that differed, with the last steps before the first such case.
    differences: BTreeMap<String, String>,
}

/// The words of a command.
fn split(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

impl Pair {
    /// Connects to both.
    fn new(redis: &Redis, ours: &Ours) -> Pair {
        let ours = Connection::new(TcpStream::connect(ours.resp_addr()).unwrap());
        Pair {
            redis: redis.connect(),
            ours,
            history: VecDeque::new(),
            differences: BTreeMap::new(),
        }
    }

    /// Sends a command to both and compares the replies.
    fn step(&mut self, words: &[Vec<u8>], compare: Compare) {
        let shown = words.iter().map(|word| word.escape_ascii().to_string());
        self.history.push_back(shown.collect::<Vec<_>>().join(" "));
        if self.history.len() > 12 {
            self.history.pop_front();
        }
        let (theirs, ours) = match compare {
            Compare::Scan => (self.redis.scan(words), self.ours.scan(words)),
            _ => (self.redis.command(words), self.ours.command(words)),
        };
        if compare.same(&theirs, &ours) {
            return;
        }
        let steps = Vec::from(self.history.clone()).join("\n  ");
        let said = format!("\nredis: {theirs:?}\nours:  {ours:?}");
        self.differences.entry(said).or_insert(steps);
        // Start anew, so that one difference does not make others.
        self.redis.command(&split("FLUSHDB"));
        self.ours.command(&split("FLUSHDB"));
    }

    /// Demands that no replies differed.
    fn finish(self) {
        let shown = self.differences.iter().map(|(said, steps)| format!("after\n  {steps}{said}"));
        let shown: Vec<String> = shown.collect();
        assert!(shown.is_empty(), "{} replies differ:\n{}", shown.len(), shown.join("\n\n"));
    }

    /// Sends raw bytes to both and compares all that comes back until both close.
    fn raw(&mut self, bytes: &[u8]) {
        let theirs = self.redis.raw_until_end(bytes);
        let ours = self.ours.raw_until_end(bytes);
        assert_eq!(
            ours.escape_ascii().to_string(),
            theirs.escape_ascii().to_string(),
            "replies differ to {}",
            bytes[..bytes.len().min(200)].escape_ascii()
        );
    }
}

/// Runs every seed in one version of the protocol.
fn run(version: &str) {
    let (redis, ours) = (Redis::start(), Ours::start());
    for seed in seeds() {
        println!("replay: SEED={seed} make test-interop (RESP{version})");
        let mut pair = Pair::new(&redis, &ours);
        pair.step(&split(&format!("HELLO {version}")), Compare::Type);
        pair.step(&split("FLUSHDB"), Compare::Exactly);
        let mut random = Random::new(seed);
        for _ in 0..STEPS {
            let steps = match random.once_in(20) {
                true => commands::transaction(&mut random),
                false => vec![commands::any(&mut random)],
            };
            for (words, compare) in steps {
                pair.step(&words, compare);
            }
        }
        pair.step(&split("SCAN 0"), Compare::Scan);
        pair.finish();
    }
}

#[test]
fn replies_in_resp2_are_those_of_redis() {
    run("2");
}

#[test]
fn replies_in_resp3_are_those_of_redis() {
    run("3");
}

#[test]
fn streams_that_end_a_connection_are_answered_as_redis_answers_them() {
    let (redis, ours) = (Redis::start(), Ours::start());
    let long = "x".repeat(70_000);
    let streams = [
        "*x\r\n",
        "*\r\n",
        "*1048577000000\r\n",
        "*+1\r\n",
        "*01\r\n",
        "*1\r\n$x\r\n",
        "*1\r\n$\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n$536870913\r\n",
        "*1\r\nPING\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n\r\n",
        "*2\r\n$4\r\nPING\r\n+x\r\n",
        "set \"k\r\n",
        "set 'k\r\n",
        "set \"k\"v\r\n",
        "PING\r\n*x\r\nPING\r\n",
        "QUIT\r\n",
        // A page in a browser must not be able to send commands.
        "POST / HTTP/1.1\r\nHost: x\r\n\r\nPING\r\n",
        "quit x\r\nPING\r\n",
        "PING\r\nQUIT\r\nPING\r\n",
        "*1\r\n$4\r\nQUIT\r\n",
        &long,
        &format!("*{long}"),
        &format!("*1\r\n${long}"),
    ];
    for stream in streams {
        let mut pair = Pair::new(&redis, &ours);
        pair.raw(stream.as_bytes());
    }
}

#[test]
fn lines_are_split_as_redis_splits_them() {
    let (redis, ours) = (Redis::start(), Ours::start());
    let mut pair = Pair::new(&redis, &ours);
    let lines: [&[u8]; 16] = [
        b"\r\n",
        b"\n",
        b"   \r\n",
        b"*0\r\n",
        b"*-1\r\n",
        b"PING\n",
        b"  ECHO   hi  \r\n",
        b"echo \"a b\"\r\n",
        b"ECHO \"\\x41\\n\\q\\xzz\"\r\n",
        b"ECHO 'it\\'s'\r\n",
        b"ECHO a\"b c\"\r\n",
        b"ECHO d'e'\r\n",
        b"ECHO \"\"\r\n",
        b"ECHO ''\r\n",
        b"ECHO a\x0bb\r\n",
        b"*1\r\n$4\r\nPING\r\nECHO mixed\r\n",
    ];
    // A command behind the lines tells where their replies end.
    let end = b"*2\r\n$4\r\nECHO\r\n$3\r\nend\r\n";
    for line in lines {
        let until_end = |connection: &mut Connection| {
            connection.send(&[line, end].concat());
            let mut replies = Vec::new();
            while replies.last() != Some(&Value::Bulk("end".into())) {
                replies.push(connection.reply());
            }
            replies
        };
        let theirs = until_end(&mut pair.redis);
        assert_eq!(until_end(&mut pair.ours), theirs, "{}", line.escape_ascii());
    }
}
