//! The raw API as the state machine of regions: [`RawMachine`].
//!
//! It runs on every replica with the same commands at the same times, so it must not depend on
//! anything else: not on how commands are grouped into batches, not on what one replica remembers
//! and another does not.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use engine::{Cf, Direction, Engine, Range};
use proto::peer::{Region, RegionError, RegionId};
use raftstore::{Executed, KeySpan, StateMachine, Timed};

use crate::codec::{Logged, decode};
use crate::format::{RAW_CFS, decode_expiry, decode_value, encode_key, encode_range, expiry_range};
use crate::overlay::Overlay;
use crate::read::Source;
use crate::solo::execute_one;
use crate::sweep::{SWEEP_KEYS_MAX, expiring};
use crate::write::Writer;
use crate::{Chunk, Command, Failure, Read, Response, Time, Write};

/// How many entries that are due are looked at in search of some that are this store's to remove.
const SWEEP_LOOKS_MAX: usize = 16 * SWEEP_KEYS_MAX;

/// Carries out commands of the raw API that were replicated.
#[derive(Debug, Default)]
pub struct RawMachine {
    /// Which column families may hold a key that expires, by [`Cf::index`].
    may_expire: [bool; Cf::ALL.len()],
}

impl StateMachine for RawMachine {
    type Response = Vec<Response>;

    fn execute(
        &mut self,
        engine: &dyn Engine,
        region: &Region,
        commands: &[Timed],
    ) -> engine::Result<Executed<Vec<Response>>> {
        let (now, may_expire) = (Time::default(), self.may_expire);
        let mut writer = Writer { overlay: Overlay::new(engine), now, may_expire };
        let mut responses = Vec::with_capacity(commands.len());
        for Timed { time, command } in commands {
            writer.now = Time(*time);
            responses.push(run(&mut writer, region, command)?);
        }
        self.may_expire = writer.may_expire;
        Ok(Executed { batch: writer.overlay.batch, responses })
    }

    fn reset(&mut self, engine: &dyn Engine) -> engine::Result<()> {
        self.may_expire = expiring(engine.view()?.as_ref())?;
        Ok(())
    }

    fn ranges(region: &Region) -> Vec<(Cf, Range)> {
        let keys = raftstore::range_of(region);
        let mut ranges: Vec<_> = RAW_CFS.iter().map(|cf| (*cf, keys.clone())).collect();
        ranges.push((Cf::Expiry, Range::all()));
        ranges
    }

    fn owns(region: &Region, cf: Cf, key: &[u8]) -> bool {
        match cf {
            Cf::Expiry => decode_expiry(&Bytes::copy_from_slice(key))
                .is_some_and(|(_, key)| region.contains(&key)),
            _ => region.contains(key),
        }
    }
}

/// Carries out one command of the log.
fn run(
    writer: &mut Writer<'_>,
    region: &Region,
    command: &Bytes,
) -> engine::Result<Result<Vec<Response>, RegionError>> {
    match decode(command) {
        // Written by nobody; every replica finds it alike.
        None => Ok(Ok(Vec::new())),
        Some(Logged::Sweep(entries)) => {
            sweep(writer, region, entries)?;
            Ok(Ok(Vec::new()))
        }
        Some(Logged::Chunk(chunk)) => {
            if let Some(key) = span_of(&chunk, region).outside(region) {
                return Ok(Err(RegionError::KeyNotInRegion {
                    key,
                    region: Box::new(region.clone()),
                }));
            }
            let mut responses = Vec::with_capacity(chunk.commands.len());
            for command in &chunk.commands {
                match execute_one(writer, command) {
                    // This replica's own trouble, and no outcome of the command.
                    Response::Failed(failure @ Failure::Engine(_)) => {
                        return Err(engine_error(failure));
                    }
                    response => responses.push(response),
                }
            }
            Ok(Ok(responses))
        }
    }
}

/// Removes keys that have expired, of those that the entries name.
fn sweep(writer: &mut Writer<'_>, region: &Region, entries: Vec<Bytes>) -> engine::Result<()> {
    for entry in entries {
        let cf = entry.first().and_then(|cf| Cf::from_number(*cf));
        let (Some(cf), Some((_, key))) = (cf, decode_expiry(&entry)) else { continue };
        if !RAW_CFS.contains(&cf) || !region.contains(&key) {
            continue;
        }
        // The entry may be stale: the key's own value decides.
        let stored = writer.overlay.get(cf, &key)?;
        let value = stored.and_then(|stored| decode_value(&stored).ok());
        if value.is_some_and(|value| !value.is_alive(writer.now)) {
            writer.overlay.batch.delete(cf, key);
        }
        writer.overlay.batch.delete(Cf::Expiry, entry);
    }
    Ok(())
}

