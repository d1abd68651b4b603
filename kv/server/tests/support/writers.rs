//! Writers for tests of a cluster: each sets a key of its own to numbers that grow. The number that
//! is read must be one between the last that was answered and the last that was sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use proto::resp::Value;

use super::cluster::Cluster;
use super::resp::Resp;

/// A client that sets its key again and again, through stores in turns.
pub(crate) struct Writer {
    pub(crate) key: String,
    sent: Arc<AtomicU64>,
    pub(crate) answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(name: usize, stores: Vec<SocketAddr>) -> Writer {
        let key = format!("writer:{name}");
        let (sent, answered) = <(Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let stop = Arc::new(AtomicBool::new(false));
        let body = {
            let (key, sent, answered) = (key.clone(), Arc::clone(&sent), Arc::clone(&answered));
            let stop = Arc::clone(&stop);
            move || {
                let mut turn = name;
                let mut client: Option<Resp> = None;
                while !stop.load(Ordering::SeqCst) {
                    let number = sent.fetch_add(1, Ordering::SeqCst) + 1;
                    let it = match &mut client {
                        Some(it) => it,
                        // A store that is dead now is passed over.
                        None => match std::net::TcpStream::connect(stores[turn % stores.len()]) {
                            Ok(_) => client.insert(Resp::connect(stores[turn % stores.len()])),
                            Err(_) => {
                                turn += 1;
                                continue;
                            }
                        },
                    };
                    let text = number.to_string();
                    it.send(&[b"SET", key.as_bytes(), text.as_bytes()]);
                    match it.receive() {
                        Some(Value::Simple(_)) => answered.store(number, Ordering::SeqCst),
                        // Not known, or not done: the next one says.
                        Some(_) => {}
                        None => {
                            client = None;
                            turn += 1;
                        }
                    }
                }
            }
        };
        Writer { key, sent, answered, stop, thread: std::thread::spawn(body) }
    }

    /// Waits until so many more are answered.
    pub(crate) fn wait(&self, more: u64) {
        let target = self.answered.load(Ordering::SeqCst) + more;
        while self.answered.load(Ordering::SeqCst) < target {
            assert!(!self.thread.is_finished(), "the writer has ended");
            std::thread::yield_now();
        }
    }
}

/// Stops writers, and checks what each store has of their keys.
pub(crate) fn check(cluster: &Cluster, writers: Vec<Writer>) {
    for writer in &writers {
        writer.stop.store(true, Ordering::SeqCst);
    }
    for writer in writers {
        writer.thread.join().unwrap();
        let (answered, sent) =
            (writer.answered.load(Ordering::SeqCst), writer.sent.load(Ordering::SeqCst));
        for id in cluster.stores.keys() {
            let found = cluster.client(*id).run(&format!("GET {}", writer.key));
            let number: u64 = found.trim_matches('"').parse().unwrap();
            assert!(
                (answered..=sent).contains(&number),
                "store {id} has {number} of {}, {answered} was answered, {sent} was sent",
                writer.key
            );
        }
    }
}

/// Starts four writers, through these stores.
pub(crate) fn writers(cluster: &Cluster, through: &[u64]) -> Vec<Writer> {
    let stores: Vec<SocketAddr> = through.iter().map(|id| cluster.stores[id].resp()).collect();
    (0..4).map(|name| Writer::start(name, stores.clone())).collect()
}
