//! Writes that change a part of a value, or copy a key.

use bytes::{Bytes, BytesMut};
use engine::Cf;

use crate::write::{Writer, check_value};
use crate::{Expiry, Failure, Response, Result, decimal};

impl Writer<'_> {
    /// Adds to a decimal fraction.
    pub(crate) fn add_float(&mut self, cf: Cf, user_key: &[u8], delta: &[u8]) -> Result<Response> {
        let (key, before) = self.look(cf, user_key)?;
        let number = before.as_ref().map_or(&b"0"[..], |before| &before.data);
        let sum = decimal::add(number, delta)?;
        self.replace_data(cf, key, before.as_ref(), &sum);
        Ok(Response::Value(Some(sum)))
    }

    /// Overwrites a part of a value; zeros fill the gap behind a shorter one.
    pub(crate) fn set_range(
        &mut self,
        cf: Cf,
        user_key: &[u8],
        offset: u64,
        part: &[u8],
    ) -> Result<Response> {
        let (key, before) = self.look(cf, user_key)?;
        let data = before.as_ref().map(|before| before.data.clone()).unwrap_or_default();
        if part.is_empty() {
            return Ok(Response::Count(data.len() as u64));
        }
        let data = stretched(&data, offset, part.len())?;
        let data = overwritten(data, offset, part);
        self.replace_data(cf, key, before.as_ref(), &data);
        Ok(Response::Count(data.len() as u64))
    }

    /// Sets a bit of a value, of which the highest of the first byte is the first; answers what it
    /// was.
    pub(crate) fn set_bit(
        &mut self,
        cf: Cf,
        user_key: &[u8],
        offset: u64,
        bit: bool,
    ) -> Result<Response> {
        let (key, before) = self.look(cf, user_key)?;
        let data = before.as_ref().map(|before| before.data.clone()).unwrap_or_default();
        let data = stretched(&data, offset / 8, 1)?;
        let mask = 0x80 >> (offset % 8);
        let byte = data[(offset / 8) as usize];
        let changed = if bit { byte | mask } else { byte & !mask };
        let data = overwritten(data, offset / 8, &[changed]);
        self.replace_data(cf, key, before.as_ref(), &data);
        Ok(Response::Integer(i64::from(byte & mask != 0)))
    }

    /// Copies a key and its expiry to another; `moves`: the first is removed.
    pub(crate) fn copy_key(
        &mut self,
        cf: Cf,
        (from, to): (&[u8], &[u8]),
        replaces: bool,
        moves: bool,
    ) -> Result<Response> {
        let (source, value) = self.look(cf, from)?;
        let Some(value) = value else {
            return if moves { Err(Failure::NoSuchKey) } else { Ok(Response::Changed(false)) };
        };
        let (target, before) = self.look(cf, to)?;
        if before.is_some() && !replaces {
            return Ok(Response::Changed(false));
        }
        if source == target {
            return Ok(Response::Changed(true));
        }
        let stored = self.stored(cf, &target)?;
        let expiry = value.expiry.map_or(Expiry::Never, Expiry::At);
        self.replace(cf, target, stored.as_ref(), &value.data, expiry);
        if moves {
            self.remove(cf, source, &value);
        }
        Ok(Response::Changed(true))
    }
}

/// A copy of a value that has room for `len` bytes from `offset` on.
fn stretched(data: &Bytes, offset: u64, len: usize) -> Result<BytesMut> {
    let end = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(len);
    check_value(end)?;
    let mut out = BytesMut::zeroed(end.max(data.len()));
    out[..data.len()].copy_from_slice(data);
    Ok(out)
}

/// A value with `part` at `offset`, for which there is room.
fn overwritten(mut data: BytesMut, offset: u64, part: &[u8]) -> BytesMut {
    data[offset as usize..][..part.len()].copy_from_slice(part);
    data
}
