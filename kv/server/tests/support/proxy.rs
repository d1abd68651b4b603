//! A faulty network between two programs: a proxy for TCP that delays, holds back in one or both
//! directions, cuts, and refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot, watch};

/// A running proxy. Dropping it closes its connections.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    target: watch::Sender<Option<SocketAddr>>,
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

struct Shared {
    /// Whether bytes to the target, and from it, are held back.
    held: [watch::Sender<bool>; 2],
    /// How long each piece is held, in milliseconds.
    delay_ms: AtomicU64,
    refusing: AtomicBool,
    cut: Notify,
}

/// A way that bytes take.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "not every suite needs every direction")]
pub(crate) enum Way {
    /// To the target.
    There = 0,
    /// From the target.
    Back = 1,
}

#[allow(dead_code, reason = "not every suite needs every fault")]
impl Proxy {
    /// Listens at a free port. Connections wait until a target is named.
    pub(crate) fn start() -> Proxy {
        let (target, targets) = watch::channel(None);
        let (stop, stopped) = oneshot::channel::<()>();
        let (send_address, address) = mpsc::channel();
        let shared = Arc::new(Shared {
            held: [watch::channel(false).0, watch::channel(false).0],
            delay_ms: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
            cut: Notify::new(),
        });
        let body = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                send_address.send(listener.local_addr().unwrap()).unwrap();
                tokio::spawn(accept(listener, targets, body));
                let _ = stopped.await;
            });
        });
        Proxy { shared, target, address: address.recv().unwrap(), _stop: stop }
    }

    /// Names where connections go from now on.
    pub(crate) fn set_target(&self, target: SocketAddr) {
        self.target.send_replace(Some(target));
    }

    /// Holds bytes back, or lets them go. What was held is not lost.
    pub(crate) fn hold(&self, way: Way, held: bool) {
        self.shared.held[way as usize].send_replace(held);
    }

    /// Delays each piece that passes.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.delay_ms.store(delay.as_millis() as u64, Ordering::SeqCst);
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.shared.cut.notify_waiters();
    }

    /// Ends new connections at once, or takes them again.
    pub(crate) fn refuse(&self, refusing: bool) {
        self.shared.refusing.store(refusing, Ordering::SeqCst);
    }

    /// Cuts, refuses and holds everything; or ends all that.
    pub(crate) fn isolate(&self, isolated: bool) {
        self.refuse(isolated);
        self.hold(Way::There, isolated);
        self.hold(Way::Back, isolated);
        self.cut();
    }
}

async fn accept(
    listener: TcpListener,
    targets: watch::Receiver<Option<SocketAddr>>,
    shared: Arc<Shared>,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if shared.refusing.load(Ordering::SeqCst) {
            continue;
        }
        let (mut targets, shared) = (targets.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let target = *targets.wait_for(Option::is_some).await.unwrap();
            let Ok(server) = TcpStream::connect(target.unwrap()).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = pipe(from_client, to_server, Way::There, &shared) => {}
                () = pipe(from_server, to_client, Way::Back, &shared) => {}
                () = shared.cut.notified() => {}
            }
        });
    }
}

/// Moves bytes one way until an end is gone.
async fn pipe(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way, shared: &Shared) {
    let mut held = shared.held[way as usize].subscribe();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(bytes) = from.read(&mut buffer).await else { return };
        if bytes == 0 {
            return;
        }
        let delay = shared.delay_ms.load(Ordering::SeqCst);
        if delay > 0 {
            let until = tokio::time::Instant::now() + Duration::from_millis(delay);
            tokio::time::sleep_until(until).await;
        }
        if held.wait_for(|held| !held).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}
