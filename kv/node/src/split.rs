//! Chunks whose keys lie in several regions: [`Split`].
//!
//! ```text
//!   GET a, MGET a z, DEL b y            chunk
//!   region 1: GET a, MGET a, DEL b      its parts, each in the order of the chunk
//!   region 2: MGET z, DEL y
//!   value, values in order, sum         what the answers of the parts are joined to
//! ```
//!
//! Each part is carried out by its region, whole, and the parts of one chunk independently of each
//! other. So a command that is taken apart is not carried out at one moment. What promises to be,
//! a put of many keys, a move of a key or an atomic chunk, is refused instead.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use engine::Cf;
use mutant::mutant;
use proto::peer::{Epoch, Region, RegionError, RegionId};
use raftstore::KeySpan;

use crate::format::{decode_key, encode_key, encode_range};
use crate::machine::{for_keys, span_of};
use crate::{Chunk, Command, Failure, Read, Response, Write};

/// The region of a request, as the store knows it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The region.
    pub region: RegionId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The keys that the request touches.
    pub keys: KeySpan,
}

/// Where the keys of a chunk lie.
#[derive(Debug)]
pub enum Place {
    /// In one region.
    One(Spot),
    /// In several.
    Several(Split),
}

/// A chunk taken apart by regions.
#[derive(Debug, Default)]
pub struct Split {
    /// The parts; no two of one region. Take them to carry them out.
    pub parts: Vec<(RegionId, Chunk)>,
    /// The place of each region's part.
    part_of: BTreeMap<RegionId, usize>,
    /// How the answer of each command comes about.
    joins: Vec<Join>,
}

/// The answer of a part's command: which part, and which command in it.
type At = (usize, usize);

/// How the answer of a command comes about.
#[derive(Debug)]
enum Join {
    /// It is this one's.
    Same(At),
    /// Each gives the values for these places, of so many.
    Values { of: Vec<(At, Vec<usize>)>, count: usize },
    /// The sum of the counts; `writes`: the command changes keys.
    Sum { of: Vec<At>, writes: bool },
    /// All are done.
    All(Vec<At>),
    /// It was refused.
    Refused(Failure),
}

impl Spot {
    /// A region with the keys that a request touches there.
    pub(crate) fn new(region: &Region, keys: KeySpan) -> Spot {
        Spot { region: region.id, epoch: region.epoch, keys }
    }
}

/// Finds where the keys of a chunk lie. `region_of` gives the region of an engine's key.
///
/// # Errors
/// `RegionNotFound` if one of them is on no region here.
pub(crate) fn place<'a>(
    chunk: &Chunk,
    region_of: impl Fn(&[u8]) -> Option<&'a Region>,
) -> Result<Place, RegionError> {
    let find = |key: &[u8]| {
        region_of(key).ok_or(RegionError::RegionNotFound { region: RegionId::default() })
    };
    // What touches no key can go anywhere.
    let keys = span_of(chunk, &Region::default());
    let region = find(&keys.first)?;
    let touches_none = keys.last == Bound::Excluded(Bytes::new());
    if touches_none {
        return Ok(Place::One(Spot::new(region, KeySpan::none_in(region))));
    }
    if keys.outside(region).is_none() {
        return Ok(Place::One(Spot::new(region, keys)));
    }
    let mut split = Split::default();
    if chunk.is_atomic {
        let refused = || Join::Refused(Failure::SeveralRegions);
        split.joins = chunk.commands.iter().map(|_| refused()).collect();
        return Ok(Place::Several(split));
    }
    for command in &chunk.commands {
        let join = split.add(command, &find)?;
        split.joins.push(join);
    }
    Ok(Place::Several(split))
}

