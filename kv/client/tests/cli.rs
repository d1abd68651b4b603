//! The contract of `tinykv`: what it prints, where, and its exit code. Runs the real program
//! against a real server in this process, which keeps its data in memory.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/program.rs"]
mod program;

use program::{Nobody, Tinykv};
use server::config::{Config, Request};
use server::{Running, Server};

/// A server, and the program set up for it.
struct Store {
    tinykv: Tinykv,
    _server: Running,
}

impl std::ops::Deref for Store {
    type Target = Tinykv;

    fn deref(&self) -> &Tinykv {
        &self.tinykv
    }
}

fn config() -> Config {
    let flags = ["--engine=memory", "--addr=127.0.0.1:0", "--resp-addr=off", "--status-addr=off"];
    let args = ["tinykv-server"].into_iter().chain(flags).map(str::to_owned);
    match Request::parse(args.collect()).unwrap() {
        Request::Run(config) => *config,
        Request::Print(text) => panic!("{text}"),
    }
}

fn start() -> Store {
    let server = Server::start(config()).unwrap();
    let tinykv = Tinykv::on(server.addresses().native.unwrap());
    Store { tinykv, _server: server }
}

#[test]
fn no_arguments_fail_and_show_the_help() {
    let run = start().run::<&str>(&[]);
    assert_ne!(run.code, 0);
    assert_eq!(run.out(), "");
    assert!(run.err().contains("Usage: tinykv"), "{}", run.err());
}

