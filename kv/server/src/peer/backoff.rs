//! Pauses between attempts to connect, that grow and are spread by chance: stores that lost the
//! same one do not come back in step.

use std::time::Duration;

use rand::RngExt;

/// The pauses of one series of failures.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new((min, max): (Duration, Duration)) -> Backoff {
        Backoff { min, max, failures: 0 }
    }

    /// The pause after one more failure: between half of the current step and all of it.
    pub(super) fn next(&mut self) -> Duration {
        let step = self.min.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        step.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Starts over after a success. Gives how many failures there were.
    pub(super) fn reset(&mut self) -> u32 {
        std::mem::take(&mut self.failures)
    }

    /// Whether the failure that comes now is the first.
    pub(super) fn is_fresh(&self) -> bool {
        self.failures == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_start_over() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new((ms(10), ms(100)));
        for step in [10, 20, 40, 80, 100, 100] {
            let pause = backoff.next();
            assert!(pause >= ms(step) / 2 && pause <= ms(step), "{pause:?} at step {step}");
        }
        assert_eq!(backoff.reset(), 6);
        assert!(backoff.is_fresh() && backoff.next() <= ms(10));
    }
}