impl Split {
    /// Puts a command into the parts.
    fn add<'a>(
        &mut self,
        command: &Command,
        find: &impl Fn(&[u8]) -> Result<&'a Region, RegionError>,
    ) -> Result<Join, RegionError> {
        let home = |key: &Bytes| Ok(find(&encode_key(key))?.id);
        Ok(match command {
            Command::Read(Read::GetMany { cf, keys }) => {
                let (lots, count) = (lots(keys, |key| home(key))?, keys.len());
                let part = |keys| Read::GetMany { cf: *cf, keys }.into();
                let of = lots
                    .into_iter()
                    .map(|(region, places)| (self.put(region, part(pick(keys, &places))), places));
                Join::Values { of: of.collect(), count }
            }
            Command::Read(Read::Exists { cf, keys }) => {
                let part = |keys| Read::Exists { cf: *cf, keys }.into();
                Join::Sum { of: self.put_each(keys, home, part)?, writes: false }
            }
            Command::Write(Write::Delete { cf, keys }) => {
                let part = |keys| Write::Delete { cf: *cf, keys }.into();
                Join::Sum { of: self.put_each(keys, home, part)?, writes: true }
            }
            Command::Write(Write::DeleteRange { cf, start, end }) => {
                Join::All(self.put_range(*cf, start, end.as_ref(), find)?)
            }
            // It is not taken apart: its keys are in one region, or it is refused.
            whole => {
                let mut homes = Vec::new();
                for_keys(whole, &mut |key| homes.push(home(key)));
                let homes: BTreeSet<RegionId> = homes.into_iter().collect::<Result<_, _>>()?;
                match homes.into_iter().collect::<Vec<_>>()[..] {
                    [] => Join::Same(self.put(find(b"")?.id, whole.clone())),
                    [region] => Join::Same(self.put(region, whole.clone())),
                    _ => Join::Refused(Failure::SeveralRegions),
                }
            }
        })
    }

    /// Puts a command into the part of a region.
    fn put(&mut self, region: RegionId, command: Command) -> At {
        let part = *self.part_of.entry(region).or_insert_with(|| {
            self.parts.push((region, Chunk::default()));
            self.parts.len() - 1
        });
        let commands = &mut self.parts[part].1.commands;
        commands.push(command);
        (part, commands.len() - 1)
    }

    /// Puts a command on keys into the parts of their regions.
    fn put_each(
        &mut self,
        keys: &[Bytes],
        home: impl Fn(&Bytes) -> Result<RegionId, RegionError>,
        part: impl Fn(Vec<Bytes>) -> Command,
    ) -> Result<Vec<At>, RegionError> {
        let lots = lots(keys, home)?.into_iter();
        Ok(lots.map(|(region, places)| self.put(region, part(pick(keys, &places)))).collect())
    }

    /// Puts the removal of a range into the parts of its regions.
    fn put_range<'a>(
        &mut self,
        cf: Cf,
        start: &Bytes,
        end: Option<&Bytes>,
        find: &impl Fn(&[u8]) -> Result<&'a Region, RegionError>,
    ) -> Result<Vec<At>, RegionError> {
        let range = encode_range(start, end.map(|end| &end[..]));
        let (mut of, mut from) = (Vec::new(), range.start);
        loop {
            let region = find(&from)?;
            let ends_here =
                region.end.is_empty() || range.end.as_ref().is_some_and(|end| *end <= region.end);
            let to = if ends_here { end.cloned() } else { Some(decode_key(&region.end)) };
            let part = Write::DeleteRange { cf, start: decode_key(&from), end: to };
            of.push(self.put(region.id, part.into()));
            if ends_here {
                return Ok(of);
            }
            from = region.end.clone();
        }
    }

    /// What each command of the whole came to, from what the parts came to, in their order.
    ///
    /// A command that failed in one part and changed keys in another comes to what `partly` makes
    /// of the error.
    pub fn join<E: Clone>(
        &self,
        parts: &[Vec<Result<Response, E>>],
        partly: impl Fn(E) -> E,
    ) -> Vec<Result<Response, E>> {
        self.joins.iter().map(|join| join.of(parts, &partly)).collect()
    }
}

