//! Makes a failing scenario smaller while it still fails in the same way.
//!
//! Faults are left out, in halves, then quarters, and so on down to single ones (delta debugging;
//! Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002); then clients,
//! time, stores and bad conditions. What fails is the program, so each attempt is a whole run.

use crate::network::Conditions;
use crate::outcome::Failure;
use crate::queue::SECOND;
use crate::scenario::Scenario;

/// A scenario that fails, and how.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest that was found.
    pub scenario: Scenario,
    /// How it fails.
    pub failure: Failure,
    /// Runs that it took.
    pub runs: u32,
}

/// Shrinks a scenario that fails, in at most so many runs. `run` says how a scenario fails, if it
/// does.
pub fn shrink_by(
    scenario: &Scenario,
    failure: &Failure,
    runs_max: u32,
    run: impl Fn(&Scenario) -> Option<Failure>,
) -> Shrunk {
    let shrunk = Shrunk { scenario: scenario.clone(), failure: failure.clone(), runs: 0 };
    let mut search = Search { shrunk, kind: failure.kind(), runs_max, run };
    // A smaller history makes every later attempt faster.
    search.drop_time();
    search.drop_faults();
    search.drop_clients();
    search.calm_down();
    search.drop_faults();
    search.drop_time();
    search.shrunk
}

struct Search<R> {
    shrunk: Shrunk,
    kind: &'static str,
    runs_max: u32,
    run: R,
}

impl<R: Fn(&Scenario) -> Option<Failure>> Search<R> {
    /// Takes a smaller scenario if it fails in the same way.
    fn attempt(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        let mut smaller = self.shrunk.scenario.clone();
        change(&mut smaller);
        if smaller == self.shrunk.scenario || self.shrunk.runs >= self.runs_max {
            return false;
        }
        self.shrunk.runs += 1;
        let failure = (self.run)(&smaller);
        let Some(failure) = failure.filter(|failure| failure.kind() == self.kind) else {
            return false;
        };
        self.shrunk.scenario = smaller;
        self.shrunk.failure = failure;
        true
    }

    fn drop_faults(&mut self) {
        let mut chunk = self.shrunk.scenario.faults.len();
        while chunk > 0 {
            let mut from = 0;
            while from < self.shrunk.scenario.faults.len() {
                let dropped = self.attempt(|scenario| {
                    let to = (from + chunk).min(scenario.faults.len());
                    scenario.faults.drain(from..to);
                });
                if !dropped {
                    from += chunk;
                }
            }
            chunk /= 2;
        }
    }

    fn drop_time(&mut self) {
        while self.shrunk.scenario.duration > SECOND / 2 {
            let shorter = self.attempt(|scenario| {
                scenario.duration = scenario.duration * 2 / 3;
                let end = scenario.duration;
                scenario.faults.retain(|planned| planned.at < end);
            });
            if !shorter {
                return;
            }
        }
    }

    fn drop_clients(&mut self) {
        while self.shrunk.scenario.clients.count > 1 {
            if !self.attempt(|scenario| scenario.clients.count /= 2)
                && !self.attempt(|scenario| scenario.clients.count -= 1)
            {
                break;
            }
        }
        self.attempt(|scenario| scenario.clients.keys = 1);
        self.attempt(|scenario| scenario.clients.many = 0);
        self.attempt(|scenario| scenario.clients.mix = [1, 1, 0, 0, 0]);
        self.attempt(|scenario| scenario.clients.think *= 4);
    }

    fn calm_down(&mut self) {
        self.attempt(|scenario| scenario.network = Conditions::GOOD);
        self.attempt(|scenario| scenario.network.twice = 0);
        self.attempt(|scenario| scenario.network.slow = 0);
        self.attempt(|scenario| scenario.network.loss = 0);
        self.attempt(|scenario| scenario.damage = 0);
        self.attempt(|scenario| scenario.clocks = (0, 0));
        self.attempt(|scenario| scenario.minority_stays_away = false);
        let names: Vec<String> = self.shrunk.scenario.features.keys().cloned().collect();
        for name in names {
            self.attempt(|scenario| {
                scenario.features.remove(&name);
            });
        }
    }
}
