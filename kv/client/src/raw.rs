//! The raw API: single keys and ranges in named column families, without transactions.

mod pages;

use std::time::Duration;

use bytes::Bytes;
use proto::raw::{Request, Response, Ttl};

use crate::client::Client;
use crate::error::{Cause, Error, Result};

pub use pages::Pages;

/// A key and its value.
pub type Pair = (Bytes, Bytes);

/// The raw API on one column family.
///
/// A key has 1 byte to 64 KiB; an empty value is a value. Every method fails with the errors
/// that [`Error`] explains.
#[derive(Clone)]
pub struct Raw {
    client: Client,
    cf: String,
    ttl: Option<Duration>,
    timeout: Duration,
}

/// Which pairs a scan reads, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The first key; empty for the first one there is.
    pub start: Bytes,
    /// The key after the last one; none for the end of the column family.
    pub end: Option<Bytes>,
    /// How many pairs at most.
    pub limit: u32,
    /// Begins at the large end.
    pub reverse: bool,
    /// Leaves the values out.
    pub keys_only: bool,
}

impl Default for Scan {
    /// Everything, forwards, without a limit.
    fn default() -> Scan {
        Scan { start: Bytes::new(), end: None, limit: u32::MAX, reverse: false, keys_only: false }
    }
}

impl Scan {
    /// All keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(prefix: impl Into<Bytes>) -> Scan {
        let start = prefix.into();
        let end = after_prefix(&start);
        Scan { start, end, ..Scan::default() }
    }

    /// What is wrong with `pairs` as an answer to this scan, if anything is. A wrong order or a
    /// key out of the range would make [`Pages`] read in circles.
    fn fault(&self, pairs: &[Pair]) -> Option<&'static str> {
        let in_range =
            |key: &Bytes| *key >= self.start && self.end.as_ref().is_none_or(|end| key < end);
        let in_order = |a: &Bytes, b: &Bytes| if self.reverse { a > b } else { a < b };
        if pairs.len() > self.limit as usize {
            Some("more pairs than the scan asked for")
        } else if !pairs.iter().all(|(key, _)| in_range(key)) {
            Some("a key outside the range of the scan")
        } else if !pairs.is_sorted_by(|(a, _), (b, _)| in_order(a, b)) {
            Some("keys that are not in the order of the scan")
        } else {
            None
        }
    }
}

/// The smallest key that is larger than every key with this prefix; none if there is none.
fn after_prefix(prefix: &[u8]) -> Option<Bytes> {
    let kept = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end.into())
}

/// What a compare-and-swap did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// Whether the key has the new value now.
    pub swapped: bool,
    /// The value before; none if the key was absent.
    pub previous: Option<Bytes>,
}

impl Raw {
    /// Makes the API on the column family `default`.
    pub(crate) fn new(client: Client) -> Raw {
        let timeout = client.timeout();
        Raw { client, cf: "default".to_owned(), ttl: None, timeout }
    }

    /// The same API on the column family `cf`: `default`, `lock` or `write`.
    #[must_use]
    pub fn with_cf(mut self, cf: impl Into<String>) -> Raw {
        self.cf = cf.into();
        self
    }