impl Join {
    fn of<E: Clone>(
        &self,
        parts: &[Vec<Result<Response, E>>],
        partly: &impl Fn(E) -> E,
    ) -> Result<Response, E> {
        let at = |at: &At| &parts[at.0][at.1];
        match self {
            Join::Same(one) => at(one).clone(),
            Join::Refused(failure) => Ok(Response::Failed(failure.clone())),
            Join::Values { of, count } => {
                let mut values = vec![None; *count];
                let mut next = 0_usize..;
                for (one, places) in of {
                    match at(one).clone()? {
                        Response::Values(some) if mutant!("values-in-order-of-regions") => {
                            next.by_ref().zip(some).for_each(|(place, it)| values[place] = it);
                        }
                        Response::Values(some) => {
                            places.iter().zip(some).for_each(|(place, it)| values[*place] = it);
                        }
                        other => return Ok(other),
                    }
                }
                Ok(Response::Values(values))
            }
            Join::Sum { of, writes } => {
                let all: Vec<_> = of.iter().map(at).collect();
                let mut sum = 0;
                for one in unfailed(&all, *writes, partly)? {
                    match one {
                        Response::Count(count) => sum += count,
                        other => return Ok(other.clone()),
                    }
                }
                Ok(Response::Count(sum))
            }
            Join::All(of) => {
                let all: Vec<_> = of.iter().map(at).collect();
                let all = unfailed(&all, true, partly)?;
                let failed = all.into_iter().find(|it| matches!(it, Response::Failed(_)));
                Ok(failed.cloned().unwrap_or(Response::Done))
            }
        }
    }
}

/// All answers, or the first error.
fn unfailed<'a, E: Clone>(
    all: &[&'a Result<Response, E>],
    writes: bool,
    partly: &impl Fn(E) -> E,
) -> Result<Vec<&'a Response>, E> {
    let error = all.iter().find_map(|it| it.as_ref().err());
    match error {
        None => Ok(all.iter().filter_map(|it| it.as_ref().ok()).collect()),
        Some(error) if writes && all.iter().any(|it| it.is_ok()) => Err(partly(error.clone())),
        Some(error) => Err(error.clone()),
    }
}

/// The places of items by their region.
fn lots<T>(
    items: &[T],
    home: impl Fn(&T) -> Result<RegionId, RegionError>,
) -> Result<BTreeMap<RegionId, Vec<usize>>, RegionError> {
    let mut lots: BTreeMap<RegionId, Vec<usize>> = BTreeMap::new();
    for (place, item) in items.iter().enumerate() {
        lots.entry(home(item)?).or_default().push(place);
    }
    Ok(lots)
}

fn pick(keys: &[Bytes], places: &[usize]) -> Vec<Bytes> {
    places.iter().map(|place| keys[*place].clone()).collect()
}

#[cfg(test)]
mod tests {
    use engine::{Direction, Durability, Engine, Memory, Range};

    use super::*;
    use crate::{Expiry, Node, Time};

    fn regions() -> Vec<Region> {
        let borders = ["", "rc", "rf", ""];
        let region = |at: usize| Region {
            id: RegionId(at as u64 + 1),
            start: Bytes::from(borders[at]),
            end: Bytes::from(borders[at + 1]),
            ..Region::default()
        };
        (0..3).map(region).collect()
    }

    /// A random command on the keys a to h.
    fn command(random: &mut impl FnMut(u64) -> u64) -> Command {
        let cf = Cf::Default;
        let mut key = || Bytes::from(vec![b'a' + random(8) as u8]);
        let keys: Vec<Bytes> = (0..4).map(|_| key()).collect();
        let one = keys[0].clone();
        let value = Bytes::from_static(b"1");
        match random(9) {
            0 => Read::Get { cf, key: one }.into(),
            1 => Read::GetMany { cf, keys }.into(),
            2 => Read::Exists { cf, keys }.into(),
            3 | 4 => Write::Put { cf, key: one, value, expiry: Expiry::Never }.into(),
            5 => Write::Add { cf, key: one, delta: 3 }.into(),
            6 => Write::Delete { cf, keys }.into(),
            7 => {
                let end = (random(4) > 0).then(|| keys[1].clone());
                Write::DeleteRange { cf, start: one, end }.into()
            }
            _ => {
                let pairs = keys.into_iter().map(|key| (key, value.clone())).collect();
                Write::PutMany { cf, pairs, expiry: Expiry::Never }.into()
            }
        }
    }

