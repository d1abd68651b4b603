//! Carrying out one write: reads through the overlay, writes to its batch.
//!
//! Each function checks everything that can fail before its first write, so that a command that
//! fails changes nothing.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use engine::Cf;
use mutant::mutant;

use crate::format::{RAW_CFS, expiry_range_all};
use crate::format::{VALUE_BYTES_MAX, Value, encode_expiry, encode_range, encode_value};
use crate::overlay::Overlay;
use crate::read::{Source, alive, decode_alive, key_of};
use crate::{Condition, Expiry, Failure, Response, Result, Time, When, Write, integer};

/// One group of writes in the making.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    /// The engine with the group's writes so far.
    pub(crate) overlay: Overlay<'a>,
    /// The time of the group.
    pub(crate) now: Time,
    /// Which column families may hold a key that expires, by [`Cf::index`]. Where none does, a
    /// key is overwritten without a look at what was there.
    pub(crate) may_expire: [bool; Cf::ALL.len()],
}

impl Writer<'_> {
    /// Carries out a write.
    pub(crate) fn run(&mut self, write: &Write) -> Result<Response> {
        match write {
            Write::Put { cf, key, value, expiry } => {
                check_value(value.len())?;
                self.put(*cf, key, value, *expiry)?;
                Ok(Response::Done)
            }
            Write::PutMany { cf, pairs, expiry } => {
                self.put_many(*cf, pairs, *expiry)?;
                Ok(Response::Done)
            }
            Write::PutManyIfAbsent { cf, pairs } => self.put_many_if_absent(*cf, pairs),
            Write::PutIf { cf, key, value, expiry, condition } => {
                self.put_if(*cf, key, value, *expiry, condition)
            }
            Write::Delete { cf, keys } => self.delete(*cf, keys),
            Write::GetDelete { cf, key } => {
                let (key, before) = self.look(*cf, key)?;
                if let Some(before) = &before {
                    self.remove(*cf, key, before);
                }
                Ok(Response::Value(before.map(|before| before.data)))
            }
            Write::DeleteRange { cf, start, end } => self.delete_range(*cf, start, end.as_deref()),
            Write::Add { cf, key, delta } => self.add(*cf, key, *delta),
            Write::Append { cf, key, tail } => self.append(*cf, key, tail),
            Write::AddFloat { cf, key, delta } => self.add_float(*cf, key, delta),
            Write::SetRange { cf, key, offset, part } => self.set_range(*cf, key, *offset, part),
            Write::SetBit { cf, key, offset, bit } => self.set_bit(*cf, key, *offset, *bit),
            Write::CopyKey { cf, from, to, replaces, moves } => {
                self.copy_key(*cf, (from, to), *replaces, *moves)
            }
            Write::SetExpiry { cf, key, expiry, when } => self.set_expiry(*cf, key, *expiry, *when),
            Write::GetSetExpiry { cf, key, expiry } => {
                let (key, before) = self.look(*cf, key)?;
                let data = before.as_ref().map(|before| before.data.clone());
                if let Some(before) = before {
                    self.change_expiry(*cf, key, before, *expiry);
                }
                Ok(Response::Value(data))
            }
        }
    }

    /// Reads a user's key, and gives the engine's key with it.
    pub(crate) fn look(&self, cf: Cf, user_key: &[u8]) -> Result<(Bytes, Option<Value>)> {
        let key = key_of(user_key)?;
        let value = decode_alive(self.overlay.get(cf, &key)?, self.now)?;
        Ok((key, value))
    }

    /// Sets a key of which nothing is known.
    fn put(&mut self, cf: Cf, user_key: &[u8], value: &[u8], expiry: Expiry) -> Result<()> {
        let key = key_of(user_key)?;
        let must_look = self.may_expire[cf.index()] || expiry == Expiry::Keep;
        let stored = if must_look { self.stored(cf, &key)? } else { None };
        self.replace(cf, key, stored.as_ref(), value, expiry);
        Ok(())
    }

    /// What is stored under an engine's key, expired or not; none also where it is no value of
    /// the raw API, which is then overwritten.
    pub(crate) fn stored(&self, cf: Cf, key: &[u8]) -> Result<Option<Value>> {
        let stored = self.overlay.get(cf, key)?;
        Ok(stored.and_then(|stored| crate::format::decode_value(&stored).ok()))
    }

    /// Sets many keys, all or none.
    fn put_many(&mut self, cf: Cf, pairs: &[(Bytes, Bytes)], expiry: Expiry) -> Result<()> {
        for (key, value) in pairs {
            key_of(key)?;
            check_value(value.len())?;
        }
        // Only a read can fail from here on; it must do so before the first write.
        if self.may_expire[cf.index()] || expiry == Expiry::Keep {
            for (key, _) in pairs {
                self.stored(cf, &key_of(key)?)?;
            }
        }
        for (key, value) in pairs {
            self.put(cf, key, value, expiry)?;
        }
        Ok(())
    }

    /// Sets many keys if none of them exists.
    fn put_many_if_absent(&mut self, cf: Cf, pairs: &[(Bytes, Bytes)]) -> Result<Response> {
        for (key, _) in pairs {
            if alive(&self.overlay, cf, key, self.now)?.is_some() {
                return Ok(Response::Changed(false));
            }
        }
        self.put_many(cf, pairs, Expiry::Never)?;
        Ok(Response::Changed(true))
    }

    /// Sets a key if the condition holds.
    fn put_if(
        &mut self,
        cf: Cf,
        user_key: &[u8],
        value: &[u8],
        expiry: Expiry,
        condition: &Condition,
    ) -> Result<Response> {
        check_value(value.len())?;
        let key = key_of(user_key)?;
        let stored = self.stored(cf, &key)?;
        let before = stored.as_ref().filter(|stored| stored.is_alive(self.now));
        let stored_now = match condition {
            Condition::Always => true,
            Condition::Absent => before.is_none(),
            Condition::Present => before.is_some(),
            Condition::Equals(expected) => before.is_some_and(|before| before.data == expected),
        };
        let previous = before.map(|before| before.data.clone());
        if stored_now {
            self.replace(cf, key, stored.as_ref(), value, expiry);
        }
        Ok(Response::Stored { stored: stored_now, previous })
    }

    /// Removes keys and counts those that were there.
    fn delete(&mut self, cf: Cf, user_keys: &[Bytes]) -> Result<Response> {
        let mut found = BTreeMap::new();
        for user_key in user_keys {
            let (key, before) = self.look(cf, user_key)?;
            if let Some(before) = before {
                found.insert(key, before);
            }
        }
        let count = found.len() as u64;
        for (key, before) in found {
            self.remove(cf, key, &before);
        }
        Ok(Response::Count(count))
    }

    /// Removes a range. Entries of keys that would have expired stay behind as stale, unless all
    /// keys of the column family go.
    fn delete_range(&mut self, cf: Cf, start: &[u8], end: Option<&[u8]>) -> Result<Response> {
        key_of(start)?;
        end.map(key_of).transpose()?;
        self.overlay.batch.delete_range(cf, encode_range(start, end));
        if start.is_empty() && end.is_none() {
            self.overlay.batch.delete_range(Cf::Expiry, expiry_range_all(cf));
        }
        Ok(Response::Done)
    }

    /// Adds to a number.
    fn add(&mut self, cf: Cf, user_key: &[u8], delta: i64) -> Result<Response> {
        let (key, before) = self.look(cf, user_key)?;
        let number = match &before {
            None => 0,
            Some(before) => integer::parse(&before.data).ok_or(Failure::NotInteger)?,
        };
        let sum = number.checked_add(delta).ok_or(Failure::Overflow)?;
        self.replace_data(cf, key, before.as_ref(), &integer::format(sum));
        Ok(Response::Integer(sum))
    }

    /// Adds bytes at the end of a value.
    fn append(&mut self, cf: Cf, user_key: &[u8], tail: &[u8]) -> Result<Response> {
        let (key, before) = self.look(cf, user_key)?;
        let head = before.as_ref().map(|before| before.data.clone()).unwrap_or_default();
        let len = head.len() + tail.len();
        check_value(len)?;
        let mut data = BytesMut::with_capacity(len);
        data.extend_from_slice(&head);
        data.extend_from_slice(tail);
        self.replace_data(cf, key, before.as_ref(), &data);
        Ok(Response::Count(len as u64))
    }

    /// Changes when a key expires, if it exists and the condition holds.
    fn set_expiry(
        &mut self,
        cf: Cf,
        user_key: &[u8],
        expiry: Expiry,
        when: When,
    ) -> Result<Response> {
        let (key, before) = self.look(cf, user_key)?;
        let Some(before) = before else { return Ok(Response::Changed(false)) };
        // Taking away an expiry that is not there changes nothing.
        if expiry == Expiry::Never && before.expiry.is_none() || !when.holds(before.expiry, expiry)
        {
            return Ok(Response::Changed(false));
        }
        self.change_expiry(cf, key, before, expiry);
        Ok(Response::Changed(true))
    }

    /// Sets a key that exists to the same value with another expiry.
    fn change_expiry(&mut self, cf: Cf, key: Bytes, before: Value, expiry: Expiry) {
        if expiry != Expiry::Keep {
            let data = before.data.clone();
            self.replace(cf, key, Some(&before), &data, expiry);
        }
    }

    /// Changes the value of a key and not its expiry.
    pub(crate) fn replace_data(&mut self, cf: Cf, key: Bytes, before: Option<&Value>, data: &[u8]) {
        self.replace(cf, key, before, data, Expiry::Keep);
    }

    /// Sets an engine's key, of which it is known what was stored, and keeps [`Cf::Expiry`] in
    /// step. A key whose expiry has passed is removed instead.
    pub(crate) fn replace(
        &mut self,
        cf: Cf,
        key: Bytes,
        stored: Option<&Value>,
        data: &[u8],
        expiry: Expiry,
    ) {
        debug_assert!(RAW_CFS.contains(&cf), "the front doors take these column families only");
        let old = stored.and_then(|stored| stored.expiry);
        let new = match expiry {
            Expiry::Never => None,
            Expiry::At(time) => Some(time),
            // What has expired already is a new key.
            Expiry::Keep => old.filter(|&old| self.now < old),
        };
        if new.is_some_and(|new| new <= self.now) {
            if let Some(old) = old {
                self.overlay.batch.delete(Cf::Expiry, encode_expiry(cf, old, &key));
            }
            self.overlay.batch.delete(cf, key);
            return;
        }
        if old != new {
            if let Some(old) = old {
                self.overlay.batch.delete(Cf::Expiry, encode_expiry(cf, old, &key));
            }
            if let Some(new) = new {
                self.overlay.batch.put(Cf::Expiry, encode_expiry(cf, new, &key), Bytes::new());
                self.may_expire[cf.index()] = true;
            }
        }
        self.overlay.batch.put(cf, key, encode_value(data, new));
    }

    /// Removes an engine's key that exists, and its entry in [`Cf::Expiry`].
    pub(crate) fn remove(&mut self, cf: Cf, key: Bytes, before: &Value) {
        if let Some(expiry) = before.expiry
            && !mutant!("expiry-entry-left")
        {
            self.overlay.batch.delete(Cf::Expiry, encode_expiry(cf, expiry, &key));
        }
        self.overlay.batch.delete(cf, key);
    }
}

impl When {
    /// Whether a change from one expiry to another is wanted.
    fn holds(self, old: Option<Time>, new: Expiry) -> bool {
        let new = match new {
            Expiry::At(time) => time,
            Expiry::Never | Expiry::Keep => Time(u64::MAX),
        };
        !(self.forever && old.is_some()
            || self.expiring && old.is_none()
            || self.later && old.is_none_or(|old| new <= old)
            || self.earlier && old.is_some_and(|old| new >= old))
    }
}

/// Checks the length of a value.
pub(crate) fn check_value(bytes: usize) -> Result<()> {
    if bytes > VALUE_BYTES_MAX {
        return Err(Failure::ValueTooLong { bytes, limit: VALUE_BYTES_MAX });
    }
    Ok(())
}
