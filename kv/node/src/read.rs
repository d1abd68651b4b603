//! Reading keys, from whatever has them: an engine, a view, or a group's writes on top of an
//! engine.

use bytes::Bytes;
use engine::{Cf, Engine, Lookup, View};
use mutant::mutant;

use crate::format::{KEY_BYTES_MAX, Value, decode_value, encode_key};
use crate::{Failure, Read, Response, Result, Time, Ttl};

/// Where engine keys are read.
pub(crate) trait Source {
    /// Reads an engine key.
    fn get(&self, cf: Cf, key: &[u8]) -> engine::Result<Option<Bytes>>;
}

impl Source for &dyn Engine {
    fn get(&self, cf: Cf, key: &[u8]) -> engine::Result<Option<Bytes>> {
        Engine::get(*self, cf, key)
    }
}

impl Source for &dyn View {
    fn get(&self, cf: Cf, key: &[u8]) -> engine::Result<Option<Bytes>> {
        View::get(*self, cf, key)
    }
}

/// Carries out a read. A command with many keys is read from a view, at one moment.
#[must_use]
pub fn read(engine: &dyn Engine, read: &Read, now: Time) -> Response {
    let many =
        matches!(read, Read::GetMany { keys, .. } | Read::Exists { keys, .. } if keys.len() > 1);
    let result = if many {
        match engine.view() {
            Ok(view) => run(&view.as_ref(), read, now),
            Err(error) => Err(error.into()),
        }
    } else {
        run(&engine, read, now)
    };
    result.unwrap_or_else(Response::Failed)
}

/// Carries out a read if it needs no disk; none if it may: then call [`read`] where waiting is
/// allowed.
#[must_use]
pub fn read_nowait(engine: &dyn Engine, read: &Read, now: Time) -> Option<Response> {
    let (cf, key) = match read {
        Read::Get { cf, key } | Read::Ttl { cf, key } => (*cf, key),
        Read::GetMany { cf, keys } | Read::Exists { cf, keys } => match keys.as_slice() {
            [key] => (*cf, key),
            _ => return None,
        },
    };
    let value = match key_of(key).and_then(|key| Ok(engine.get_nowait(cf, &key)?)) {
        Ok(Lookup::MayBlock) => return None,
        Ok(Lookup::Ready(stored)) => decode_alive(stored, now),
        Err(failure) => Err(failure),
    };
    Some(value.map_or_else(Response::Failed, |value| answer_one(read, value)))
}

/// Carries out a read on a source.
pub(crate) fn run(source: &impl Source, read: &Read, now: Time) -> Result<Response> {
    match read {
        Read::Get { cf, key } | Read::Ttl { cf, key } => {
            Ok(answer_one(read, alive(source, *cf, key, now)?))
        }
        Read::GetMany { cf, keys } => {
            let values = keys
                .iter()
                .map(|key| Ok(alive(source, *cf, key, now)?.map(|value| value.data)))
                .collect::<Result<_>>()?;
            Ok(Response::Values(values))
        }
        Read::Exists { cf, keys } => {
            let mut count = 0;
            for key in keys {
                count += u64::from(alive(source, *cf, key, now)?.is_some());
            }
            Ok(Response::Count(count))
        }
    }
}

/// The answer to a read of one key.
fn answer_one(read: &Read, value: Option<Value>) -> Response {
    match read {
        Read::Get { .. } => Response::Value(value.map(|value| value.data)),
        Read::GetMany { .. } => Response::Values(vec![value.map(|value| value.data)]),
        Read::Exists { .. } => Response::Count(u64::from(value.is_some())),
        Read::Ttl { .. } => Response::Ttl(match value {
            None => Ttl::Absent,
            Some(Value { expiry: None, .. }) => Ttl::Forever,
            Some(Value { expiry: Some(expiry), .. }) => Ttl::Until(expiry),
        }),
    }
}

/// The value of a user's key, if it exists and has not expired.
pub(crate) fn alive(
    source: &impl Source,
    cf: Cf,
    user_key: &[u8],
    now: Time,
) -> Result<Option<Value>> {
    decode_alive(source.get(cf, &key_of(user_key)?)?, now)
}

/// The value that is stored, if it has not expired.
pub(crate) fn decode_alive(stored: Option<Bytes>, now: Time) -> Result<Option<Value>> {
    let Some(stored) = stored else { return Ok(None) };
    let value = decode_value(&stored)?;
    Ok((value.is_alive(now) || mutant!("expiry-ignored")).then_some(value))
}

/// The engine's key of a user's key, whose length is checked.
pub(crate) fn key_of(user_key: &[u8]) -> Result<Bytes> {
    if user_key.len() > KEY_BYTES_MAX {
        return Err(Failure::KeyTooLong { bytes: user_key.len(), limit: KEY_BYTES_MAX });
    }
    Ok(encode_key(user_key))
}
