//! The clock of a store: it starts at another time than others, and runs at another speed.

use crate::queue::Micros;

/// A clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// What it shows at time 0.
    pub offset: Micros,
    /// How much faster it runs than time, in millionths. May be negative.
    pub drift_ppm: i64,
}

impl Clock {
    /// What it shows.
    #[must_use]
    pub fn read(self, now: Micros) -> Micros {
        self.offset.saturating_add(self.scale(now, self.drift_ppm))
    }

    /// How long in time something takes that takes this long by the clock.
    #[must_use]
    pub fn lasts(self, by_clock: Micros) -> Micros {
        self.scale(by_clock, -self.drift_ppm).max(1)
    }

    fn scale(self, micros: Micros, ppm: i64) -> Micros {
        let more = i128::from(micros) * i128::from(ppm) / 1_000_000;
        u64::try_from(i128::from(micros) + more).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_clock_ticks_sooner() {
        let clock = Clock { offset: 7, drift_ppm: 100_000 };
        assert_eq!((clock.read(1_000), clock.lasts(1_000)), (1_107, 900));
        let slow = Clock { offset: 0, drift_ppm: -100_000 };
        assert_eq!((slow.read(1_000), slow.lasts(1_000)), (900, 1_100));
    }
}
