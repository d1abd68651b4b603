//! The client library that most Rust programs use for redis, against our server without special
//! settings: every command of the front door, in RESP2 and in RESP3.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "interop/ours.rs"]
mod ours;
#[path = "support/program.rs"]
mod program;

use std::collections::{BTreeMap, BTreeSet};

use ours::Ours;
use redis::{
    Commands, Connection, ConnectionLike, ErrorKind, ExistenceCheck, Expiry, RedisResult,
    ServerErrorKind, SetExpiry, SetOptions, cmd, pipe,
};

/// A new connection, in the version that the address asks for.
fn connect(server: &Ours, protocol: &str) -> Connection {
    let url = format!("redis://{}/?protocol={protocol}", server.resp_addr());
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

/// Runs `body` on a new server in both versions.
fn in_both_versions(body: impl Fn(&mut Connection)) {
    let server = Ours::start();
    for protocol in ["resp2", "resp3"] {
        let mut connection = connect(&server, protocol);
        () = cmd("FLUSHDB").query(&mut connection).unwrap();
        body(&mut connection);
    }
}

/// Checks how many keys there are, if the engine counts them.
fn check_size(c: &mut Connection, keys: u64) {
    let size: u64 = cmd("DBSIZE").query(c).unwrap();
    assert!(size == keys || !program::counts_keys(), "{size} keys, not {keys}");
}

#[test]
fn values_are_set_and_read() {
    in_both_versions(|c| {
        let _: () = c.set("k", "v").unwrap();
        assert_eq!(c.get::<_, Option<String>>("k").unwrap().as_deref(), Some("v"));
        assert_eq!(c.get::<_, Option<String>>("absent").unwrap(), None);
        let binary = vec![0_u8, 255, 13, 10];
        let _: () = c.set(&binary, &binary).unwrap();
        assert_eq!(c.get::<_, Vec<u8>>(&binary).unwrap(), binary);
        let _: () = c.set("empty", "").unwrap();
        assert_eq!(c.get::<_, Option<String>>("empty").unwrap().as_deref(), Some(""));
        let large = "x".repeat(1 << 20);
        let _: () = c.set("large", &large).unwrap();
        assert_eq!(c.get::<_, String>("large").unwrap(), large);
        assert_eq!(c.strlen::<_, usize>("large").unwrap(), 1 << 20);
        assert_eq!(c.append::<_, _, usize>("k", "w").unwrap(), 2);
        assert_eq!(c.key_type::<_, String>("k").unwrap(), "string");
        assert_eq!(c.key_type::<_, String>("absent").unwrap(), "none");
    });
}

#[test]
fn a_set_keeps_its_conditions() {
    in_both_versions(|c| {
        assert!(c.set_nx::<_, _, bool>("k", 1).unwrap());
        assert!(!c.set_nx::<_, _, bool>("k", 2).unwrap());
        let only_new = SetOptions::default().conditional_set(ExistenceCheck::NX);
        assert_eq!(c.set_options::<_, _, Option<String>>("k", 3, only_new).unwrap(), None);
        let get = SetOptions::default().conditional_set(ExistenceCheck::XX).get(true);
        assert_eq!(c.set_options::<_, _, Option<i64>>("k", 4, get).unwrap(), Some(1));
        assert_eq!(c.getset::<_, _, Option<i64>>("k", 5).unwrap(), Some(4));
        assert_eq!(c.get_del::<_, Option<i64>>("k").unwrap(), Some(5));
        assert_eq!(c.get_del::<_, Option<i64>>("k").unwrap(), None);
    });
}

#[test]
fn many_keys_at_once() {
    in_both_versions(|c| {
        let _: () = c.mset(&[("a", 1), ("b", 2)]).unwrap();
        let values: Vec<Option<i64>> = c.mget(&["a", "absent", "b"]).unwrap();
        assert_eq!(values, [Some(1), None, Some(2)]);
        assert_eq!(c.exists::<_, u64>(&["a", "b", "a", "absent"]).unwrap(), 3);
        assert_eq!(c.del::<_, u64>(&["a", "absent"]).unwrap(), 1);
        assert_eq!(c.unlink::<_, u64>(&["b"]).unwrap(), 1);
        check_size(c, 0);
    });
}

#[test]
fn counters_count() {
    in_both_versions(|c| {
        assert_eq!(cmd("INCR").arg("n").query::<i64>(c).unwrap(), 1);
        assert_eq!(c.incr::<_, _, i64>("n", 41).unwrap(), 42);
        assert_eq!(cmd("DECR").arg("n").query::<i64>(c).unwrap(), 41);
        assert_eq!(c.decr::<_, _, i64>("n", 50).unwrap(), -9);
        let _: () = c.set("text", "x").unwrap();
        let error = c.incr::<_, _, i64>("text", 1).unwrap_err();
        assert_eq!(error.detail(), Some("value is not an integer or out of range"));
        let _: () = c.set("n", i64::MAX).unwrap();
        assert!(c.incr::<_, _, i64>("n", 1).is_err());
        assert_eq!(c.get::<_, i64>("n").unwrap(), i64::MAX);
    });
}

#[test]
fn keys_live_as_long_as_they_were_told() {
    in_both_versions(|c| {
        let hour = SetOptions::default().with_expiration(SetExpiry::EX(3600));
        let _: () = c.set_options("k", "v", hour).unwrap();
        assert!((3500..=3600).contains(&c.ttl::<_, i64>("k").unwrap()));
        assert!((3_500_000..=3_600_000).contains(&c.pttl::<_, i64>("k").unwrap()));
        assert!(c.persist::<_, bool>("k").unwrap());
        assert_eq!(c.ttl::<_, i64>("k").unwrap(), -1);
        assert_eq!(c.ttl::<_, i64>("absent").unwrap(), -2);
        assert!(c.expire::<_, bool>("k", 1000).unwrap());
        assert!(c.pexpire::<_, bool>("k", 2_000_000).unwrap());
        assert!((1900..=2000).contains(&c.ttl::<_, i64>("k").unwrap()));
        assert_eq!(c.get_ex::<_, String>("k", Expiry::PERSIST).unwrap(), "v");
        assert_eq!(c.ttl::<_, i64>("k").unwrap(), -1);
        // A time in the past removes the key.
        assert!(c.expire::<_, bool>("k", -1).unwrap());
        assert!(!c.exists::<_, bool>("k").unwrap());
    });
}

#[test]
fn keys_are_listed() {
    in_both_versions(|c| {
        let all: BTreeSet<String> = (0..250).map(|n| format!("key:{n}")).collect();
        for key in &all {
            let _: () = c.set(key, "").unwrap();
        }
        let _: () = c.set("other", "").unwrap();
        let found: RedisResult<BTreeSet<String>> = c.scan_match("key:*").unwrap().collect();
        assert_eq!(found.unwrap(), all);
        let found: RedisResult<BTreeSet<String>> = c.scan().unwrap().collect();
        assert_eq!(found.unwrap().len(), 251);
        assert_eq!(c.keys::<_, Vec<String>>("o*").unwrap(), ["other"]);
        check_size(c, 251);
        () = cmd("FLUSHDB").query(c).unwrap();
        check_size(c, 0);
    });
}

#[test]
fn a_pipeline_is_answered_in_order() {
    in_both_versions(|c| {
        let mut pipeline = pipe();
        for number in 0..500 {
            pipeline.set(number, number).ignore().get(number);
        }
        let values: Vec<i64> = pipeline.query(c).unwrap();
        assert_eq!(values, (0..500).collect::<Vec<i64>>());
    });
}

#[test]
fn the_connection_is_described() {
    in_both_versions(|c| {
        assert_eq!(cmd("PING").query::<String>(c).unwrap(), "PONG");
        assert_eq!(cmd("ECHO").arg("hi").query::<String>(c).unwrap(), "hi");
        assert!(c.check_connection());
        () = cmd("SELECT").arg(0).query(c).unwrap();
        assert!(cmd("SELECT").arg(99_999).query::<()>(c).is_err());
        let _: () = c.client_setname("me").unwrap();
        assert_eq!(c.client_getname::<Option<String>>().unwrap().as_deref(), Some("me"));
        assert!(c.client_id::<i64>().unwrap() > 0);
        let hello: BTreeMap<String, redis::Value> = cmd("HELLO").query(c).unwrap();
        assert!(hello.contains_key("server") && hello.contains_key("proto"), "{hello:?}");
        let info: redis::InfoDict = cmd("INFO").query(c).unwrap();
        assert!(info.get::<String>("redis_version").is_some());
        assert_eq!(info.get::<u8>("loading"), Some(0));
        let config: BTreeMap<String, String> =
            cmd("CONFIG").arg("GET").arg("appendonly").query(c).unwrap();
        assert_eq!(config.keys().collect::<Vec<_>>(), ["appendonly"]);
        let count: usize = cmd("COMMAND").arg("COUNT").query(c).unwrap();
        assert!(count >= 30, "{count}");
        let docs: BTreeMap<String, redis::Value> =
            cmd("COMMAND").arg("DOCS").arg("get").query(c).unwrap();
        assert!(docs.contains_key("get"));
        let info: Vec<redis::Value> = cmd("COMMAND").arg("INFO").arg("get").query(c).unwrap();
        assert_eq!(info.len(), 1);
        assert_eq!(cmd("QUIT").query::<String>(c).unwrap(), "OK");
        assert!(cmd("PING").query::<String>(c).is_err(), "the connection is closed");
    });
}

#[test]
fn an_unknown_command_is_refused_and_the_connection_goes_on() {
    in_both_versions(|c| {
        let error = cmd("NONSENSE").arg("k").arg("v").query::<()>(c).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError));
        assert_eq!(
            error.detail(),
            Some("unknown command 'NONSENSE', with args beginning with: 'k' 'v' ")
        );
        assert_eq!(cmd("PING").query::<String>(c).unwrap(), "PONG");
    });
}