/// Entries that are due, by the region that `region_of` gives for their keys; at most
/// [`SWEEP_KEYS_MAX`], none of keys for which it gives none.
pub(crate) fn due(
    engine: &dyn Engine,
    now: Time,
    region_of: impl Fn(&[u8]) -> Option<RegionId>,
) -> engine::Result<BTreeMap<RegionId, Vec<Bytes>>> {
    let view = engine.view()?;
    let mut due: BTreeMap<RegionId, Vec<Bytes>> = BTreeMap::new();
    let mut count = 0;
    for cf in RAW_CFS {
        let entries = view.keys(Cf::Expiry, expiry_range(cf, now), Direction::Forward);
        for entry in entries.take(SWEEP_LOOKS_MAX) {
            let entry = entry?;
            if count >= SWEEP_KEYS_MAX {
                return Ok(due);
            }
            let region = decode_expiry(&entry).and_then(|(_, key)| region_of(&key));
            if let Some(region) = region {
                due.entry(region).or_default().push(entry);
                count += 1;
            }
        }
    }
    Ok(due)
}

/// The engine's keys that a chunk touches; of one that touches none, none in the region.
pub(crate) fn span_of(chunk: &Chunk, region: &Region) -> KeySpan {
    // The engine's keys sort as the users' do, so only those at the ends are copied.
    let mut ends: Option<(&Bytes, &Bytes)> = None;
    for command in &chunk.commands {
        for_keys(command, &mut |key| {
            ends = Some(ends.map_or((key, key), |(first, last)| (first.min(key), last.max(key))));
        });
    }
    let mut span = ends.map(|(first, last)| {
        let key = encode_key(first);
        let last = if first == last { key.clone() } else { encode_key(last) };
        KeySpan { first: key, last: Bound::Included(last) }
    });
    for command in &chunk.commands {
        if let Command::Write(Write::DeleteRange { start, end, .. }) = command {
            let range = encode_range(start, end.as_deref());
            let (first, last) = (range.start, range.end.map_or(Bound::Unbounded, Bound::Excluded));
            span = Some(match span.take() {
                None => KeySpan { first, last },
                Some(span) => KeySpan {
                    first: first.min(span.first),
                    last: if is_beyond(&last, &span.last) { last } else { span.last },
                },
            });
        }
    }
    span.unwrap_or_else(|| KeySpan::none_in(region))
}

/// Whether a bound ends after another one.
fn is_beyond(one: &Bound<Bytes>, other: &Bound<Bytes>) -> bool {
    match (one, other) {
        (_, Bound::Unbounded) => false,
        (Bound::Unbounded, _) => true,
        (Bound::Included(one), Bound::Included(other) | Bound::Excluded(other))
        | (Bound::Excluded(one), Bound::Excluded(other)) => one >= other,
        (Bound::Excluded(one), Bound::Included(other)) => one > other,
    }
}

/// Calls `f` with each key that a command names.
pub(crate) fn for_keys<'a>(command: &'a Command, f: &mut impl FnMut(&'a Bytes)) {
    match command {
        Command::Read(Read::Get { key, .. } | Read::Ttl { key, .. })
        | Command::Write(
            Write::Put { key, .. }
            | Write::PutIf { key, .. }
            | Write::GetDelete { key, .. }
            | Write::Add { key, .. }
            | Write::AddFloat { key, .. }
            | Write::Append { key, .. }
            | Write::SetRange { key, .. }
            | Write::SetBit { key, .. }
            | Write::SetExpiry { key, .. }
            | Write::GetSetExpiry { key, .. },
        ) => f(key),
        Command::Read(Read::GetMany { keys, .. } | Read::Exists { keys, .. })
        | Command::Write(Write::Delete { keys, .. }) => keys.iter().for_each(f),
        Command::Write(Write::PutMany { pairs, .. } | Write::PutManyIfAbsent { pairs, .. }) => {
            pairs.iter().for_each(|(key, _)| f(key));
        }
        Command::Write(Write::CopyKey { from, to, .. }) => [from, to].into_iter().for_each(f),
        Command::Write(Write::DeleteRange { .. }) => {}
    }
}

/// The engine's error of a failure.
fn engine_error(failure: Failure) -> engine::Error {
    match failure {
        // The error is shared with nobody, unless a response was cloned.
        Failure::Engine(error) => std::sync::Arc::try_unwrap(error)
            .unwrap_or_else(|error| engine::Error::Poisoned(error.to_string())),
        other => engine::Error::Invalid(other.to_string()),
    }
}
