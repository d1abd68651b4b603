//! When requests are sent.
//!
//! In a closed loop a request is sent when a lane is free, and its latency counts from then. In
//! an open loop requests are due at moments of their own, and the latency counts from the moment
//! at which a request was due, however late a free lane comes to it: a server that stalls is not
//! spared the requests that came meanwhile (no "coordinated omission").

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use mutant::mutant;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The pacer looks at the clock at least so often.
const PACE_MAX: Duration = Duration::from_millis(1);

/// How late the last requests of an open loop may be sent, after its time is over.
const LATE_MAX: Duration = Duration::from_millis(100);

/// The right to send one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Which request, from 0.
    pub(crate) number: u64,
    /// When it was due; none if whenever a lane is free.
    due: Option<Instant>,
}

impl Ticket {
    /// The moment from which the latency counts, for a request that is sent `now`.
    pub(crate) fn start(&self, now: Instant) -> Instant {
        match self.due {
            Some(due) if !mutant!("open-loop-from-sending") => due,
            _ => now,
        }
    }
}

/// The tickets of one phase, which all lanes share.
pub(crate) struct Tickets {
    /// The number of the next ticket.
    next: AtomicU64,
    /// How many tickets there are; `u64::MAX` for as many as the time allows.
    count: u64,
    /// When the phase ends, at the latest.
    end: Option<Instant>,
    stopped: AtomicBool,
    open: Option<Open>,
}

/// What an open loop needs.
struct Open {
    start: Instant,
    /// Requests a second.
    rate: f64,
    /// As many permits as tickets are due and not taken.
    due: Semaphore,
}

impl Tickets {
    /// Makes tickets for a phase that starts now: `count` of them, or as many as `duration`
    /// allows; at `rate` a second in an open loop.
    pub(crate) fn new(
        count: Option<u64>,
        duration: Option<Duration>,
        rate: Option<f64>,
    ) -> Tickets {
        let start = Instant::now();
        let mut count = count.unwrap_or(u64::MAX);
        let mut end = duration.map(|duration| start + duration);
        if let (Some(rate), Some(duration)) = (rate, duration) {
            count = count.min((duration.as_secs_f64() * rate).ceil() as u64);
            end = end.map(|end| end + LATE_MAX);
        }
        Tickets {
            next: AtomicU64::new(0),
            count,
            end,
            stopped: AtomicBool::new(false),
            open: rate.map(|rate| Open { start, rate, due: Semaphore::new(0) }),
        }
    }

    /// Waits for the next ticket; none at the end of the phase.
    pub(crate) async fn next(&self) -> Option<Ticket> {
        if let Some(open) = &self.open {
            // A closed semaphore is the end of the phase.
            open.due.acquire().await.ok()?.forget();
        }
        if self.is_over() {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.count {
            self.stop();
            return None;
        }
        Some(Ticket { number, due: self.open.as_ref().map(|open| open.due_at(number)) })
    }

    /// Ends the phase: no further ticket is given out.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(open) = &self.open {
            open.due.close();
        }
    }

    fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Tickets given out so far.
    pub(crate) fn taken(&self) -> u64 {
        self.next.load(Ordering::Relaxed).min(self.count)
    }

    /// Tickets that were due until `now` and never given out: the server, or this program, did
    /// not keep up.
    pub(crate) fn left_over(&self, now: Instant) -> u64 {
        let Some(open) = &self.open else { return 0 };
        open.due_until(now).min(self.count).saturating_sub(self.taken())
    }

    /// Releases the tickets of an open loop as they become due, until the phase ends. To be run on
    /// a thread of its own, since the timers of the runtime have a resolution of a millisecond
    /// only.
    pub(crate) fn pace(&self) {
        let Some(open) = &self.open else { return };
        let mut released = 0;
        while !self.is_over() && released < self.count {
            released = self.release(open, released);
            let pause = open.due_at(released).saturating_duration_since(Instant::now());
            std::thread::park_timeout(pause.min(PACE_MAX));
        }
        if released < self.count {
            self.stop();
        } else {
            // One more for each lane to find out that there is none left.
            open.due.add_permits(1);
        }
    }

    /// Releases what is due now, after `released` earlier ones; returns the new number of them.
    fn release(&self, open: &Open, released: u64) -> u64 {
        let due = open.due_until(Instant::now()).min(self.count);
        open.due.add_permits(due.saturating_sub(released) as usize);
        due.max(released)
    }
}

impl Open {
    /// When request `number` is due.
    fn due_at(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// How many requests are due until `now`.
    fn due_until(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start).as_secs_f64();
        (elapsed * self.rate) as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_closed_loop_counts_from_the_sending() {
        let tickets = Tickets::new(Some(3), None, None);
        for number in 0..3 {
            tokio::time::advance(10 * MS).await;
            let ticket = tickets.next().await.unwrap();
            let now = Instant::now();
            assert_eq!((ticket.number, ticket.start(now)), (number, now));
        }
        assert_eq!(tickets.next().await, None);
        assert_eq!((tickets.taken(), tickets.left_over(Instant::now())), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_loop_counts_from_when_a_request_was_due() {
        // One lane, one request each 10 ms; the first one takes 100 ms, the others none.
        let tickets = Tickets::new(Some(12), None, Some(100.0));
        let open = tickets.open.as_ref().unwrap();
        let mut released = 0;
        let mut latencies = Vec::new();
        let mut stall = 100 * MS;
        while latencies.len() < 12 {
            released = tickets.release(open, released);
            if released as usize == latencies.len() {
                tokio::time::advance(10 * MS).await;
                continue;
            }
            let ticket = tickets.next().await.unwrap();
            let start = ticket.start(Instant::now());
            tokio::time::advance(std::mem::take(&mut stall)).await;
            latencies.push(start.elapsed().as_millis());
        }
        assert_eq!(latencies, [100, 90, 80, 70, 60, 50, 40, 30, 20, 10, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_open_loop_did_not_send_is_counted() {
        let tickets = Tickets::new(None, Some(100 * MS), Some(1000.0));
        let open = tickets.open.as_ref().unwrap();
        tokio::time::advance(50 * MS).await;
        assert_eq!(tickets.release(open, 0), 51);
        for number in 0..20 {
            assert_eq!(tickets.next().await.unwrap().number, number);
        }
        tokio::time::advance(50 * MS + LATE_MAX).await;
        assert_eq!(tickets.next().await, None, "the time is over");
        assert_eq!(tickets.left_over(Instant::now()), 100 - 20);
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_was_due_in_the_time_is_sent() {
        let tickets = Tickets::new(None, Some(10 * MS), Some(1000.0));
        let open = tickets.open.as_ref().unwrap();
        tokio::time::advance(11 * MS).await;
        assert_eq!(tickets.release(open, 0), 10);
        for number in 0..10 {
            assert_eq!(tickets.next().await.unwrap().number, number);
        }
        assert_eq!(tickets.left_over(Instant::now()), 0);
    }

    #[test]
    fn the_pacer_releases_every_ticket_and_ends() {
        let tickets = Tickets::new(Some(100), None, Some(1e6));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| tickets.pace());
            runtime.block_on(async {
                for number in 0..100 {
                    assert_eq!(tickets.next().await.unwrap().number, number);
                }
                assert_eq!(tickets.next().await, None);
                assert_eq!(tickets.next().await, None, "for a second lane as well");
            });
        });
    }

    #[tokio::test]
    async fn stopping_wakes_the_lanes() {
        let tickets = Tickets::new(None, None, Some(0.001));
        let (ticket, ()) = tokio::join!(tickets.next(), async { tickets.stop() });
        assert_eq!(ticket, None);
    }
}
