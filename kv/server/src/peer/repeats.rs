//! Log lines that would come with every attempt: each is said at once, and then once a minute. A
//! store that may not come back calls several times a second, and would drown everything else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a line is not repeated.
const PAUSE: Duration = Duration::from_secs(60);

/// The most lines that are remembered; beyond them all are forgotten, and said again.
const LINES_MAX: usize = 128;

/// What was said, when, and how often it was not said since.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    said: BTreeMap<String, (Instant, u64)>,
}

impl Repeats {
    /// Whether a line is said now; then, how often it was swallowed before.
    pub(super) fn say(&mut self, line: &str, now: Instant) -> Option<u64> {
        if let Some((last, swallowed)) = self.said.get_mut(line) {
            if now.saturating_duration_since(*last) < PAUSE {
                *swallowed += 1;
                return None;
            }
            *last = now;
            return Some(std::mem::take(swallowed));
        }
        if self.said.len() >= LINES_MAX {
            self.said.clear();
        }
        self.said.insert(line.to_owned(), (now, 0));
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_at_once_and_then_once_a_minute() {
        let start = Instant::now();
        let mut repeats = Repeats::default();
        assert_eq!(repeats.say("refused", start), Some(0));
        for second in 1..60 {
            assert_eq!(repeats.say("refused", start + Duration::from_secs(second)), None);
        }
        assert_eq!(repeats.say("another", start + Duration::from_secs(59)), Some(0));
        assert_eq!(repeats.say("refused", start + PAUSE), Some(59));
        assert_eq!(repeats.say("refused", start + PAUSE), None);
    }

    #[test]
    fn the_lines_that_are_remembered_are_bounded() {
        let start = Instant::now();
        let mut repeats = Repeats::default();
        for line in 0..10 * LINES_MAX {
            assert_eq!(repeats.say(&line.to_string(), start), Some(0));
            assert!(repeats.said.len() <= LINES_MAX);
        }
    }
}
