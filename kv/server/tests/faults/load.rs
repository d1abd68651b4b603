//! Clients that share keys, and have each call recorded.
//!
//! Of each store one client only reads, and stays with it whatever happens: who is cut off must not
//! answer with the past. Others write and read through RESP, and go to another store when theirs
//! does not answer; the rest use the native client, which finds the leader.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use client::{Client as Native, Options};
use proto::resp::{Limits, ReplyDecoder, Value};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use sim::history::{Answer, Kind, Op};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::record::Recorder;
use super::resp::encode;

/// How long a client waits for an answer. The outcome of a write is unknown after that.
const PATIENCE: Duration = Duration::from_millis(2500);

/// Keys of a group.
const KEYS: u64 = 4;

/// Calls through another store, before a client tries its own again.
const HOME_CALLS: u64 = 100;

/// The clients.
pub(crate) struct Load {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    doors: Vec<SocketAddr>,
}

impl Load {
    /// Starts clients of stores, of each of which the doors for the native protocol and for RESP
    /// are given.
    pub(crate) fn start(
        recorder: &Arc<Recorder>,
        doors: impl Iterator<Item = [SocketAddr; 2]>,
        seed: u64,
    ) -> Load {
        let (natives, doors): (Vec<_>, Vec<_>) = doors.map(|[native, resp]| (native, resp)).unzip();
        let natives: Vec<String> = natives.iter().map(SocketAddr::to_string).collect();
        let stop = watch::channel(false).0;
        let mut tasks = JoinSet::new();
        let resp = |home, stays| Door::Resp(Resp::new(&doors, home, stays));
        let kinds = (0..doors.len()).map(|home| (true, resp(home, true)));
        let kinds = kinds.chain((0..doors.len()).map(|home| (false, resp(home, false))));
        let native = || (false, Door::Native { addresses: natives.join(","), client: None });
        for (process, (reads, door)) in (1..).zip(kinds.chain([native(), native()])) {
            let random = SmallRng::seed_from_u64(seed ^ (process << 32));
            let recorder = Arc::clone(recorder);
            let client = Client { process, reads, door, random, recorder, values: 0, seen: None };
            tasks.spawn(client.run(stop.subscribe()));
        }
        Load { stop, tasks, doors }
    }

    /// Waits until all have had their last answer, or given it up. Gives the doors for RESP.
    pub(crate) async fn stop(self) -> Vec<SocketAddr> {
        self.stop.send_replace(true);
        self.tasks.join_all().await;
        self.doors
    }
}

/// Reads all keys that were ever used, through each store.
pub(crate) async fn read_all(recorder: &Recorder, doors: &[SocketAddr]) {
    let groups = recorder.group();
    for (process, home) in (101..).zip(0..doors.len()) {
        let mut door = Door::Resp(Resp::new(doors, home, true));
        for key in (0..=groups).flat_map(|group| (0..KEYS).map(move |key| name(group, key))) {
            let op = Op::Get { key };
            loop {
                let call = recorder.begin(process, op.clone());
                let end = door.call(&op).await;
                let is_answered = matches!(end, Kind::Ok { .. });
                recorder.end(process, call, end, true);
                if is_answered {
                    break;
                }
            }
        }
    }
}

fn name(group: u64, key: u64) -> String {
    format!("g{group}k{key}")
}

struct Client {
    process: u64,
    /// It does nothing else.
    reads: bool,
    door: Door,
    random: SmallRng,
    recorder: Arc<Recorder>,
    /// How many values it has made: each is written once.
    values: u64,
    /// A key, and what it saw there last.
    seen: Option<(String, Option<String>)>,
}

impl Client {
    async fn run(mut self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let op = self.choose();
            let call = self.recorder.begin(self.process, op.clone());
            let end = self.door.call(&op).await;
            if let (Op::Get { key }, Kind::Ok { answer: Answer::Value(value) }) = (&op, &end) {
                self.seen = Some((key.clone(), value.clone()));
            }
            let failed = matches!(end, Kind::Fail { .. });
            self.recorder.end(self.process, call, end, op.is_read());
            // What fails at once must not be asked again and again without a pause.
            let pause = if failed { 100..300 } else { 1..6 };
            sleep(Duration::from_millis(self.random.random_range(pause))).await;
        }
    }

    fn choose(&mut self) -> Op {
        let key = name(self.recorder.group(), self.random.random_range(0..KEYS));
        if self.reads || self.random.random_bool(0.4) {
            return Op::Get { key };
        }
        self.values += 1;
        let value = format!("{}.{}", self.process, self.values);
        match self.random.random_range(0..10) {
            0 if self.door.is_resp() => Op::Append { key, value: format!(",{value}") },
            0 | 1 => Op::Delete { key },
            2 | 3 => {
                let seen = self.seen.take().filter(|_| !self.door.is_resp());
                let (key, expected) = seen.unwrap_or((key, None));
                Op::Cas { key, expected, value }
            }
            _ => Op::Put { key, value },
        }
    }
}

/// How a client reaches the stores.
enum Door {
    Resp(Resp),
    Native { addresses: String, client: Option<Native> },
}

impl Door {
    fn is_resp(&self) -> bool {
        matches!(self, Door::Resp(_))
    }

    /// Does a call, and says how it ended.
    async fn call(&mut self, op: &Op) -> Kind {
        match self {
            Door::Resp(resp) => resp.call(op).await,
            Door::Native { addresses, client } => {
                if client.is_none() {
                    let options = Options { timeout: PATIENCE, ..Options::default() };
                    *client = Native::connect(addresses.clone(), options).await.ok();
                }
                match client {
                    Some(client) => native(client, op).await,
                    None => Kind::Fail { why: "no connection".to_owned() },
                }
            }
        }
    }
}

