//! `tinykv bench`: what it sends and what it counts. How long things take is not looked at.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/memory_server.rs"]
mod memory_server;
#[path = "support/program.rs"]
mod program;
#[path = "support/resp_server.rs"]
mod resp_server;

use memory_server::MemoryServer;
use program::{Nobody, Run, Tinykv};
use serde_json::Value;

/// Small and without a pause; each test adds its own.
const QUICK: [&str; 7] = ["bench", "--json", "--keys", "100", "--connections", "3", "--pipeline=4"];

fn start() -> Tinykv {
    Tinykv::on(MemoryServer::default().listen())
}

fn bench(tinykv: &Tinykv, args: &[&str]) -> (Run, Value) {
    let run = tinykv.run(&[&QUICK[..], args].concat());
    let report = serde_json::from_str(run.out());
    let report = report.unwrap_or_else(|_| panic!("{}{}", run.out(), run.err()));
    (run, report)
}

#[test]
fn it_sends_as_many_requests_as_asked_for() {
    let (run, report) = bench(&start(), &["--requests", "1000", "--fill", "--threads", "2"]);
    assert_eq!((run.code, run.err()), (0, ""));
    let all = &report["all"];
    assert_eq!(all["requests"], 1000);
    assert_eq!((&all["missing"], &all["wrong"], &all["failed"]), (&0.into(), &0.into(), &0.into()));
    let kinds = report["kinds"].as_object().unwrap();
    assert_eq!(kinds.keys().collect::<Vec<_>>(), ["get", "set"]);
    let sum: u64 = kinds.values().map(|kind| kind["requests"].as_u64().unwrap()).sum();
    assert_eq!(sum, 1000);
    assert!(report["elapsed_s"].as_f64().unwrap() > 0.0);
    assert!(all["per_second"].as_f64().unwrap() > 0.0);
    let latency = |name: &str| all["latency_us"][name].as_f64().unwrap();
    let order = ["p50", "p90", "p99", "p99.9", "max"].map(latency);
    assert!(order[0] > 0.0 && order.is_sorted(), "{order:?}");
}

#[test]
fn fill_writes_every_key_of_its_size() {
    let tinykv = start();
    let (run, report) = bench(
        &tinykv,
        &["--requests=1", "--mix=get", "--fill", "--key-size=20", "--value-size=16-40"],
    );
    assert_eq!(run.code, 0);
    assert_eq!(report["all"]["missing"], 0);
    let scan = tinykv.ok(&["raw", "scan"]);
    assert_eq!(scan.lines().count(), 100);
    for line in scan.lines() {
        let (key, value) = line.split_once('\t').unwrap();
        assert_eq!(key.len(), 20);
        assert!(key.starts_with("key:0000000000000") && (16..=40).contains(&value.len()), "{line}");
    }
}

#[test]
fn every_kind_and_distribution() {
    let tinykv = start();
    for distribution in ["uniform", "zipfian", "sequential", "latest"] {
        let distribution = format!("--distribution={distribution}");
        let mix = "--mix=get:2,set:2,del:1,scan:1";
        let (run, report) = bench(&tinykv, &["--requests=500", mix, "--verify", &distribution]);
        assert_eq!(run.code, 0, "{report:#}");
        assert_eq!(report["kinds"].as_object().unwrap().len(), 4);
        assert_eq!(report["all"]["requests"], 500);
    }
}

#[test]
fn the_same_seed_is_the_same_work() {
    let filled = |seed: &str| {
        let tinykv = start();
        // One lane, so that of two sets of a key the same one is the last.
        let one = ["bench", "--connections=1", "--keys=100", "--requests=300", "--mix=set"];
        assert_eq!(tinykv.run(&[&one[..], &["--seed", seed]].concat()).code, 0);
        tinykv.ok(&["raw", "scan"])
    };
    assert_eq!(filled("7"), filled("7"));
    assert_ne!(filled("7"), filled("8"));
}

#[test]
fn absent_keys_are_missing_but_no_failure() {
    let (run, report) = bench(&start(), &["--requests=200", "--mix=get"]);
    assert_eq!(run.code, 0);
    assert_eq!((&report["all"]["missing"], &report["all"]["failed"]), (&200.into(), &0.into()));
}

