//! Bounds what is in flight: requests in all, and bytes of writes that wait for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::StoreError;

/// How much may be in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Requests.
    pub(crate) requests_max: usize,
    /// Bytes of keys and values in chunks that are not answered; one chunk may go beyond.
    pub(crate) bytes_max: usize,
}

/// Counts what is in flight.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

/// Room for some requests, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    counts: Arc<Counts>,
    requests: usize,
    bytes: usize,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Admission {
        Admission { limits, counts: Arc::default() }
    }

    /// Takes room for requests, if there is some.
    pub(crate) fn enter(&self, requests: usize, bytes: usize) -> Result<Permit, StoreError> {
        // The counts may go beyond the limits for a moment, in several threads; each sees so.
        let requests_before = self.counts.requests.fetch_add(requests, Ordering::AcqRel);
        let bytes_before = self.counts.bytes.fetch_add(bytes, Ordering::AcqRel);
        let permit = Permit { counts: Arc::clone(&self.counts), requests, bytes };
        if requests_before > 0 && requests_before + requests > self.limits.requests_max {
            return Err(StoreError::Busy("too many requests are in flight, try again".into()));
        }
        if bytes_before > 0 && bytes_before + bytes > self.limits.bytes_max {
            return Err(StoreError::Busy("too many writes wait for the disk, try again".into()));
        }
        Ok(permit)
    }

    /// Requests in flight.
    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::Acquire)
    }

    /// Bytes of writes in flight.
    pub(crate) fn bytes(&self) -> usize {
        self.counts.bytes.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counts.requests.fetch_sub(self.requests, Ordering::AcqRel);
        self.counts.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission, Limits};

    #[test]
    fn what_is_in_flight_is_bounded_and_given_back() {
        let admission = Admission::new(Limits { requests_max: 3, bytes_max: 100 });
        let first = admission.enter(2, 10).unwrap();
        assert!(admission.enter(2, 10).is_err(), "four requests");
        assert!(admission.enter(1, 91).is_err(), "101 bytes");
        let second = admission.enter(1, 90).unwrap();
        assert_eq!((admission.requests(), admission.bytes()), (3, 100));
        drop((first, second));
        assert_eq!((admission.requests(), admission.bytes()), (0, 0));
        drop(admission.enter(10, 1000).expect("one chunk may be larger than the limits"));
    }
}
