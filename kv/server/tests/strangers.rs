//! What comes to the door for other stores and is none: bytes by chance, a store of another cluster,
//! one that says nothing or a byte at a time, many at once. The store goes on, and keeps none of it.

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

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use bytes::{Bytes, BytesMut};
use cluster::Cluster;
use proto::peer::{Epoch, Peer, PeerBody, PeerMessage, RegionId};
use proto::peer_frame::{PEER_FRAME_BYTES_MAX, PeerFrame, PeerHello};
use raft::{Body, Index, Message, NodeId, Term};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

fn door(cluster: &Cluster) -> SocketAddr {
    cluster.stores[&1].field("peer").parse().unwrap()
}

fn encode(frame: &PeerFrame) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame.encode(PEER_FRAME_BYTES_MAX, &mut out).unwrap();
    out.to_vec()
}

/// What a store of the cluster says first.
fn hello(from: u64) -> PeerHello {
    let address = "127.0.0.1:1".to_owned();
    PeerHello { cluster_id: 1, from, to: 1, address, ..PeerHello::default() }
}

/// Sends bytes, and reads what comes until the store closes the connection.
fn talk(cluster: &Cluster, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(door(cluster)).unwrap();
    // It may close before it has read all.
    let _ = socket.write_all(bytes).and_then(|()| socket.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    answer
}

/// How many files and sockets a store has open.
fn open_files(cluster: &Cluster) -> usize {
    let folder = format!("/proc/{}/fd", cluster.stores[&1].process.id());
    std::fs::read_dir(folder).unwrap().count()
}

/// A cluster of one, which must go on after `what`.
fn survives(what: impl FnOnce(&Cluster)) {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(1);
    while client.run("SET key 1") != "OK" {}
    let before = open_files(&cluster);
    what(&cluster);
    assert_eq!(client.run("GET key"), "\"1\"");
    assert_eq!(client.run("SET key 2"), "OK");
    // What was opened for strangers is closed again.
    while open_files(&cluster) > before {}
    assert_eq!(http::get(cluster.stores[&1].field("status").parse().unwrap(), "/health").0, 200);
}

#[test]
fn bytes_by_chance_are_refused() {
    let seed = std::env::var("SEED").ok().map_or(1, |text| text.parse().unwrap());
    println!("replay: SEED={seed} cargo test -p tinykv-server --test strangers");
    survives(|cluster| {
        let mut random = SmallRng::seed_from_u64(seed);
        for _ in 0..100 {
            let mut bytes = vec![0; random.random_range(0..4000)];
            random.fill_bytes(&mut bytes);
            assert!(talk(cluster, &bytes).is_empty());
        }
        // A length that is announced and never comes.
        assert!(talk(cluster, &[0xff; 12]).is_empty());
        assert!(talk(cluster, b"GET / HTTP/1.1\r\nHost: store\r\n\r\n").is_empty());
    });
}

#[test]
fn frames_of_a_store_with_damage_end_its_connection() {
    survives(|cluster| {
        let greeting = encode(&PeerFrame::Hello(hello(2)));
        let messages = encode(&PeerFrame::Messages(vec![Bytes::from(vec![7; 300]); 3]));
        let mut random = SmallRng::seed_from_u64(2);
        for _ in 0..50 {
            let mut bytes = [&greeting[..], &messages].concat();
            let place = random.random_range(greeting.len()..bytes.len());
            bytes[place] ^= 1 << random.random_range(0..8);
            talk(cluster, &bytes);
        }
        // Whole frames whose messages mean nothing, and a question that means nothing.
        talk(cluster, &[&greeting[..], &messages].concat());
        let ask = PeerFrame::Ask { id: 1, timeout_ms: 1000, body: Bytes::from_static(b"what?") };
        talk(cluster, &[&greeting[..], &encode(&ask)].concat());
    });
}

#[test]
fn a_store_of_another_cluster_hears_why() {
    survives(|cluster| {
        let other = PeerHello { cluster_id: 2, ..hello(2) };
        let answer = talk(cluster, &encode(&PeerFrame::Hello(other)));
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("this is cluster 1, not 2"), "{text}");
        let lost = PeerHello { to: 9, ..hello(2) };
        let answer = talk(cluster, &encode(&PeerFrame::Hello(lost)));
        assert!(String::from_utf8_lossy(&answer).contains("this is store 1, not 9"));
    });
}

#[test]
fn who_says_nothing_or_a_byte_at_a_time_is_given_up() {
    survives(|cluster| {
        let mut silent: Vec<TcpStream> =
            (0..20).map(|_| TcpStream::connect(door(cluster)).unwrap()).collect();
        // Each byte is in time; the greeting is not.
        let mut slow = TcpStream::connect(door(cluster)).unwrap();
        let greeting = encode(&PeerFrame::Hello(PeerHello { agent: "x".repeat(5000), ..hello(2) }));
        slow.set_read_timeout(Some(std::time::Duration::from_millis(20))).unwrap();
        for byte in &greeting {
            let sent = slow.write_all(&[*byte]).is_ok();
            match slow.read(&mut [0; 100]) {
                Err(error) if sent && error.kind() == std::io::ErrorKind::WouldBlock => {}
                _ => break,
            }
        }
        for socket in &mut silent {
            assert!(matches!(socket.read(&mut [0; 1]), Ok(0) | Err(_)));
        }
    });
}

#[test]
fn many_strangers_at_once_do_not_use_up_the_store() {
    survives(|cluster| {
        let before = open_files(cluster);
        let crowd: Vec<TcpStream> =
            (0..500).map(|_| TcpStream::connect(door(cluster)).unwrap()).collect();
        // All but some are turned away at once.
        while open_files(cluster) > before + 64 {}
        drop(crowd);
    });
}

#[test]
fn stores_that_nobody_added_are_known_up_to_a_limit() {
    survives(|cluster| {
        let welcome = |from| {
            let answer = talk(cluster, &encode(&PeerFrame::Hello(hello(from))));
            !String::from_utf8_lossy(&answer).contains("too many stores")
        };
        let known = (2..400).filter(|from| welcome(*from)).count();
        assert_eq!(known, 128);
    });
}

/// The leader, if that is who calls, was told that this store has entries which it has not. A store
/// that has forgotten what it promised ends, and says what to do.
#[test]
fn a_store_that_learns_that_it_has_forgotten_ends() {
    let mut cluster = Cluster::prepare(3, &[], BTreeMap::new());
    cluster.start_store(1);
    let peer = |id| Peer::voter(id, id);
    let heartbeat = Message {
        from: NodeId(2),
        to: NodeId(1),
        term: Term(100),
        body: Body::Heartbeat { commit: Index(1000), round: 1 },
    };
    let message = PeerMessage {
        region: RegionId(1),
        from: peer(2),
        to: peer(1),
        epoch: Epoch::FIRST,
        body: PeerBody::Raft(heartbeat),
    };
    let mut body = BytesMut::new();
    message.encode(&mut body);
    let greeting = encode(&PeerFrame::Hello(hello(2)));
    let messages = encode(&PeerFrame::Messages(vec![body.freeze()]));
    talk(&cluster, &[&greeting[..], &messages].concat());
    let (status, log) = cluster.stores.remove(&1).unwrap().wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("entries up to 1000 were acknowledged from here"), "{log}");
    assert!(log.contains("a new --store-id and --join"), "{log}");
}