#[test]
fn a_value_that_nobody_set_is_wrong() {
    let tinykv = start();
    let (run, _) = bench(&tinykv, &["--requests=1", "--mix=get", "--fill"]);
    assert_eq!(run.code, 0);
    let value = tinykv.ok(&["raw", "get", "key:000000000001"]);
    for wrong in [&value[..255], "", &"x".repeat(256)] {
        tinykv.ok(&["set", "key:000000000001", wrong]);
        let args = ["--requests=100", "--mix=get", "--distribution=sequential"];
        let (run, report) = bench(&tinykv, &[&args[..], &["--verify"]].concat());
        assert_eq!((run.code, &report["all"]["wrong"]), (1, &1.into()));
        let (run, report) = bench(&tinykv, &args);
        assert_eq!((run.code, &report["all"]["wrong"]), (0, &0.into()), "without --verify");
    }
}

#[test]
fn an_open_loop_sends_what_is_due() {
    let (run, report) = bench(&start(), &["--requests=200", "--rate=20000", "--fill"]);
    assert_eq!(run.code, 0);
    assert_eq!((&report["all"]["requests"], &report["unsent"]), (&200.into(), &0.into()));
    assert_eq!(report["settings"]["rate"], 20_000.0);
    let least = 199.0 / 20_000.0;
    assert!(report["elapsed_s"].as_f64().unwrap() >= least, "not before they are due");
}

#[test]
fn a_duration_ends_it() {
    let (run, report) = bench(&start(), &["--duration=100ms", "--warm-up=50ms", "--fill"]);
    assert_eq!(run.code, 0);
    assert!(report["all"]["requests"].as_u64().unwrap() > 0);
    assert!(report["elapsed_s"].as_f64().unwrap() >= 0.1);
}

#[test]
fn the_protocol_of_redis() {
    let tinykv = Tinykv::on(resp_server::listen());
    let args = ["--protocol=resp", "--requests=500", "--fill", "--mix=get:2,set:1,del:1"];
    let (run, report) = bench(&tinykv, &[&args[..], &["--verify"]].concat());
    assert_eq!(run.code, 0, "{report:#}");
    assert_eq!((&report["all"]["requests"], &report["all"]["wrong"]), (&500.into(), &0.into()));
    assert_eq!(report["kinds"].as_object().unwrap().len(), 3);
    let run = tinykv.run(&["bench", "--protocol=resp", "--mix=scan"]);
    assert_eq!(run.code, 1);
    assert!(run.err().contains("native protocol only"), "{}", run.err());
}

#[test]
fn the_table_names_what_it_measured() {
    let run = start().run(&["bench", "--requests=100", "--keys=10", "--fill"]);
    assert_eq!((run.code, run.err()), (0, ""), "no progress bar without a terminal");
    for word in ["closed loop", "mix get:95,set:5", "seed 1", "p99.9", "\nget ", "\nall "] {
        assert!(run.out().contains(word), "{word} in {}", run.out());
    }
}

#[test]
fn wrong_usage_is_refused() {
    let tinykv = start();
    for args in [
        ["--mix", "get:0"],
        ["--mix", "put:1"],
        ["--connections", "0"],
        ["--pipeline", "0"],
        ["--threads", "0"],
        ["--requests", "0"],
        ["--rate", "0"],
        ["--rate", "NaN"],
        ["--keys", "0"],
        ["--value-size", "9-1"],
        ["--value-size", "99999999"],
        ["--duration", "0s"],
        ["--distribution", "normal"],
    ] {
        let run = tinykv.run(&[&["bench"], &args[..]].concat());
        assert_eq!(run.code, 2, "{args:?}");
    }
}

#[test]
fn without_a_server_it_says_so() {
    let nobody = Nobody::new();
    for protocol in ["native", "resp"] {
        let run = Tinykv::on(nobody.address()).run(&["bench", "--protocol", protocol]);
        assert_eq!((run.code, run.out()), (1, ""));
        assert!(run.err().contains("cannot reach"), "{}", run.err());
    }
}
