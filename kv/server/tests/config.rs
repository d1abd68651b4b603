//! The configuration: flags, file, defaults, and what is said when they are wrong.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::io::Write;

use tinykv_server::config::{Config, ConfigError, EngineKind, PoolKind, Request, Sync};

fn parse(args: &[&str]) -> Result<Request, ConfigError> {
    let all = ["tinykv-server"].into_iter().chain(args.iter().copied());
    Request::parse(all.map(str::to_owned).collect())
}

fn config(args: &[&str]) -> Config {
    match parse(args).unwrap() {
        Request::Run(config) => *config,
        Request::Print(text) => panic!("it prints {text}"),
    }
}

/// A configuration file with this text, and what is said about it.
fn file(text: &str) -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().display().to_string();
    (file, path)
}

fn error(text: &str) -> String {
    let (file, path) = file(text);
    let error = parse(&["--config", &path]).unwrap_err().to_string();
    drop(file);
    error.replace(&path, "FILE")
}

#[test]
fn defaults() {
    let config = Config::default();
    assert_eq!(config.addr.to_string(), "127.0.0.1:20160");
    assert_eq!(config.resp_addr.to_string(), "127.0.0.1:6380");
    assert_eq!(config.status_addr.to_string(), "127.0.0.1:20180");
    assert_eq!((config.engine, config.sync), (EngineKind::Bitcask, Sync::Always));
    assert_eq!(config.read_pool, PoolKind::Shared);
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let text = "addr = \"127.0.0.1:1\"\nread-pool-threads = 7 # comment\nsync = 'never'\n";
    let (_file, path) = file(text);
    let config = config(&["--addr", "127.0.0.1:2", "--config", &path]);
    assert_eq!(config.addr.to_string(), "127.0.0.1:2");
    assert_eq!((config.read_pool_threads, config.sync), (7, Sync::Never));
    assert_eq!(config.resp_addr.to_string(), "127.0.0.1:6380");
}

#[test]
fn the_folder_has_two_names() {
    assert_eq!(config(&["--data-dir", "x"]).path, config(&["--path", "x"]).path);
    let (_file, path) = file("data-dir = \"y\"");
    assert_eq!(config(&["--config", &path]).path.to_str(), Some("y"));
}

#[test]
fn what_is_printed_gives_the_same_again() {
    let flags = ["--sync=never", "--idle-timeout=5m", "--log-file=a \"b\"", "--max-inflight=9"];
    let print = |args: &[&str]| match parse(&[args, &["--print-config"]].concat()).unwrap() {
        Request::Print(text) => text,
        Request::Run(_) => panic!("it runs"),
    };
    let text = print(&flags);
    assert!(text.contains("# When a write is synced"), "{text}");
    assert!(text.contains("sync = \"never\"") && text.contains("max-inflight = 9"), "{text}");
    let (_file, path) = file(&text);
    assert_eq!(print(&["--config", &path]), text);
    // Every flag of the program is in it.
    for key in ["addr", "resp-addr", "status-addr", "path", "engine", "read-pool", "log-level"] {
        assert!(text.contains(&format!("\n{key} = ")), "{key}");
    }
}

#[test]
fn a_key_that_does_not_exist_is_an_error_that_names_the_nearest() {
    let wrong = "# comment\n\nread-pol = \"shared\"\n";
    assert_eq!(error(wrong), "FILE:3: there is no key `read-pol`; did you mean `read-pool`?");
    assert!(error("resp_addr = \"127.0.0.1:1\"").ends_with("did you mean `resp-addr`?"));
    assert_eq!(error("\nqqqqq = 1"), "FILE:2: there is no key `qqqqq`");
    assert!(error("[limits]\nx = 1").starts_with("FILE:1: there is no key `limits`"));
}

#[test]
fn a_value_that_cannot_be_is_an_error_with_its_line() {
    assert_eq!(
        error("sync = \"sometimes\""),
        "FILE:1: `sync`: \"sometimes\" is none of: always, interval, never"
    );
    assert!(error("\n\naddr = \"here\"").starts_with("FILE:3: `addr`: \"here\" is no address"));
    assert!(error("read-pool-threads = 0").contains("no number from 1 to 1024"));
    assert!(error("max-frame-size = \"1TiB\"").contains("is not between 1KiB and 1GiB"));
    assert!(error("idle-timeout = 5").contains("is no time"));
    assert!(error("addr = [1]").contains("a string or a number is expected"));
    assert!(error("addr = ").starts_with("FILE: "));
    let missing = parse(&["--config", "/does/not/exist"]).unwrap_err().to_string();
    assert!(missing.contains("/does/not/exist: cannot read"), "{missing}");
}

#[test]
fn flags_are_checked_too() {
    for wrong in [
        &["--engine", "sled"][..],
        &["--addr", "invalid-addr"],
        &["--unknown"],
        &["extra"],
        &["--sync"],
        &["--read-pool", "none"],
        &["--read-pool-threads", "x"],
    ] {
        assert!(matches!(parse(wrong), Err(ConfigError::Flags(_))), "{wrong:?}");
    }
}

#[test]
fn a_cluster_needs_a_store_that_is_in_it() {
    let list = "--cluster=1=a:1,2=b:2,3=c:3";
    assert_eq!(config(&[list, "--store-id=2"]).cluster.0[&2], "b:2");
    assert!(!config(&[]).is_clustered());
    let wrong = |flags: &[&str]| parse(flags).unwrap_err().to_string();
    assert_eq!(wrong(&[list]), "--cluster needs --store-id, one of 1, 2, 3");
    assert_eq!(wrong(&["--store-id=2"]), "--store-id needs --cluster, which names the others");
    assert!(wrong(&["--join"]).starts_with("--join needs --cluster"));
    assert!(wrong(&["--peer-addr=127.0.0.1:0"]).starts_with("--peer-addr needs --cluster"));
    assert!(wrong(&["--cluster=1=a"]).contains("write ID=HOST:PORT"));
    let ticks = [list, "--store-id=1", "--raft-heartbeat-ticks=10"];
    assert!(wrong(&ticks).contains("must be less"), "{}", wrong(&ticks));
}
