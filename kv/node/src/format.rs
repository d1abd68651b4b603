//! How the raw API lies in an engine: keys, values, and when they expire.
//!
//! The prefix is the one of TiKV's API V2, so that raw keys and transactions (prefix `x`) can
//! share a column family. [`Cf::Expiry`] holds one entry for each key that expires, put and
//! removed in the batch that changes the key; its order lets a sweep find what is due without
//! looking at anything else. An entry whose key has another expiry by now is stale (a range
//! delete leaves some): the key's own value decides, always.

use bytes::{BufMut, Bytes, BytesMut};
use engine::{Cf, Range};

use crate::{Failure, Result, Time};

/// The first byte of every raw key. The byte behind it begins nothing, so that the two bound the
/// raw keys of a column family.
const RAW: u8 = b'r';

/// The column families that the raw API may use.
pub const RAW_CFS: [Cf; 3] = [Cf::Default, Cf::Lock, Cf::Write];

/// The longest key of a user, in bytes: what an engine takes less what is put before it.
pub const KEY_BYTES_MAX: usize = (64 << 10) - 16;

/// The longest value of a user, in bytes: what an engine takes less the header.
pub const VALUE_BYTES_MAX: usize = (512 << 20) - 16;

/// Bit 0 of a value's header: an expiry follows.
const EXPIRES: u8 = 1;

/// Makes the engine's key of a user's key.
///
/// ```text
///  0      1
/// +------+------------------+
/// | 'r'  | user's key       |
/// +------+------------------+
/// ```
#[must_use]
pub fn encode_key(user_key: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(1 + user_key.len());
    key.put_u8(RAW);
    key.put_slice(user_key);
    key.freeze()
}

/// The user's key of an engine's key.
#[must_use]
pub fn decode_key(key: &Bytes) -> Bytes {
    key.slice(1.min(key.len())..)
}

/// The engine's keys of the user's keys from `start` to before `end`.
#[must_use]
pub fn encode_range(start: &[u8], end: Option<&[u8]>) -> Range {
    let end = end.map_or_else(|| Bytes::from_static(&[RAW + 1]), encode_key);
    Range { start: encode_key(start), end: Some(end) }
}

/// Makes the engine's value of a user's value.
///
/// ```text
///  0        1                         9
/// +--------+-------------------------+----------------------+
/// | flags  | expiry u64 BE, ms since | user's value         |
/// | u8     | the epoch, if bit 0     |                      |
/// +--------+-------------------------+----------------------+
///  flags: bit 0 = it expires, the others are 0
/// ```
#[must_use]
pub fn encode_value(user_value: &[u8], expiry: Option<Time>) -> Bytes {
    let mut value = BytesMut::with_capacity(9 + user_value.len());
    match expiry {
        None => value.put_u8(0),
        Some(Time(ms)) => {
            value.put_u8(EXPIRES);
            value.put_u64(ms);
        }
    }
    value.put_slice(user_value);
    value.freeze()
}

/// A value of a user and when it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The user's value.
    pub data: Bytes,
    /// The first moment at which it is gone; none: never.
    pub expiry: Option<Time>,
}

impl Value {
    /// Whether it is still there.
    #[must_use]
    pub fn is_alive(&self, now: Time) -> bool {
        self.expiry.is_none_or(|expiry| now < expiry)
    }
}

/// Reads an engine's value; no bytes are copied.
///
/// # Errors
/// `Corrupt` if it is not what [`encode_value`] makes.
pub fn decode_value(value: &Bytes) -> Result<Value> {
    match value.split_first() {
        Some((0, _)) => Ok(Value { data: value.slice(1..), expiry: None }),
        Some((&EXPIRES, rest)) => match rest.split_first_chunk() {
            Some((ms, _)) => {
                Ok(Value { data: value.slice(9..), expiry: Some(Time(u64::from_be_bytes(*ms))) })
            }
            None => Err(not_raw("its expiry is cut off")),
        },
        Some((flags, _)) => Err(not_raw(&format!("its header {flags:#04x} is not known"))),
        None => Err(not_raw("it has no header")),
    }
}

/// The error of a stored value that the raw API did not write.
fn not_raw(reason: &str) -> Failure {
    engine::Error::Invalid(format!("a stored value is not of the raw API: {reason}")).into()
}

/// Makes the key of an entry in [`Cf::Expiry`], whose value is empty.
///
/// ```text
///  0     1                         9
/// +-----+-------------------------+---------------------+
/// | cf  | expiry u64 BE, ms since | engine's key ('r'…) |
/// | u8  | the epoch               |                     |
/// +-----+-------------------------+---------------------+
/// ```
#[must_use]
pub fn encode_expiry(cf: Cf, expiry: Time, key: &[u8]) -> Bytes {
    let mut entry = BytesMut::with_capacity(9 + key.len());
    entry.put_u8(cf as u8);
    entry.put_u64(expiry.0);
    entry.put_slice(key);
    entry.freeze()
}

/// The expiry and the engine's key of an entry in [`Cf::Expiry`]; none if it is not one.
#[must_use]
pub fn decode_expiry(entry: &Bytes) -> Option<(Time, Bytes)> {
    let ms = entry.get(1..9)?.first_chunk()?;
    Some((Time(u64::from_be_bytes(*ms)), entry.slice(9..)))
}

/// The entries of a column family that are due at `until`.
#[must_use]
pub fn expiry_range(cf: Cf, until: Time) -> Range {
    Range::new(vec![cf as u8], encode_expiry(cf, until.after_ms(1), b""))
}

/// All entries of a column family.
#[must_use]
pub fn expiry_range_all(cf: Cf) -> Range {
    Range::new(vec![cf as u8], vec![cf as u8 + 1])
}
