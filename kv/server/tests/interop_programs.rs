//! Programs of others against our server, as their users run them: redis-cli, redis-benchmark,
//! redis-py and node-redis.
//!
//! They must be installed, and so these tests run with `make test-interop` only, which says how.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/http.rs"]
mod http;
#[path = "interop/ours.rs"]
mod ours;
#[path = "support/program.rs"]
mod program;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/resp.rs"]
mod resp;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cluster::Cluster;
use ours::Ours;

/// Runs a program to its end with `input`; gives what it said.
fn run(command: &mut Command, input: &[u8]) -> String {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name} is installed: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{said}\n{complaint}", output.status);
    said
}

/// A program of redis that is told where our server is.
fn redis_program(name: &str, server: &Ours, arguments: &[&str]) -> Command {
    let (host, port) = server.resp_addr().rsplit_once(':').unwrap();
    let mut command = Command::new(name);
    command.args(["-h", host, "-p", port]).args(arguments);
    command
}

/// What redis-cli says.
fn cli(server: &Ours, arguments: &[&str]) -> String {
    run(&mut redis_program("redis-cli", server, arguments), b"")
}

#[test]
fn redis_cli_runs_single_commands() {
    let server = Ours::start();
    assert_eq!(cli(&server, &["set", "k", "a value"]), "OK\n");
    assert_eq!(cli(&server, &["get", "k"]), "a value\n");
    assert_eq!(cli(&server, &["get", "absent"]), "\n");
    assert_eq!(cli(&server, &["--no-raw", "get", "absent"]), "(nil)\n");
    assert_eq!(cli(&server, &["-3", "--no-raw", "get", "absent"]), "(nil)\n");
    assert_eq!(cli(&server, &["--no-raw", "incrby", "n", "41"]), "(integer) 41\n");
    assert_eq!(cli(&server, &["-n", "0", "ping"]), "PONG\n");
    assert_eq!(
        cli(&server, &["--no-raw", "nonsense", "a"]),
        "(error) ERR unknown command 'nonsense', with args beginning with: 'a' \n"
    );
    assert_eq!(
        run(&mut redis_program("redis-cli", &server, &["-x", "set", "x"]), b"\0\xffx"),
        "OK\n"
    );
    assert_eq!(cli(&server, &["strlen", "x"]), "3\n");
    assert!(cli(&server, &["info", "server"]).contains("redis_version:"));
    let proto = cli(&server, &["-3", "--json", "hello"]);
    assert!(proto.contains("\"proto\":3"), "{proto}");
}

#[test]
fn redis_cli_runs_a_script_of_commands() {
    let server = Ours::start();
    let script = b"set a 1\nmset b 2 c 3\n\nmget a b c d\nincr \"a\"\nset e '' ex 1000\nttl e\n";
    let said = run(&mut redis_program("redis-cli", &server, &["--no-raw"]), script);
    let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(
        lines[..8],
        ["OK", "OK", "1) \"1\"", "2) \"2\"", "3) \"3\"", "4) (nil)", "(integer) 2", "OK"]
    );
    assert_eq!(lines.len(), 9);
}

#[test]
fn redis_cli_loads_and_lists_many_keys() {
    let server = Ours::start();
    let names: BTreeSet<String> = (0..5000).map(|number| format!("key:{number}")).collect();
    let mut load = Vec::new();
    for name in &names {
        let set = format!("*3\r\n$3\r\nSET\r\n${}\r\n{name}\r\n$1\r\nv\r\n", name.len());
        load.extend_from_slice(set.as_bytes());
    }
    let said = run(&mut redis_program("redis-cli", &server, &["--pipe"]), &load);
    assert!(said.contains("errors: 0, replies: 5000"), "{said}");
    assert_eq!(cli(&server, &["dbsize"]), "5000\n");
    let said = cli(&server, &["--scan"]);
    assert_eq!(said.lines().map(str::to_owned).collect::<BTreeSet<_>>(), names);
    let said = cli(&server, &["--scan", "--pattern", "key:49?9"]);
    assert_eq!(said.lines().count(), 10);
    let said = cli(&server, &["--bigkeys"]);
    assert!(said.contains("5000 strings with 5000 bytes"), "{said}");
}

