//! The connections between stores, through a faulty network: what is sent arrives in order or not
//! at all, nobody waits, a lost connection comes back, strangers are refused.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/proxy.rs"]
mod proxy;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use proxy::{Proxy, Way};
use tinykv_server::peer::{AskError, Incoming, Peers, PeersOptions};

/// One store's connections, and what came in.
struct Store {
    peers: Peers<Bytes>,
    events: Receiver<Incoming>,
}

fn options(store_id: u64, other: &Proxy) -> PeersOptions {
    let members = BTreeMap::from([
        (store_id, "this address is not used".to_owned()),
        (3 - store_id, other.address.to_string()),
    ]);
    let mut options = PeersOptions::new(7, store_id, members);
    options.native = format!("native-{store_id}:1");
    // Longer than any pause of a machine that has much to do.
    options.patience = Duration::from_secs(30);
    options
}

fn start(options: PeersOptions) -> Store {
    let (send, events) = channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let deliver = Arc::new(move |event| drop(send.send(event)));
    Store { peers: Peers::start(listener, options, deliver).unwrap(), events }
}

/// Stores 1 and 2, connected through proxies: the first to 2, the second to 1.
fn pair() -> (Store, Store, [Proxy; 2]) {
    pair_with(|_| {})
}

fn pair_with(change: impl Fn(&mut PeersOptions)) -> (Store, Store, [Proxy; 2]) {
    let proxies = [Proxy::start(), Proxy::start()];
    let [one, two] = [1, 2].map(|id| {
        let mut options = options(id, &proxies[id as usize - 1]);
        change(&mut options);
        start(options)
    });
    proxies[0].set_target(two.peers.address());
    proxies[1].set_target(one.peers.address());
    one.wait_connected();
    two.wait_connected();
    (one, two, proxies)
}

fn number(n: u64) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

impl Store {
    fn wait_connected(&self) {
        self.wait(|event| matches!(event, Incoming::Connected(_)));
    }

    fn wait(&self, is_it: impl Fn(&Incoming) -> bool) -> Incoming {
        loop {
            let event = self.events.recv().unwrap();
            if is_it(&event) {
                return event;
            }
        }
    }

    /// The numbers of the next messages.
    fn numbers(&self) -> Vec<u64> {
        let Incoming::Messages { messages, .. } =
            self.wait(|event| matches!(event, Incoming::Messages { .. }))
        else {
            unreachable!("it was waited for")
        };
        messages.iter().map(|it| u64::from_be_bytes(it[..].try_into().unwrap())).collect()
    }

    /// Asks store `to`, and waits for what comes of it.
    fn ask(&self, to: u64, body: &'static [u8], timeout: Duration) -> Result<Bytes, AskError> {
        self.start_ask(to, body, timeout).recv().unwrap()
    }

    fn start_ask(
        &self,
        to: u64,
        body: &'static [u8],
        timeout: Duration,
    ) -> Receiver<Result<Bytes, AskError>> {
        let (send, answer) = channel();
        let done = Box::new(move |result| send.send(result).unwrap());
        self.peers.ask(to, Bytes::from_static(body), timeout, done);
        answer
    }
}

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn messages_arrive_in_order_and_many_in_one_frame() {
    let (one, two, proxies) = pair();
    proxies[0].delay(Duration::from_millis(5));
    for n in 0..20_000 {
        assert_eq!(one.peers.send(2, [number(n)]), 0);
    }
    let mut next = 0;
    while next < 20_000 {
        for n in two.numbers() {
            assert_eq!(n, next);
            next += 1;
        }
    }
    let metrics = one.peers.metrics();
    assert!(metrics.sent_frames.get() < 10_000, "{} frames", metrics.sent_frames.get());
    assert_eq!(one.peers.native_of(2).as_deref(), Some("native-2:1"));
}

#[test]
fn a_lost_connection_comes_back_and_the_messages_on_it_do_not_come_twice() {
    let (one, two, proxies) = pair();
    let mut seen = Vec::new();
    for round in 0..5 {
        proxies[0].cut();
        one.wait(|event| matches!(event, Incoming::Disconnected(2)));
        one.wait_connected();
        one.peers.send(2, [number(round)]);
        while seen.last() != Some(&round) {
            seen.extend(two.numbers());
        }
    }
    assert_eq!(seen, vec![0, 1, 2, 3, 4]);
}

