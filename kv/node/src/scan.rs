//! Reading the keys of a range in order, from a view.

use std::collections::BTreeSet;

use bytes::Bytes;
use engine::{Cf, Direction, View};

use crate::format::{decode_expiry, decode_key, decode_value, encode_range, expiry_range};
use crate::{Result, Time};

/// How many due entries a scan of keys looks up before it reads the values instead.
const DUE_MAX: usize = 4096;

/// What to read.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The column family.
    pub cf: Cf,
    /// The first key.
    pub start: Bytes,
    /// The key after the last one; none: to the last there is.
    pub end: Option<Bytes>,
    /// From small keys to large ones or back.
    pub direction: Direction,
    /// Leaves the values out.
    pub keys_only: bool,
    /// How many pairs at most.
    pub pairs_max: usize,
    /// How many bytes of keys and values at most; the pair that goes beyond is the last.
    pub bytes_max: usize,
}

impl Scan {
    /// The engine's keys that it may read.
    #[must_use]
    pub fn range(&self) -> engine::Range {
        encode_range(&self.start, self.end.as_deref())
    }

    /// Ends a forward scan before an engine's key in its range, and gives the rest.
    pub fn split_off(&mut self, border: &Bytes) -> Scan {
        let border = decode_key(border);
        let rest = Scan { start: border.clone(), ..self.clone() };
        self.end = Some(border);
        rest
    }
}

/// A part of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys with their values, which are empty if only keys were asked for.
    pub pairs: Vec<(Bytes, Bytes)>,
    /// Whether a limit ended the page before the range ended.
    pub has_more: bool,
}

/// Reads one page of a range.
///
/// # Errors
/// Those of the view.
pub fn scan(view: &dyn View, scan: &Scan, now: Time) -> Result<Page> {
    let range = scan.range();
    if scan.keys_only
        && let Some(expired) = expired_keys(view, scan.cf, now)?
    {
        let keys = view.keys(scan.cf, range, scan.direction);
        let alive = keys.filter_map(|key| match key {
            Ok(key) if expired.contains(&key) => None,
            Ok(key) => Some(Ok((decode_key(&key), Bytes::new()))),
            Err(error) => Some(Err(error.into())),
        });
        return collect(alive, scan);
    }
    let pairs = view.iter(scan.cf, range, scan.direction);
    let alive = pairs.filter_map(|pair| match pair.map_err(Into::into).and_then(decode_pair) {
        Ok((_, value)) if !value.is_alive(now) => None,
        Ok((key, _)) if scan.keys_only => Some(Ok((key, Bytes::new()))),
        Ok((key, value)) => Some(Ok((key, value.data))),
        Err(failure) => Some(Err(failure)),
    });
    collect(alive, scan)
}

/// A user's key and value of what is stored.
fn decode_pair((key, value): (Bytes, Bytes)) -> Result<(Bytes, crate::format::Value)> {
    Ok((decode_key(&key), decode_value(&value)?))
}

/// Takes pairs until a limit is reached.
fn collect(pairs: impl Iterator<Item = Result<(Bytes, Bytes)>>, scan: &Scan) -> Result<Page> {
    let mut page = Page::default();
    let mut bytes = 0;
    for pair in pairs {
        let (key, value) = pair?;
        if page.pairs.len() >= scan.pairs_max || bytes > scan.bytes_max {
            page.has_more = true;
            break;
        }
        bytes += key.len() + value.len();
        page.pairs.push((key, value));
    }
    Ok(page)
}

/// The engine's keys that have expired and are not removed yet, found without a look at any other
/// value; none if there are too many.
fn expired_keys(view: &dyn View, cf: Cf, now: Time) -> Result<Option<BTreeSet<Bytes>>> {
    let mut expired = BTreeSet::new();
    for (looked, entry) in
        view.keys(Cf::Expiry, expiry_range(cf, now), Direction::Forward).enumerate()
    {
        if looked == DUE_MAX {
            return Ok(None);
        }
        let Some((_, key)) = decode_expiry(&entry?) else { continue };
        if let Some(stored) = view.get(cf, &key)?
            && !decode_value(&stored)?.is_alive(now)
        {
            expired.insert(key);
        }
    }
    Ok(Some(expired))
}