#[test]
fn redis_benchmark_runs() {
    let server = Ours::start();
    for pipeline in ["1", "16"] {
        let tests = ["-t", "ping_inline,ping_mbulk,set,get,incr,mset"];
        let sizes = ["-n", "2000", "-c", "20", "-d", "256", "-r", "100", "-q", "-P", pipeline];
        let said = run(
            &mut redis_program("redis-benchmark", &server, &[&tests[..], &sizes].concat()),
            b"",
        );
        for name in ["PING_INLINE:", "PING_MBULK:", "SET:", "GET:", "INCR:", "MSET (10 keys):"] {
            assert!(said.contains(name), "{said}");
        }
        assert!(!said.to_lowercase().contains("error"), "{said}");
    }
}

/// A script beside this file.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(name)
}

#[test]
fn redis_py_runs() {
    let server = Ours::start();
    let said = run(Command::new("python3").arg(script("redis_py.py")).arg(server.resp_addr()), b"");
    assert!(said.contains("checks passed"), "{said}");
}

/// Two stores of a cluster: one that leads, and one that does not.
fn leader_and_follower(cluster: &Cluster) -> [SocketAddr; 2] {
    (1..=3).for_each(|id| cluster.wait_ready(id));
    let leader = cluster.leader(&[1]);
    [leader, leader % 3 + 1].map(|id| cluster.stores[&id].resp())
}

#[test]
fn redis_py_and_node_redis_run_on_any_store_of_a_cluster() {
    // A machine that is busy must not make the leader change in between.
    let cluster = Cluster::start(3, &["--sync=never", "--raft-election-ticks=40"]);
    for address in leader_and_follower(&cluster) {
        let address = address.to_string();
        let said = run(Command::new("python3").arg(script("redis_py.py")).arg(&address), b"");
        assert!(said.contains("checks passed"), "{said}");
        let said = run(Command::new("node").arg(script("node_redis.mjs")).arg(&address), b"");
        assert!(said.contains("checks passed"), "{said}");
    }
}

#[test]
fn redis_py_goes_on_while_the_leader_dies() {
    let mut cluster = Cluster::start(3, &["--request-timeout=60s", "--raft-election-ticks=20"]);
    let [leader, _] = leader_and_follower(&cluster);
    let leader = (1..=3).find(|id| cluster.stores[id].resp() == leader).unwrap();
    let others = (1..=3).filter(|id| *id != leader).map(|id| cluster.stores[&id].resp());
    let mut python = Command::new("python3")
        .arg(script("redis_py_failover.py"))
        .args(others.map(|it| it.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(python.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(said.next().as_deref(), Some("going"));
    cluster.kill(leader);
    python.stdin.take().unwrap().write_all(b"dead\n").unwrap();
    let last = said.last().unwrap_or_default();
    assert!(python.wait().unwrap().success() && last.contains("checks passed"), "{last}");
}

#[test]
fn redis_benchmark_does_not_notice_that_a_follower_dies() {
    let mut cluster = Cluster::start(3, &["--request-timeout=60s", "--raft-election-ticks=40"]);
    let [leader, follower] = leader_and_follower(&cluster);
    let third =
        (1..=3).find(|id| ![leader, follower].contains(&cluster.stores[id].resp())).unwrap();
    for address in [leader, follower] {
        let port = address.port().to_string();
        let mut benchmark = Command::new("redis-benchmark");
        benchmark.args(["-p", &port, "-t", "set,get", "-n", "3000", "-c", "20", "-q", "-P", "8"]);
        let benchmark = std::thread::spawn(move || run(&mut benchmark, b""));
        cluster.kill(third);
        cluster.start_store(third);
        let said = benchmark.join().unwrap();
        assert!(said.contains("SET:") && !said.to_lowercase().contains("error"), "{said}");
    }
}

#[test]
fn node_redis_runs() {
    let server = Ours::start();
    let said = run(Command::new("node").arg(script("node_redis.mjs")).arg(server.resp_addr()), b"");
    assert!(said.contains("checks passed"), "{said}");
}