#[test]
fn a_network_that_swallows_is_found_out_and_nobody_waits() {
    let (one, two, proxies) = pair_with(|it| it.patience = Duration::from_millis(500));
    // Nothing comes back: signs of life are missing.
    proxies[0].hold(Way::Back, true);
    let lost = one.start_ask(2, b"ping", LONG);
    let ask = two.wait(|event| matches!(event, Incoming::Ask { .. }));
    let Incoming::Ask { replier, .. } = ask else { unreachable!("it was waited for") };
    replier.answer(Bytes::from_static(b"pong"));
    assert_eq!(lost.recv().unwrap(), Err(AskError::Lost), "the answer is on its way for ever");
    one.wait(|event| matches!(event, Incoming::Disconnected(2)));
    assert_eq!(one.peers.send(2, [number(1)]), 1, "there is no connection");
    assert_eq!(one.ask(2, b"ping", LONG), Err(AskError::Unsent));
    proxies[0].hold(Way::Back, false);
    one.wait_connected();
    assert_eq!(one.peers.send(2, [number(2)]), 0);
    assert_eq!(two.numbers(), vec![2]);
}

#[test]
fn a_lane_that_is_full_drops() {
    let proxies = [Proxy::start(), Proxy::start()];
    let mut small = options(1, &proxies[0]);
    small.lane_bytes_max = 1 << 20;
    let (one, two) = (start(small), start(options(2, &proxies[1])));
    proxies[0].set_target(two.peers.address());
    one.wait_connected();
    proxies[0].hold(Way::There, true);
    let large = Bytes::from(vec![0; 1 << 20]);
    let dropped = (0..200).map(|_| one.peers.send(2, [large.clone()])).sum::<usize>();
    assert!(dropped > 0, "sockets hold something, but not 200 MiB");
}

#[test]
fn asks_are_answered_refused_or_time_out() {
    let (one, two, _proxies) = pair();
    let answers: Vec<_> = [&b"a"[..], b"b", b"c"].map(|body| one.start_ask(2, body, LONG)).into();
    let late = one.start_ask(2, b"late", Duration::from_millis(100));
    let mut repliers = Vec::new();
    while repliers.len() < 4 {
        if let Incoming::Ask { from, body, replier, .. } = two.events.recv().unwrap() {
            assert_eq!(from, 1);
            repliers.push((body, replier));
        }
    }
    assert_eq!(late.recv().unwrap(), Err(AskError::Lost));
    // In another order, and one is dropped.
    let (_, dropped) = repliers.remove(1);
    for (body, replier) in repliers.into_iter().rev() {
        replier.answer(body);
    }
    drop(dropped);
    assert_eq!(answers[0].recv().unwrap(), Ok(Bytes::from_static(b"a")));
    assert_eq!(answers[1].recv().unwrap(), Err(AskError::Lost));
    assert_eq!(answers[2].recv().unwrap(), Ok(Bytes::from_static(b"c")));
    assert_eq!(one.ask(9, b"nobody", LONG), Err(AskError::Unsent));
}

#[test]
fn a_store_of_another_cluster_is_refused() {
    let proxies = [Proxy::start(), Proxy::start()];
    let mut stranger = options(1, &proxies[0]);
    stranger.cluster_id = 8;
    let (one, two) = (start(stranger), start(options(2, &proxies[1])));
    proxies[0].set_target(two.peers.address());
    let refused = |store: &Store| store.peers.metrics().refused.get();
    while refused(&two) < 3 {
        assert!(one.events.try_recv().is_err(), "it is connected");
        std::thread::yield_now();
    }
    assert_eq!(one.peers.send(2, [number(1)]), 1);
    assert!(two.events.try_recv().is_err());
}

#[test]
fn an_exchange_of_two_stores_under_cuts_ends_with_the_last_word() {
    let (one, two, proxies) = pair();
    // Each side says its number again until the other one has heard it: what raft does.
    for round in 0..50_u64 {
        if round % 7 == 0 {
            proxies[usize::from(round % 2 == 0)].cut();
        }
        let mut heard = false;
        while !heard {
            one.peers.send(2, [number(round)]);
            heard = std::iter::from_fn(|| two.events.try_recv().ok()).any(|event| {
                matches!(event, Incoming::Messages { messages, .. } if messages.contains(&number(round)))
            });
            std::thread::yield_now();
        }
    }
}
