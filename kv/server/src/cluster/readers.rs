//! Readers: which regions each must see the newest of, and how one waits for several.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use engine::Direction;
use parking_lot::Mutex;
use proto::peer::{Epoch, Region, RegionId};
use raftstore::Store;

use crate::store::{Admitted, Reach, Reader, StoreError, Waiter};

/// Readers by the region at whose barrier they wait.
#[derive(Default)]
pub(super) struct Lots {
    pub(super) at: BTreeMap<RegionId, (Epoch, Vec<Admitted>)>,
    /// Those some of whose keys are on no region here.
    pub(super) nowhere: Vec<Reader>,
}

impl Lots {
    /// Adds a reader: to the lot of its region, or to those of all its regions.
    pub(super) fn add<R>(&mut self, reader: Reader, store: &Store<R>) {
        let Some((regions, border)) = regions_of(&reader.reach, |key| store.region_of(key)) else {
            return self.nowhere.push(reader);
        };
        let waiter = reader.waiter;
        let waiters = match regions.len() {
            1 => vec![waiter],
            count => fan_out(waiter, count),
        };
        for (region, waiter) in regions.into_iter().zip(waiters) {
            let lot = self.at.entry(region.id).or_insert_with(|| (region.epoch, Vec::new()));
            lot.1.push(Admitted { waiter, border: border.clone() });
        }
    }
}

/// The regions of keys, and of a range where it goes beyond them; none if one is not here.
fn regions_of<'a>(
    reach: &Reach,
    region_of: impl Fn(&[u8]) -> Option<&'a Region>,
) -> Option<(Vec<&'a Region>, Option<Bytes>)> {
    match reach {
        Reach::Key(key) => Some((vec![region_of(key)?], None)),
        Reach::Keys(keys) => {
            let mut regions = BTreeMap::new();
            for key in keys {
                let region = region_of(key)?;
                regions.insert(region.id, region);
            }
            // What names no key waits for any region.
            let regions = match regions.is_empty() {
                true => vec![region_of(b"")?],
                false => regions.into_values().collect(),
            };
            Some((regions, None))
        }
        Reach::Range { range, direction: Direction::Forward, regions_max } => {
            let mut regions = vec![region_of(&range.start)?];
            loop {
                let border = &regions[regions.len() - 1].end;
                let ends_here =
                    border.is_empty() || range.end.as_ref().is_some_and(|end| end <= border);
                if ends_here {
                    return Some((regions, None));
                }
                if regions.len() >= *regions_max {
                    let border = border.clone();
                    return Some((regions, Some(border)));
                }
                let next = region_of(border)?;
                regions.push(next);
            }
        }
        Reach::Range { range, direction: Direction::Backward, .. } => {
            // The key before the end cannot be named, so all of them are waited for.
            let range = range.clone();
            let forward =
                Reach::Range { range, direction: Direction::Forward, regions_max: usize::MAX };
            regions_of(&forward, region_of)
        }
    }
}

/// Has one who waits wait for several things: called when the last of them is there, with the
/// error of the first that failed.
fn fan_out(waiter: Waiter, count: usize) -> Vec<Waiter> {
    struct State {
        waiter: Option<Waiter>,
        left: usize,
        error: Option<StoreError>,
    }
    let state = State { waiter: Some(waiter), left: count, error: None };
    let state = Arc::new(Mutex::new(state));
    let part = |_| -> Waiter {
        let state = Arc::clone(&state);
        Box::new(move |result| {
            let mut guard = state.lock();
            guard.left -= 1;
            let border = match result {
                Ok(border) => border,
                Err(error) => {
                    guard.error.get_or_insert(error);
                    None
                }
            };
            if guard.left == 0
                && let Some(waiter) = guard.waiter.take()
            {
                let result = guard.error.take().map_or(Ok(border), Err);
                drop(guard);
                waiter(result);
            }
        })
    };
    (0..count).map(part).collect()
}

#[cfg(test)]
mod tests {
    use engine::Range;
    use proto::peer::Peer;

    use super::*;

    fn regions() -> Vec<Region> {
        let borders = ["", "rb", "rd", "rf", ""];
        let region = |at: usize| Region {
            id: RegionId(at as u64 + 1),
            start: Bytes::from(borders[at]),
            end: Bytes::from(borders[at + 1]),
            epoch: Epoch::FIRST,
            peers: vec![Peer::voter(1, 1)],
        };
        (0..4).map(region).collect()
    }

    fn found(reach: &Reach) -> (Vec<u64>, Option<Bytes>) {
        let regions = regions();
        let region_of = |key: &[u8]| regions.iter().find(|it| it.contains(key));
        let (found, border) = regions_of(reach, region_of).expect("all keys are here");
        (found.iter().map(|it| it.id.0).collect(), border)
    }

    #[test]
    fn readers_wait_for_the_regions_of_their_keys() {
        let key = |text: &'static str| Bytes::from_static(text.as_bytes());
        assert_eq!(found(&Reach::Key(key("rd"))), (vec![3], None));
        let keys = Reach::Keys(vec![key("rz"), key("ra"), key("rzz")]);
        assert_eq!(found(&keys), (vec![1, 4], None));
        assert_eq!(found(&Reach::Keys(Vec::new())), (vec![1], None));
        let range = |direction, regions_max| Reach::Range {
            range: Range { start: key("rc"), end: Some(key("rf")) },
            direction,
            regions_max,
        };
        assert_eq!(found(&range(Direction::Forward, 1)), (vec![2], Some(key("rd"))));
        assert_eq!(found(&range(Direction::Forward, 2)), (vec![2, 3], None));
        assert_eq!(found(&range(Direction::Backward, 1)), (vec![2, 3], None));
    }

    #[test]
    fn who_waits_for_several_is_called_once_with_the_first_error() {
        let results = Arc::new(Mutex::new(Vec::new()));
        let waiter = || -> Waiter {
            let results = Arc::clone(&results);
            Box::new(move |result| results.lock().push(result.is_ok()))
        };
        for parts in [[true, true], [true, false], [false, true]] {
            for (part, is_ok) in fan_out(waiter(), 2).into_iter().zip(parts) {
                part(if is_ok { Ok(None) } else { Err(StoreError::NoLeader) });
            }
        }
        assert_eq!(*results.lock(), [true, false, false]);
        drop(fan_out(waiter(), 2));
    }
}
