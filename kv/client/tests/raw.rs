//! The raw API of the library against a server on a map in memory.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/memory_server.rs"]
mod memory_server;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use memory_server::MemoryServer;
use tinykv_client::{Client, Options, Pair, Raw, Scan, Swapped, Ttl};

async fn start() -> Raw {
    let address = MemoryServer::default().listen().to_string();
    Client::connect(address, Options::default()).await.unwrap().raw()
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from(text)
}

async fn all(raw: &Raw, scan: Scan, page: u32) -> Vec<Pair> {
    let mut pages = raw.pages(scan, page);
    let mut pairs = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        assert!(!page.is_empty());
        pairs.extend(page);
    }
    assert_eq!(pages.next().await.unwrap(), None, "the end stays the end");
    pairs
}

#[tokio::test]
async fn single_keys() {
    let raw = start().await;
    assert_eq!(raw.get("a").await.unwrap(), None);
    raw.put("a", "1").await.unwrap();
    assert_eq!(raw.get("a").await.unwrap(), Some(bytes("1")));
    raw.put("a", "").await.unwrap();
    assert_eq!(raw.get("a").await.unwrap(), Some(Bytes::new()), "an empty value is a value");
    assert!(raw.delete("a").await.unwrap());
    assert!(!raw.delete("a").await.unwrap());
}

#[tokio::test]
async fn batches() {
    let raw = start().await;
    raw.batch_put([(bytes("a"), bytes("1")), (bytes("b"), bytes("2"))]).await.unwrap();
    let values = raw.batch_get(["b", "x", "a", "b"]).await.unwrap();
    assert_eq!(values, [Some(bytes("2")), None, Some(bytes("1")), Some(bytes("2"))]);
    assert_eq!(raw.batch_get(Vec::<Bytes>::new()).await.unwrap(), []);
    assert_eq!(raw.batch_delete(["a", "x"]).await.unwrap(), 1);
    assert_eq!(raw.batch_get(["a", "b"]).await.unwrap(), [None, Some(bytes("2"))]);
}

#[tokio::test]
async fn compare_and_swap() {
    let raw = start().await;
    let swap = raw.compare_and_swap("a", None, "1").await.unwrap();
    assert_eq!(swap, Swapped { swapped: true, previous: None });
    let swap = raw.compare_and_swap("a", Some(bytes("x")), "2").await.unwrap();
    assert_eq!(swap, Swapped { swapped: false, previous: Some(bytes("1")) });
    let swap = raw.compare_and_swap("a", Some(bytes("1")), "2").await.unwrap();
    assert_eq!(swap, Swapped { swapped: true, previous: Some(bytes("1")) });
    assert_eq!(raw.get("a").await.unwrap(), Some(bytes("2")));
}

#[tokio::test]
async fn time_to_live() {
    let raw = start().await;
    let brief = raw.clone().with_ttl(Duration::from_nanos(1));
    brief.put("a", "1").await.unwrap();
    raw.put("b", "1").await.unwrap();
    assert_eq!(raw.ttl("a").await.unwrap(), Ttl::Left(1), "at least a millisecond");
    assert_eq!(raw.ttl("b").await.unwrap(), Ttl::Forever);
    assert_eq!(raw.ttl("c").await.unwrap(), Ttl::Absent);
}

#[tokio::test]
async fn column_families() {
    let raw = start().await;
    let write = raw.clone().with_cf("write");
    write.put("a", "1").await.unwrap();
    assert_eq!(raw.get("a").await.unwrap(), None);
    assert_eq!(write.get("a").await.unwrap(), Some(bytes("1")));
    raw.clone().with_cf("nope").get("a").await.unwrap_err();
}

#[tokio::test]
async fn pages_read_what_one_scan_reads() {
    let raw = start().await;
    let mut model = BTreeMap::new();
    for n in 0..50_u8 {
        let key = Bytes::from(vec![n / 10, n % 10 * 28]);
        model.insert(key.clone(), Bytes::from(vec![n]));
        raw.put(key, vec![n]).await.unwrap();
    }
    let bounds = [None, Some(Bytes::from(vec![1])), Some(Bytes::from(vec![3, 28]))];
    for start in &bounds {
        for end in &bounds {
            for (limit, reverse) in [(u32::MAX, false), (u32::MAX, true), (17, false), (17, true)] {
                let scan = Scan {
                    start: start.clone().unwrap_or_default(),
                    end: end.clone(),
                    limit,
                    reverse,
                    keys_only: false,
                };
                let inside = |key: &Bytes| {
                    *key >= scan.start && scan.end.as_ref().is_none_or(|end| key < end)
                };
                let mut expected: Vec<Pair> =
                    model.clone().into_iter().filter(|(key, _)| inside(key)).collect();
                if reverse {
                    expected.reverse();
                }
                expected.truncate(limit as usize);
                assert_eq!(raw.scan(scan.clone()).await.unwrap(), expected);
                for page in [1, 7, 17, 50, 1000] {
                    assert_eq!(all(&raw, scan.clone(), page).await, expected, "{page} a page");
                }
            }
        }
    }
    let keys = all(&raw, Scan { keys_only: true, ..Scan::prefix(vec![2]) }, 3).await;
    assert_eq!(keys.len(), 10);
    assert!(keys.iter().all(|(key, value)| key[0] == 2 && value.is_empty()));
    raw.delete_range(vec![1], Some(Bytes::from(vec![4]))).await.unwrap();
    assert_eq!(all(&raw, Scan::default(), 100).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tasks_get_their_own_answers() {
    let raw = start().await;
    let tasks: Vec<_> = (0..50_u32)
        .map(|task| {
            let raw = raw.clone();
            tokio::spawn(async move {
                for n in 0..50_u32 {
                    let key = format!("{task}/{n}");
                    raw.put(key.clone(), key.clone()).await.unwrap();
                    assert_eq!(raw.get(key.clone()).await.unwrap(), Some(Bytes::from(key)));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