    /// The same API, whose writes expire after `ttl`, which is cut to whole milliseconds and at
    /// least one.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Raw {
        self.ttl = Some(ttl);
        self
    }

    /// The same API, with another time for each request than that of the client's options.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Raw {
        self.timeout = timeout;
        self
    }

    /// Reads a key; none if it is absent.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&self, key: impl Into<Bytes>) -> Result<Option<Bytes>> {
        let request = Request::Get { cf: self.cf.clone(), key: key.into() };
        match self.read(request).await? {
            Response::Value(value) => Ok(value),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Reads many keys at one moment: a place for each, in the order asked for.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn batch_get(
        &self,
        keys: impl IntoIterator<Item = impl Into<Bytes>>,
    ) -> Result<Vec<Option<Bytes>>> {
        let keys: Vec<Bytes> = keys.into_iter().map(Into::into).collect();
        let asked = keys.len();
        match self.read(Request::BatchGet { cf: self.cf.clone(), keys }).await? {
            Response::Values(values) if values.len() == asked => Ok(values),
            Response::Values(values) => Err(self
                .client
                .protocol(format!("{} values in answer to {asked} keys", values.len()))),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Sets a key.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Result<()> {
        self.done(Request::Put {
            cf: self.cf.clone(),
            key: key.into(),
            value: value.into(),
            ttl_ms: self.ttl_ms(),
        })
        .await
    }

    /// Sets many keys atomically; of a key that is there twice, the last value counts.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn batch_put(&self, pairs: impl IntoIterator<Item = Pair>) -> Result<()> {
        self.done(Request::BatchPut {
            cf: self.cf.clone(),
            pairs: pairs.into_iter().collect(),
            ttl_ms: self.ttl_ms(),
        })
        .await
    }

    /// Removes a key and tells whether it existed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete(&self, key: impl Into<Bytes>) -> Result<bool> {
        let request = Request::Delete { cf: self.cf.clone(), key: key.into() };
        Ok(self.deleted(request).await? > 0)
    }

    /// Removes many keys atomically and tells how many of them existed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn batch_delete(
        &self,
        keys: impl IntoIterator<Item = impl Into<Bytes>>,
    ) -> Result<u64> {
        let keys = keys.into_iter().map(Into::into).collect();
        self.deleted(Request::BatchDelete { cf: self.cf.clone(), keys }).await
    }

    /// Removes all keys from `start` to before `end` atomically; no `end` means to the last key.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_range(&self, start: impl Into<Bytes>, end: Option<Bytes>) -> Result<()> {
        self.done(Request::DeleteRange { cf: self.cf.clone(), start: start.into(), end }).await
    }

    /// Reads a range with one request. The server refuses if the answer does not fit into a frame,
    /// so a range that may be large is better read with [`Raw::pages`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn scan(&self, scan: Scan) -> Result<Vec<Pair>> {
        let request = Request::Scan {
            cf: self.cf.clone(),
            start: scan.start.clone(),
            end: scan.end.clone(),
            limit: scan.limit,
            reverse: scan.reverse,
            keys_only: scan.keys_only,
        };
        match self.read(request).await? {
            Response::Pairs(pairs) => match scan.fault(&pairs) {
                None => Ok(pairs),
                Some(fault) => Err(self.client.protocol(fault.to_owned())),
            },
            other => Err(self.unexpected(&other)),
        }
    }

    /// Reads a range in requests of at most `page` pairs each, at least 1, and fewer if they would
    /// not fit into a frame. Each page shows its own moment.
    #[must_use]
    pub fn pages(&self, scan: Scan, page: u32) -> Pages {
        Pages::new(self.clone(), scan, page)
    }

    /// Sets a key to `value` if it has the value `expected` now (none: if it is absent).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn compare_and_swap(
        &self,
        key: impl Into<Bytes>,
        expected: Option<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<Swapped> {
        let request = Request::CompareAndSwap {
            cf: self.cf.clone(),
            key: key.into(),
            expected,
            value: value.into(),
            ttl_ms: self.ttl_ms(),
        };
        match self.write(request).await? {
            Response::Swapped { swapped, previous } => Ok(Swapped { swapped, previous }),
            other => Err(self.undetermined(&other)),
        }
    }

    /// Asks how long a key lives.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ttl(&self, key: impl Into<Bytes>) -> Result<Ttl> {
        let request = Request::GetTtl { cf: self.cf.clone(), key: key.into() };
        match self.read(request).await? {
            Response::Ttl(ttl) => Ok(ttl),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The time to live of writes, in milliseconds.
    fn ttl_ms(&self) -> Option<u64> {
        self.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    async fn read(&self, request: Request) -> Result<Response> {
        match self.client.call(proto::Request::Raw(request), false, self.timeout).await? {
            proto::Response::Raw(response) => Ok(response),
            proto::Response::Admin(_) => Err(self.client.protocol(OTHER_API.to_owned())),
        }
    }

    async fn write(&self, request: Request) -> Result<Response> {
        match self.client.call(proto::Request::Raw(request), true, self.timeout).await? {
            proto::Response::Raw(response) => Ok(response),
            proto::Response::Admin(_) => {
                let cause = Cause::Protocol { reason: OTHER_API.to_owned() };
                Err(Error::Undetermined { cause })
            }
        }
    }

    /// Sends a write that is answered by `Done`.
    async fn done(&self, request: Request) -> Result<()> {
        match self.write(request).await? {
            Response::Done => Ok(()),
            other => Err(self.undetermined(&other)),
        }
    }

    /// Sends a write that is answered by a count.
    async fn deleted(&self, request: Request) -> Result<u64> {
        match self.write(request).await? {
            Response::Deleted(count) => Ok(count),
            other => Err(self.undetermined(&other)),
        }
    }

    /// The error for an answer to a read that belongs to another request.
    fn unexpected(&self, response: &Response) -> Error {
        self.client.protocol(mismatch(response))
    }

    /// The error for an answer to a write that belongs to another request.
    fn undetermined(&self, response: &Response) -> Error {
        Error::Undetermined { cause: Cause::Protocol { reason: mismatch(response) } }
    }
}

/// What is wrong with an answer of another family.
const OTHER_API: &str = "an answer of another API";

/// What is wrong with an answer of another request's type.
fn mismatch(response: &Response) -> String {
    let name = match response {
        Response::Value(_) => "a value",
        Response::Values(_) => "values",
        Response::Done => "a bare confirmation",
        Response::Deleted(_) => "a count of removed keys",
        Response::Pairs(_) => "pairs",
        Response::Swapped { .. } => "the result of a swap",
        Response::Ttl(_) => "a time to live",
    };
    format!("{name}, which is no answer to this request")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_first_key_without_it() {
        assert_eq!(after_prefix(b"ab"), Some(Bytes::from_static(b"ac")));
        assert_eq!(after_prefix(b"a\xff\xff"), Some(Bytes::from_static(b"b")));
        assert_eq!(after_prefix(b"\xff"), None);
        assert_eq!(after_prefix(b""), None);
    }
}