#[test]
fn version() {
    let run = start().run(&["-V"]);
    assert_eq!((run.code, run.out()), (0, concat!("tinykv ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn wrong_usage_fails() {
    let tinykv = start();
    for args in [
        &["get"][..],
        &["get", "a", "b"],
        &["set"],
        &["set", "a"],
        &["set", "a", "b", "c"],
        &["rm"],
        &["rm", "a", "b"],
        &["unknown"],
        &["unknown", "subcommand"],
        &["get", "a", "--addr", "invalid-addr"],
        &["set", "a", "b", "--addr", "127.0.0.1:port"],
        &["rm", "a", "--addr", ""],
        &["get", "a", "--unknown-flag"],
        &["get", "a", "--timeout", "0s"],
        &["get", "a", "--timeout", "soon"],
        &["raw"],
        &["raw", "unknown"],
        &["raw", "scan", "--prefix", "a", "--start", "b"],
        &["raw", "scan", "--limit", "-1"],
        &["raw", "cas", "a", "b"],
        &["raw", "get", "a", "--encoding", "rot13"],
    ] {
        let run = tinykv.run(args);
        assert_eq!(run.code, 2, "{args:?}");
        assert_eq!(run.out(), "", "{args:?}");
        assert!(!run.err().is_empty(), "{args:?}");
    }
}

#[test]
fn get_of_a_missing_key_says_so_on_stdout_and_exits_0() {
    let run = start().run(&["get", "missing"]);
    assert_eq!((run.code, run.out(), run.err()), (0, "Key not found\n", ""));
}

#[test]
fn rm_of_a_missing_key_says_so_on_stderr_and_fails() {
    let run = start().run(&["rm", "missing"]);
    assert_ne!(run.code, 0);
    assert_eq!((run.out(), run.err()), ("", "Key not found\n"));
}

#[test]
fn a_dialogue_of_set_get_and_rm() {
    let tinykv = start();
    assert_eq!(tinykv.ok(&["set", "key1", "value1"]), "");
    assert_eq!(tinykv.ok(&["get", "key1"]), "value1\n");
    assert_eq!(tinykv.ok(&["set", "key1", "value2"]), "");
    assert_eq!(tinykv.ok(&["get", "key1"]), "value2\n");
    assert_eq!(tinykv.ok(&["get", "key2"]), "Key not found\n");
    assert_eq!(tinykv.run(&["rm", "key2"]).code, 1);
    assert_eq!(tinykv.ok(&["set", "key2", ""]), "");
    assert_eq!(tinykv.ok(&["get", "key2"]), "\n", "an empty value is a value");
    assert_eq!(tinykv.ok(&["rm", "key1"]), "");
    assert_eq!(tinykv.ok(&["get", "key1"]), "Key not found\n");
}

#[test]
fn json_is_for_programs() {
    let tinykv = start();
    tinykv.ok(&["set", "k", "v"]);
    assert_eq!(tinykv.ok(&["get", "k", "--json"]), "{\"key\":\"k\",\"value\":\"v\"}\n");
    assert_eq!(tinykv.ok(&["--json", "get", "x"]), "{\"key\":\"x\",\"value\":null}\n");
    let run = tinykv.run(&["--json", "raw", "--cf", "nope", "get", "x"]);
    assert_eq!((run.code, run.out()), (1, ""));
    let error: serde_json::Value = serde_json::from_str(run.err()).unwrap();
    assert_eq!(error["error"]["kind"], "rejected");
}

#[test]
fn without_a_server_it_says_how_to_start_one() {
    let nobody = Nobody::new();
    let tinykv = Tinykv::on(nobody.address());
    for args in [&["get", "a"][..], &["set", "a", "b"], &["rm", "a"], &["raw", "scan"]] {
        let run = tinykv.run(args);
        assert_eq!((run.code, run.out()), (1, ""), "{args:?}");
        assert!(run.err().contains("cannot reach a tinykv server at 127.0.0.1:"), "{}", run.err());
        assert!(run.err().contains("tinykv-server --addr 127.0.0.1:"), "{}", run.err());
        assert_eq!(run.err().matches("refused").count(), 1, "{}", run.err());
    }
}

#[test]
fn the_address_comes_from_the_flag_before_the_environment() {
    let store = start();
    let nobody = Nobody::new();
    let address = store.address.to_string();
    let run = Tinykv::on(nobody.address()).run(&["get", "a", "--addr", &address]);
    assert_eq!((run.code, run.out()), (0, "Key not found\n"));
}

#[test]
fn raw_reads_and_writes() {
    let tinykv = start();
    assert_eq!(tinykv.ok(&["raw", "put", "a", "1"]), "");
    assert_eq!(tinykv.ok(&["raw", "get", "a"]), "1", "a pipe gets the bytes as they are");
    assert_eq!(tinykv.ok(&["raw", "batch-put", "b", "2", "c", "3", "d", ""]), "");
    assert_eq!(tinykv.ok(&["raw", "batch-get", "c", "a"]), "c\t3\na\t1\n");
    let run = tinykv.run(&["raw", "batch-get", "c", "x"]);
    assert_eq!((run.code, run.out(), run.err()), (1, "c\t3\n", "Key not found: x\n"));
    assert_eq!(tinykv.ok(&["raw", "scan"]), "a\t1\nb\t2\nc\t3\nd\t\n");
    assert_eq!(tinykv.ok(&["raw", "scan", "--start", "b", "--end", "d"]), "b\t2\nc\t3\n");
    assert_eq!(tinykv.ok(&["raw", "scan", "--reverse", "--limit", "2"]), "d\t\nc\t3\n");
    assert_eq!(tinykv.ok(&["raw", "scan", "--keys-only", "--end", "c"]), "a\nb\n");
    assert_eq!(tinykv.ok(&["raw", "scan", "--prefix", "x"]), "");
    assert_eq!(tinykv.ok(&["raw", "del", "a"]), "");
    let run = tinykv.run(&["raw", "del", "a"]);
    assert_eq!((run.code, run.out(), run.err()), (1, "", "Key not found\n"));
    let run = tinykv.run(&["raw", "get", "a"]);
    assert_eq!((run.code, run.out(), run.err()), (1, "", "Key not found\n"));
    assert_eq!(tinykv.ok(&["raw", "batch-del", "b", "x"]), "1\n");
    assert_eq!(tinykv.ok(&["raw", "del-range", "--prefix", "c"]), "");
    assert_eq!(tinykv.ok(&["raw", "scan"]), "d\t\n");
    let run = tinykv.run(&["raw", "del-range"]);
    assert_eq!(run.code, 1, "everything needs --all");
    assert_eq!(tinykv.ok(&["raw", "del-range", "--all"]), "");
    assert_eq!(tinykv.ok(&["raw", "scan"]), "");
}

#[test]
fn raw_pairs_come_in_twos() {
    let run = start().run(&["raw", "batch-put", "a", "1", "b"]);
    assert_eq!(run.code, 1);
    assert!(run.err().contains("no value"), "{}", run.err());
}

#[test]
fn raw_column_families_are_apart() {
    let tinykv = start();
    tinykv.ok(&["raw", "put", "a", "in default"]);
    tinykv.ok(&["raw", "put", "a", "in write", "--cf", "write"]);
    assert_eq!(tinykv.ok(&["raw", "get", "a"]), "in default");
    assert_eq!(tinykv.ok(&["raw", "--cf", "write", "get", "a"]), "in write");
    let run = tinykv.run(&["raw", "get", "a", "--cf", "nope"]);
    assert_eq!((run.code, run.out()), (1, ""));
    assert!(run.err().contains("no column family \"nope\""), "{}", run.err());
}

#[test]
fn raw_compare_and_swap() {
    let tinykv = start();
    assert_eq!(tinykv.ok(&["raw", "cas", "a", "1", "--absent"]), "swapped\n");
    let run = tinykv.run(&["raw", "cas", "a", "2", "--absent"]);
    assert_eq!((run.code, run.out()), (1, "not swapped: the value is 1\n"));
    let run = tinykv.run(&["raw", "cas", "b", "2", "--expect", "1"]);
    assert_eq!((run.code, run.out()), (1, "not swapped: the key is absent\n"));
    let swapped = tinykv.ok(&["raw", "cas", "a", "2", "--expect", "1", "--json"]);
    assert_eq!(swapped, "{\"previous\":\"1\",\"swapped\":true}\n");
    assert_eq!(tinykv.ok(&["raw", "get", "a"]), "2");
}

#[test]
fn raw_time_to_live() {
    let tinykv = start();
    tinykv.ok(&["raw", "put", "a", "1"]);
    tinykv.ok(&["raw", "put", "b", "1", "--ttl", "1h"]);
    tinykv.ok(&["raw", "batch-put", "c", "1", "--ttl", "3600s"]);
    tinykv.ok(&["raw", "cas", "d", "1", "--absent", "--ttl", "60m"]);
    assert_eq!(tinykv.ok(&["raw", "ttl", "a"]), "never expires\n");
    let an_hour = |left: String| {
        let left = humantime::parse_duration(left.trim_end()).unwrap().as_secs();
        assert!((3000..=3600).contains(&left), "{left} s left of an hour");
    };
    for key in ["b", "c", "d"] {
        an_hour(tinykv.ok(&["raw", "ttl", key]));
    }
    let ttl = tinykv.ok(&["raw", "ttl", "d", "--json"]);
    let ttl: serde_json::Value = serde_json::from_str(&ttl).unwrap();
    assert_eq!((&ttl["key"], &ttl["found"]), (&"d".into(), &true.into()));
    an_hour(format!("{}ms", ttl["ttl_ms"]));
    let run = tinykv.run(&["raw", "ttl", "x"]);
    assert_eq!((run.code, run.out(), run.err()), (1, "", "Key not found\n"));
}

#[test]
fn raw_scan_reads_what_does_not_fit_into_a_frame() {
    let tinykv = start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("value");
    std::fs::write(&file, vec![b'v'; 3 << 20]).unwrap();
    for n in 0..8 {
        tinykv.ok(&["raw", "put", &format!("key {n}"), &format!("@{}", file.display())]);
    }
    for args in [&["raw", "scan"][..], &["raw", "scan", "--reverse"]] {
        let scan = tinykv.ok(args);
        assert_eq!((scan.lines().count(), scan.len()), (8, 8 * ("key n\t\n".len() + (3 << 20))));
    }
}

#[test]
fn raw_is_binary_safe() {
    let tinykv = start();
    tinykv.ok(&["raw", "put", "00ff", "0a", "--encoding", "hex"]);
    assert_eq!(tinykv.ok(&["raw", "get", "AP8=", "--encoding", "base64"]), "Cg==\n");
    assert_eq!(tinykv.ok(&["raw", "get", r"\0\xff", "--encoding", "escaped"]), "\\n\n");
    assert_eq!(tinykv.ok(&["raw", "scan"]), "\\0\\xff\t\\n\n", "lines stay lines");
    assert_eq!(tinykv.ok(&["raw", "scan", "--encoding", "hex"]), "00ff\t0a\n");
    let json = tinykv.ok(&["raw", "scan", "--json"]);
    assert_eq!(json, "{\"key\":{\"base64\":\"AP8=\"},\"value\":\"\\n\"}\n");
    let run = tinykv.run(&["raw", "get", "0", "--encoding", "hex"]);
    assert_eq!(run.code, 1);
    assert!(run.err().contains("`0` is not hex"), "{}", run.err());
}

#[test]
fn arguments_need_not_be_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let tinykv = start();
    let key = OsStr::from_bytes(b"\xff\xfe");
    tinykv.ok(&[OsStr::new("set"), key, OsStr::from_bytes(b"\x80")]);
    let run = tinykv.run(&[OsStr::new("get"), key]);
    assert_eq!((run.code, &run.stdout[..]), (0, &b"\x80\n"[..]));
    assert_eq!(tinykv.ok(&["raw", "scan"]), "\\xff\\xfe\t\\x80\n");
}

#[test]
fn values_come_from_files_and_stdin() {
    let tinykv = start();
    let folder = tempfile::tempdir().unwrap();
    let every_byte: Vec<u8> = (0..=255).collect();
    let file = folder.path().join("value");
    std::fs::write(&file, &every_byte).unwrap();
    tinykv.ok(&["raw", "put", "file", &format!("@{}", file.display())]);
    assert_eq!(tinykv.run(&["raw", "get", "file"]).stdout, every_byte);
    let run = tinykv.run_with_stdin(&["raw", "put", "stdin", "-"], &every_byte);
    assert_eq!((run.code, run.out(), run.err()), (0, "", ""));
    assert_eq!(tinykv.run(&["raw", "get", "stdin"]).stdout, every_byte);
    let run = tinykv.run(&["raw", "put", "file", "@/does/not/exist"]);
    assert_eq!(run.code, 1);
    assert!(run.err().contains("cannot read /does/not/exist"), "{}", run.err());
}
