//! A cluster whose keys are split into regions, each with a leader of its own: clients of any store
//! notice nothing, but for what cannot be done at once in several regions.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/http.rs"]
mod http;
#[path = "support/program.rs"]
mod program;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/resp.rs"]
mod resp;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::{Bytes, BytesMut};
use cluster::Cluster;
use proto::admin::Request as Admin;
use proto::frame::FrameDecoder;
use proto::raw::{Request as Raw, Response as Answer};
use proto::{Action, Error, ErrorCode, Message, Request, Response};
use resp::Resp;

/// Four regions. Requests wait for a leader longer than a slow machine needs for some elections,
/// which should not happen by themselves.
const FLAGS: [&str; 3] =
    ["--split-keys=d,m,t", "--request-timeout=60s", "--raft-election-ticks=40"];

/// A connection of the native protocol.
struct Native {
    socket: TcpStream,
    input: BytesMut,
}

impl Native {
    fn connect(cluster: &Cluster, store: u64) -> Native {
        let address: SocketAddr = cluster.stores[&store].field("native").parse().unwrap();
        Native { socket: TcpStream::connect(address).unwrap(), input: BytesMut::new() }
    }

    fn call(&mut self, request: Request) -> Result<Response, Error> {
        let mut out = BytesMut::new();
        Message::Request(request).encode(7, 1 << 30, &mut out).unwrap();
        self.socket.write_all(&out).unwrap();
        loop {
            if let Some(frame) = FrameDecoder::default().decode(&mut self.input).unwrap() {
                return match Message::decode(&frame).unwrap() {
                    Message::Response(response) => Ok(response),
                    Message::Error(error) => Err(error),
                    other => panic!("{other:?} is no answer"),
                };
            }
            let mut chunk = [0; 16 << 10];
            let bytes = self.socket.read(&mut chunk).unwrap();
            assert!(bytes > 0, "the store closed the connection");
            self.input.extend_from_slice(&chunk[..bytes]);
        }
    }

    fn raw(&mut self, request: Raw) -> Result<Answer, Error> {
        match self.call(Request::Raw(request))? {
            Response::Raw(answer) => Ok(answer),
            Response::Admin(_) => panic!("that is no answer"),
        }
    }

    fn admin(&mut self, request: Admin) -> String {
        match self.call(Request::Admin(request)) {
            Ok(Response::Admin(answer)) => answer.json,
            other => panic!("{other:?} is no answer"),
        }
    }

    /// Who leads each region, as the store knows it.
    fn leaders(&mut self) -> Vec<Option<u64>> {
        let regions = self.admin(Admin::Regions);
        let leader = |text: &str| {
            let rest = text.split("\"leader_store\":").nth(1)?;
            rest.split([',', '}']).next()?.parse().ok()
        };
        regions.split("\"applied\"").skip(1).map(leader).collect()
    }
}

