//! Pauses between attempts that grow and are spread by chance, so that many clients that lost
//! the same server do not come back in step.

use std::time::Duration;

use rand::RngExt;

/// The pauses of one series of failures.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    /// The upper end of the first pause.
    min: Duration,
    /// The upper end of every later pause.
    max: Duration,
    /// Failures since the last success.
    failures: u32,
}

impl Backoff {
    /// Makes a series whose pauses begin at `min` and double up to `max`.
    pub(crate) fn new(min: Duration, max: Duration) -> Backoff {
        Backoff { min, max, failures: 0 }
    }

    /// The pause after one more failure: between half of the current step and all of it.
    pub(crate) fn next(&mut self) -> Duration {
        let step = self.min.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures += 1;
        step.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Starts over after a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_start_over() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(10), ms(100));
        for step in [10, 20, 40, 80, 100, 100] {
            let pause = backoff.next();
            assert!(pause >= ms(step) / 2 && pause <= ms(step), "{pause:?} at step {step}");
        }
        backoff.reset();
        assert!(backoff.next() <= ms(10));
        for _ in 0..100 {
            assert!(backoff.next() <= ms(100), "a long series stays at the limit");
        }
    }

    #[test]
    fn two_clients_do_not_pause_in_step() {
        let ms = Duration::from_millis;
        let series = || {
            let mut backoff = Backoff::new(ms(10), ms(100));
            (0..16).map(|_| backoff.next()).collect::<Vec<_>>()
        };
        assert_ne!(series(), series());
    }
}