    /// Carries chunks out one after the other on a new engine; gives it with the responses.
    fn run(chunks: &[Chunk]) -> (Vec<Vec<Response>>, Vec<(Bytes, Bytes)>) {
        let engine = Memory::new();
        let mut node = Node::solo(&engine).unwrap();
        let group = node.execute(&engine, chunks, Time(0));
        engine.write(group.batch, Durability::Never).unwrap();
        let view = engine.view().unwrap();
        let pairs = view.iter(Cf::Default, Range::all(), Direction::Forward);
        (group.responses, pairs.map(Result::unwrap).collect())
    }

    #[test]
    fn parts_come_to_what_the_whole_would() {
        let regions = regions();
        let region_of = |key: &[u8]| regions.iter().find(|it| it.contains(key));
        let (mut split_apart, mut refused) = (0, 0);
        for seed in 0..500_u64 {
            let mut state = seed;
            let mut random = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % below
            };
            let commands: Vec<Command> = (0..12).map(|_| command(&mut random)).collect();
            let Ok(Place::Several(mut split)) = place(&Chunk::from(commands.clone()), region_of)
            else {
                continue;
            };
            split_apart += 1;
            let parts = std::mem::take(&mut split.parts);
            for (id, part) in &parts {
                let region = &regions[id.0 as usize - 1];
                assert_eq!(span_of(part, region).outside(region), None, "seed {seed}");
            }
            let chunks: Vec<Chunk> = parts.into_iter().map(|(_, chunk)| chunk).collect();
            let (responses, pairs) = run(&chunks);
            let ok = |it: Vec<Response>| it.into_iter().map(Ok::<_, ()>).collect();
            let parts: Vec<Vec<_>> = responses.into_iter().map(ok).collect();
            let joined = split.join(&parts, |error| error);
            // What was refused has done nothing, so the whole is carried out without it.
            let (mut kept, mut expected) = (Vec::new(), Vec::new());
            for (command, response) in commands.into_iter().zip(joined) {
                match response.unwrap() {
                    Response::Failed(Failure::SeveralRegions) => refused += 1,
                    response => {
                        kept.push(command);
                        expected.push(response);
                    }
                }
            }
            assert_eq!(run(&[Chunk::from(kept)]), (vec![expected], pairs), "seed {seed}");
        }
        assert!(split_apart > 400 && refused > 100, "{split_apart} {refused}");
    }

    #[test]
    fn what_is_done_in_part_is_told_apart_from_what_is_not_done() {
        let regions = regions();
        let region_of = |key: &[u8]| regions.iter().find(|it| it.contains(key));
        let keys: Vec<Bytes> = ["a", "z"].map(Bytes::from).to_vec();
        let cf = Cf::Default;
        let delete: Command = Write::Delete { cf, keys: keys.clone() }.into();
        let read: Command = Read::GetMany { cf, keys }.into();
        let Ok(Place::Several(split)) = place(&Chunk::from(vec![delete, read]), region_of) else {
            panic!("there are two regions");
        };
        let done = vec![Ok(Response::Count(1)), Ok(Response::Values(vec![None]))];
        let failed = vec![Err("no leader"); 2];
        let join = |parts: [&Vec<Result<Response, &'static str>>; 2]| {
            split.join(&parts.map(Clone::clone), |_| "in part")
        };
        assert_eq!(join([&done, &failed]), [Err("in part"), Err("no leader")]);
        assert_eq!(join([&failed, &failed]), [Err("no leader"), Err("no leader")]);
        let expected = [Ok(Response::Count(2)), Ok(Response::Values(vec![None, None]))];
        assert_eq!(join([&done, &done]), expected);
    }
}