fn b(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Has the regions led by stores 1, 2, 3 and 1, and waits until all know.
fn spread(cluster: &Cluster) {
    for (region, store) in [(1, 1), (2, 2), (3, 3), (4, 1)] {
        let mut asked = false;
        while cluster
            .stores
            .keys()
            .any(|id| Native::connect(cluster, *id).leaders()[region as usize - 1] != Some(store))
        {
            let leader = Native::connect(cluster, 1).leaders()[region as usize - 1];
            if let Some(leader) = leader.filter(|leader| *leader != store && !asked) {
                let request = Admin::TransferLeader { region, store };
                // One that loses it meanwhile is asked again.
                asked = Native::connect(cluster, leader).call(Request::Admin(request)).is_ok();
            }
            std::thread::yield_now();
        }
    }
}

#[test]
fn clients_of_any_store_use_keys_of_all_regions() {
    let cluster = Cluster::start(3, &FLAGS);
    spread(&cluster);
    let mut clients: Vec<Resp> = (1..=3).map(|id| cluster.client(id)).collect();
    for (at, key) in ["a", "d", "lll", "m", "tz", "z"].into_iter().enumerate() {
        assert_eq!(clients[at % 3].run(&format!("SET {key} {at}")), "OK");
        for client in &mut clients {
            assert_eq!(client.run(&format!("GET {key}")), format!("\"{at}\""));
        }
    }
    for client in &mut clients {
        assert_eq!(
            client.run("MGET z absent a m z d"),
            "[\"5\", (nil), \"0\", \"3\", \"5\", \"1\"]"
        );
        assert_eq!(client.run("EXISTS a d z z absent"), "4");
        assert_eq!(client.run("KEYS *"), "[\"a\", \"d\", \"lll\", \"m\", \"tz\", \"z\"]");
        let size = client.run("DBSIZE");
        assert!(size == "6" || !program::counts_keys(), "{size}");
        assert_eq!(client.run("MSET a 0 aa 1 b 2"), "OK", "all in one region");
        assert_eq!(client.run("DEL aa b"), "2");
        let refused = client.run("MSET a 0 z 1");
        assert!(refused.starts_with("(error) CROSSSLOT the keys are in several"), "{refused}");
        let refused = client.run("MSETNX x 0 e 1");
        assert!(refused.starts_with("(error) CROSSSLOT "), "{refused}");
    }
    assert_eq!(clients[0].run("EXISTS x e"), "0", "what was refused changed nothing");
    assert_eq!(clients[1].run("DEL a d z absent"), "3");
    assert_eq!(clients[2].run("KEYS *"), "[\"lll\", \"m\", \"tz\"]");
    assert_eq!(clients[2].run("FLUSHALL"), "OK");
    assert_eq!(clients[0].run("KEYS *"), "[]");
}

#[test]
fn a_pipeline_over_several_regions_is_answered_in_order() {
    let cluster = Cluster::start(3, &FLAGS);
    spread(&cluster);
    for id in 1..=3 {
        let mut client = cluster.client(id);
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for round in 0..20 {
            for key in ["a", "e", "n", "u"] {
                let value = format!("{key}{round}");
                bytes.extend(resp::encode(&[b"SET", key.as_bytes(), value.as_bytes()]));
                bytes.extend(resp::encode(&[b"GET", key.as_bytes()]));
                expected.push("OK".to_owned());
                expected.push(format!("\"{value}\""));
            }
            bytes.extend(resp::encode(&[b"MGET", b"u", b"a"]));
            expected.push(format!("[\"u{round}\", \"a{round}\"]"));
            bytes.extend(resp::encode(&[b"MSET", b"a", b"x", b"u", b"x"]));
            expected.push("CROSSSLOT".to_owned());
            bytes.extend(resp::encode(&[b"DEL", b"a", b"u", b"absent"]));
            expected.push("2".to_owned());
        }
        client.send_raw(&bytes);
        for (at, expected) in expected.iter().enumerate() {
            let answer = resp::show(&client.receive().unwrap());
            let is_refused = expected == "CROSSSLOT" && answer.starts_with("(error) CROSSSLOT");
            assert!(is_refused || answer == *expected, "{at}: {answer}, not {expected}");
        }
    }
}

#[test]
fn scans_go_on_over_the_borders_of_regions() {
    let cluster = Cluster::start(3, &FLAGS);
    spread(&cluster);
    let keys: BTreeSet<String> =
        ('a'..='z').flat_map(|c| (0..4).map(move |n| format!("{c}{n}"))).collect();
    let mut client = cluster.client(2);
    for key in &keys {
        assert_eq!(client.run(&format!("SET {key} {key}")), "OK");
    }
    for id in 1..=3 {
        let mut client = cluster.client(id);
        for count in [1, 7, 1000] {
            let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
            loop {
                client.send(&[b"SCAN", cursor.as_bytes(), b"COUNT", count.to_string().as_bytes()]);
                let text = resp::show(&client.receive().unwrap()).replace(['[', ']', '"', ' '], "");
                let mut words = text.split(',').map(str::to_owned);
                cursor = words.next().unwrap();
                found.extend(words.filter(|word| !word.is_empty()));
                if cursor == "0" {
                    break;
                }
            }
            assert!(found.iter().eq(&keys), "COUNT {count}: {found:?}");
        }
        let mut native = Native::connect(&cluster, id);
        let all: Vec<&String> = keys.iter().collect();
        for (limit, reverse) in [(1, false), (30, false), (1000, false), (30, true), (1000, true)] {
            let request = Raw::Scan {
                cf: "default".into(),
                start: b("b"),
                end: Some(b("y")),
                limit,
                reverse,
                keys_only: true,
            };
            let Ok(Answer::Pairs(pairs)) = native.raw(request) else { panic!("no pairs") };
            let inside = all.iter().filter(|key| ("b".."y").contains(&key.as_str()));
            let mut expected: Vec<&str> = inside.map(|key| key.as_str()).collect();
            if reverse {
                expected.reverse();
            }
            expected.truncate(limit as usize);
            let found: Vec<&str> =
                pairs.iter().map(|(key, _)| std::str::from_utf8(key).unwrap()).collect();
            assert_eq!(found, expected, "limit {limit}, reverse {reverse}");
        }
    }
}

#[test]
fn native_clients_are_told_what_cannot_be_done_at_once() {
    let cluster = Cluster::start(3, &FLAGS);
    spread(&cluster);
    for id in 1..=3 {
        let mut native = Native::connect(&cluster, id);
        let put = |keys: &[&str]| Raw::BatchPut {
            cf: "default".into(),
            pairs: keys.iter().map(|key| (b(key), b("v"))).collect(),
            ttl_ms: None,
        };
        assert_eq!(native.raw(put(&["a", "b"])), Ok(Answer::Done));
        let error = native.raw(put(&["a", "z"])).unwrap_err();
        assert_eq!((error.code, error.action), (ErrorCode::SeveralRegions, Action::Reject));
        for key in ["e", "n", "z"] {
            assert_eq!(native.raw(put(&[key])), Ok(Answer::Done), "whoever leads");
        }
        let keys = ["a", "e", "x", "z"].map(b).to_vec();
        let get = Raw::BatchGet { cf: "default".into(), keys: keys.clone() };
        let value = Some(b("v"));
        let expected = vec![value.clone(), value.clone(), None, value];
        assert_eq!(native.raw(get), Ok(Answer::Values(expected)));
        let delete = Raw::BatchDelete { cf: "default".into(), keys };
        assert_eq!(native.raw(delete), Ok(Answer::Deleted(3)));
        let range = Raw::DeleteRange { cf: "default".into(), start: b("b"), end: Some(b("y")) };
        assert_eq!(native.raw(range), Ok(Answer::Done));
        let left = Raw::Scan {
            cf: "default".into(),
            start: Bytes::new(),
            end: None,
            limit: 10,
            reverse: false,
            keys_only: true,
        };
        assert_eq!(native.raw(left), Ok(Answer::Pairs(Vec::new())));
    }
}

#[test]
fn regions_whose_leader_dies_get_another_one_and_the_rest_go_on() {
    let mut cluster = Cluster::start(3, &FLAGS);
    spread(&cluster);
    let mut client = cluster.client(1);
    assert_eq!(client.run("SET n old"), "OK", "store 3 leads its region");
    cluster.kill(3);
    // One of the requests on their way has no known outcome.
    while client.run("SET n new") != "OK" {}
    assert_eq!(client.run("SET a 1"), "OK");
    let mut other = cluster.client(2);
    assert_eq!(other.run("MGET a n"), "[\"1\", \"new\"]");
    cluster.start_store(3);
    let mut back = cluster.client(3);
    assert_eq!(back.run("MGET a e n z"), "[\"1\", (nil), \"new\", (nil)]");
    assert_eq!(back.run("KEYS *"), "[\"a\", \"n\"]");
}

#[test]
fn keys_expire_in_all_regions() {
    let cluster = Cluster::start(3, &FLAGS);
    spread(&cluster);
    let mut client = cluster.client(1);
    for key in ["a", "e", "n", "z"] {
        assert_eq!(client.run(&format!("SET {key} v PX 1")), "OK");
    }
    // Not only hidden, but removed, on every store; where keys are not counted, they are hidden.
    for id in 1..=3 {
        let mut client = cluster.client(id);
        while program::counts_keys() && client.run("DBSIZE") != "0" {}
        while client.run("EXISTS a e n z") != "0" {}
    }
}

#[test]
fn stores_that_began_with_other_regions_or_members_are_refused() {
    // Store 2 is not there yet; whoever comes with other regions is told so.
    let three = "--cluster=1=127.0.0.1:0,2=127.0.0.1:1,3=127.0.0.1:1";
    let both = "--cluster=1=127.0.0.1:0,2=127.0.0.1:1";
    // Another list of members makes other majorities, that need not have a store in common.
    let alone = "--cluster=1=127.0.0.1:0";
    for (ones, twos) in [
        ([both, "--split-keys=d"], "e"),
        ([three, "--split-keys=e"], "e"),
        ([alone, "--join=false"], ""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let flags = [ones[0], "--store-id=1", ones[1]];
        let one = program::Program::start(&folder.path().join("1"), &flags);
        let members = format!("--cluster=1={},2=127.0.0.1:0", one.field("peer"));
        let keys = format!("--split-keys={twos}");
        let flags = [&members[..], "--store-id=2", &keys];
        let mut two = program::command(&folder.path().join("2"), &flags).spawn().unwrap();
        let log = BufReader::new(two.stderr.take().unwrap());
        let mut lines = log.lines().map_while(Result::ok);
        let reason = "compare --cluster and --split-keys";
        let line =
            lines.find(|line| line.contains(reason) || line.contains("connected to a store"));
        two.kill().unwrap();
        two.wait().unwrap();
        assert!(line.unwrap().contains(reason), "store 2 says why it is refused: {ones:?}");
    }
}

#[test]
fn keys_that_split_are_in_order_and_need_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, reason) in [
        (&["--split-keys=b,a", "--cluster=1=127.0.0.1:0", "--store-id=1"][..], "sort the keys"),
        (&["--split-keys=a"], "--split-keys needs --cluster"),
    ] {
        let output = program::command(folder.path(), flags).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(reason), "{error}");
    }
}
