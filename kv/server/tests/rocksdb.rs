//! RocksDB as the server's engine: what only it has.
//!
//! All other suites run on it too: `make test-rocksdb` sets `TEST_ENGINE=rocksdb` for them.

#![cfg(feature = "rocksdb")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/http.rs"]
mod http;
#[path = "support/resp.rs"]
mod resp;
#[path = "support/start.rs"]
mod start;

use resp::Resp;

/// A counter of the engine, as the status address tells it.
fn extra(server: &tinykv_server::Running, name: &str) -> f64 {
    let status = server.addresses().status.unwrap();
    http::metric(status, &format!("tinykv_engine_extra{{name=\"{name}\"}}"))
}

#[test]
fn its_statistics_are_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("--path={}", folder.path().display());
    let flags = [&path[..], "--engine=rocksdb", "--sync=always", "--segment-size=1MiB"];
    let server = start::start(&flags);
    let status = server.addresses().status.unwrap();
    let mut client = Resp::connect(start::resp(&server));
    assert_eq!(client.run("SET first 1"), "OK");
    assert_eq!(client.run("GET first"), "\"1\"");
    assert!(extra(&server, "memtable_hits") >= 1.0);
    assert!(extra(&server, "memtable_bytes") > 0.0);
    assert_eq!(http::metric(status, "tinykv_engine_keys{cf=\"default\"}"), 1.0);
    assert!(http::metric(status, "tinykv_engine_syncs_total") >= 1.0);
    assert!(http::metric(status, "tinykv_engine_written_bytes_total") > 0.0);

    // More than a memtable holds, until it was flushed and read back.
    let mut n = 0;
    while extra(&server, "flushes") < 1.0 {
        for _ in 0..100 {
            let key = format!("key{n}");
            assert_eq!(client.run_words(&[b"SET", key.as_bytes(), &[b'x'; 4000]]), "OK");
            n += 1;
        }
    }
    assert_eq!(client.run("GET first"), "\"1\"");
    assert_eq!(client.run("GET absent"), "(nil)");
    assert!(extra(&server, "block_cache_misses") >= 1.0);
    assert!(extra(&server, "block_cache_bytes") > 0.0);
    assert!(http::metric(status, "tinykv_engine_disk_bytes") > 0.0);
    for name in ["block_cache_hits", "bloom_filter_useful", "compactions", "stall_micros"] {
        extra(&server, name);
    }
}

#[test]
fn the_cache_has_the_configured_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("--path={}", folder.path().display());
    let mut config = start::config(&[&path, "--engine=rocksdb", "--cache-size=0"]);
    let error = tinykv_server::Server::start(config.clone()).unwrap_err();
    assert!(format!("{error:?}").contains("at least 1 MiB"), "{error:?}");
    config.cache_size = "2MiB".parse().unwrap();
    tinykv_server::Server::start(config).unwrap().shutdown().unwrap();
}