/// Does a call with the native client, whose errors say whether it may have had an effect.
async fn native(client: &Native, op: &Op) -> Kind {
    let raw = client.raw();
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let result = match op.clone() {
        Op::Get { key } => raw.get(key).await.map(|value| Answer::Value(value.map(text))),
        Op::Put { key, value } => raw.put(key, value).await.map(|()| Answer::Done),
        Op::Delete { key } => raw.delete(key).await.map(|it| Answer::Count(it.into())),
        Op::Cas { key, expected, value } => {
            let swap = raw.compare_and_swap(key, expected.map(Bytes::from), value);
            swap.await.map(|it| Answer::Stored(it.swapped))
        }
        other => unreachable!("native clients do not {}", other.short()),
    };
    match result {
        Ok(answer) => Kind::Ok { answer },
        Err(error) if error.kind() == "undetermined" => Kind::Info { why: error.to_string() },
        Err(error) => Kind::Fail { why: error.to_string() },
    }
}

/// A client of RESP.
struct Resp {
    doors: Vec<SocketAddr>,
    home: usize,
    /// It never asks another store.
    stays: bool,
    /// The store that it asks now.
    at: usize,
    /// Calls since it left its own.
    away: u64,
    connection: Option<Box<Connection>>,
}

struct Connection {
    socket: TcpStream,
    decoder: ReplyDecoder,
    input: BytesMut,
}

impl Resp {
    fn new(doors: &[SocketAddr], home: usize, stays: bool) -> Resp {
        Resp { doors: doors.to_vec(), home, stays, at: home, away: 0, connection: None }
    }

    async fn call(&mut self, op: &Op) -> Kind {
        self.go_home();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match timeout(PATIENCE, Connection::open(self.doors[self.at])).await {
                Ok(Some(connection)) => connection,
                _ => {
                    self.leave();
                    return Kind::Fail { why: "no connection".to_owned() };
                }
            },
        };
        let reply = timeout(PATIENCE, connection.ask(&words(op))).await;
        match reply {
            Ok(Some(reply)) => {
                let kind = end(op, reply);
                match kind {
                    Kind::Ok { .. } => self.connection = Some(connection),
                    // It may answer soon, or know a leader soon; another one may sooner.
                    _ => self.leave(),
                }
                kind
            }
            _ => {
                self.leave();
                unknown(op, "no answer")
            }
        }
    }

    fn go_home(&mut self) {
        if self.at != self.home {
            self.away += 1;
            if self.away > HOME_CALLS {
                (self.at, self.away, self.connection) = (self.home, 0, None);
            }
        }
    }

    /// Asks another store from now on.
    fn leave(&mut self) {
        self.connection = None;
        if !self.stays {
            (self.at, self.away) = ((self.at + 1) % self.doors.len(), 0);
        }
    }
}

impl Connection {
    /// Connects, and makes sure that somebody answers: behind a door there may be nobody.
    async fn open(address: SocketAddr) -> Option<Box<Connection>> {
        let socket = TcpStream::connect(address).await.ok()?;
        socket.set_nodelay(true).ok()?;
        let decoder = ReplyDecoder::new(Limits::default());
        let mut connection = Box::new(Connection { socket, decoder, input: BytesMut::new() });
        connection.ask(&["PING".to_owned()]).await.map(|_| connection)
    }

    async fn ask(&mut self, words: &[String]) -> Option<Value> {
        let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        self.socket.write_all(&encode(&words)).await.ok()?;
        loop {
            if let Some(value) = self.decoder.decode(&mut self.input).unwrap() {
                return Some(value);
            }
            if self.socket.read_buf(&mut self.input).await.ok()? == 0 {
                return None;
            }
        }
    }
}

/// The command that does an operation.
fn words(op: &Op) -> Vec<String> {
    let text = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    match op {
        Op::Get { key } => text(&["GET", key]),
        Op::Put { key, value } => text(&["SET", key, value]),
        Op::Append { key, value } => text(&["APPEND", key, value]),
        Op::Delete { key } => text(&["DEL", key]),
        Op::Cas { key, expected: None, value } => text(&["SET", key, value, "NX"]),
        other => unreachable!("RESP clients do not {}", other.short()),
    }
}

/// What a reply says of a call.
fn end(op: &Op, reply: Value) -> Kind {
    let answer = match (op, reply) {
        (_, Value::Error(line) | Value::BulkError(line)) => {
            let why = String::from_utf8_lossy(&line).into_owned();
            // Of these the server says that nothing was done.
            return match why.starts_with("CLUSTERDOWN") || why.starts_with("BUSY") {
                true => Kind::Fail { why },
                false => unknown(op, &why),
            };
        }
        (Op::Get { .. }, Value::Null) => Answer::Value(None),
        (Op::Get { .. }, Value::Bulk(value)) => {
            Answer::Value(Some(String::from_utf8(value.to_vec()).unwrap()))
        }
        (Op::Put { .. }, Value::Simple(_)) => Answer::Done,
        (Op::Append { .. } | Op::Delete { .. }, Value::Integer(count)) => {
            Answer::Count(count.try_into().unwrap())
        }
        (Op::Cas { .. }, Value::Simple(_)) => Answer::Stored(true),
        (Op::Cas { .. }, Value::Null) => Answer::Stored(false),
        (op, reply) => panic!("{} is answered by {reply:?}", op.short()),
    };
    Kind::Ok { answer }
}

/// The end of a call that was sent, and of which nobody knows what it did.
fn unknown(op: &Op, why: &str) -> Kind {
    let why = why.to_owned();
    match op.is_read() {
        true => Kind::Fail { why },
        false => Kind::Info { why },
    }
}
