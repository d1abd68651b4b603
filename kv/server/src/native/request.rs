//! Requests in flight: from messages to commands of the node, and back by number.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use engine::{Cf, Direction};
use node::format::RAW_CFS;
use node::{Chunk, Condition, Expiry, Read, Scan, Time, Write};
use proto::raw::{Request as RawRequest, Response as RawResponse};
use proto::{Error, ErrorCode, Message, Request, Response};

use super::admin;
use super::answer::{of_node, of_store_error};
use crate::context::Context;
use crate::store::{Destination, Landed, Landing, Mailbox, Tag, Tagged};

/// What is to be done for a request.
#[derive(Debug)]
enum Work {
    Read(Read),
    Write(Write),
    Scan(Scan),
    /// Nothing: this is the answer.
    Answer(RawResponse),
}

/// Which family a request is of, and so its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Raw,
    Admin,
}

/// The requests of one connection that are in flight.
#[derive(Debug)]
pub(super) struct Flight<'a> {
    context: &'a Arc<Context>,
    mailbox: &'a Arc<Mailbox>,
    done: Landing,
    /// The ids of requests, by our own number: a client may use an id twice.
    ids: HashMap<Tag, (u64, Api)>,
    next: Tag,
}

impl<'a> Flight<'a> {
    /// Nothing in flight.
    pub(super) fn new(
        context: &'a Arc<Context>,
        mailbox: &'a Arc<Mailbox>,
        done: Landing,
    ) -> Flight<'a> {
        Flight { context, mailbox, done, ids: HashMap::new(), next: 0 }
    }

    /// How many requests are in flight.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether none is.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Starts a request. Gives the answer if it is there at once.
    pub(super) fn start(&mut self, request: Request, id: u64) -> Option<Message> {
        let request = match request {
            Request::Raw(request) => request,
            Request::Admin(request) => {
                let start = |flight: &Self, to| admin::start(flight.context, request, to);
                return self.launch(id, Api::Admin, start);
            }
        };
        let work = match self.understand(request) {
            Ok(work) => work,
            Err(error) => return Some(Message::Error(error)),
        };
        let now = self.context.store.clock.now();
        match work {
            Work::Answer(response) => Some(Message::Response(Response::Raw(response))),
            Work::Read(read) => match self.mailbox.read_now(&read, now) {
                Some(response) => Some(of_node(response, now)),
                None => self.launch(id, Api::Raw, |flight, to| flight.mailbox.read_to(read, to)),
            },
            Work::Scan(scan) => {
                self.launch(id, Api::Raw, |flight, to| flight.mailbox.scan_to(scan, to))
            }
            Work::Write(write) => self.launch(id, Api::Raw, |flight, to| {
                flight.mailbox.submit(Chunk::from(vec![write.into()]), Destination::Tagged(to))
            }),
        }
    }

    /// Notes a request as in flight and has it done.
    fn launch(
        &mut self,
        id: u64,
        api: Api,
        start: impl FnOnce(&Self, Tagged) -> Result<(), crate::store::StoreError>,
    ) -> Option<Message> {
        let tag = self.next;
        self.next += 1;
        self.ids.insert(tag, (id, api));
        // A start that fails drops the destination, which answers that it is lost; that answer
        // finds nothing here any more.
        let error = start(self, Tagged::new(tag, self.done.clone())).err()?;
        self.ids.remove(&tag);
        Some(Message::Error(of_store_error(&error)))
    }

    /// Takes a request that is done. Gives its id and the answer; none if it was answered before.
    pub(super) fn land(&mut self, landed: Landed) -> Option<(u64, Message)> {
        let (id, api) = self.ids.remove(&landed.tag)?;
        let answer = match landed.outcome {
            Ok(mut responses) => match responses.pop() {
                Some(response) if api == Api::Admin => admin::answer(&response),
                Some(response) => of_node(response, self.context.store.clock.now()),
                None => Message::Error(Error::reject(ErrorCode::Internal, "there is no answer")),
            },
            Err(error) => Message::Error(of_store_error(&error)),
        };
        Some((id, answer))
    }

    /// Counts an answer.
    pub(super) fn count(&self, answer: &Message) {
        match answer {
            Message::Error(_) => self.context.metrics.native_failed.inc(),
            _ => self.context.metrics.native_ok.inc(),
        };
    }

    /// What is to be done for a request.
    fn understand(&self, request: RawRequest) -> Result<Work, Error> {
        let now = self.context.store.clock.now();
        Ok(match request {
            RawRequest::Get { cf, key } => {
                Work::Read(Read::Get { cf: cf_of(&cf)?, key: key_of(key)? })
            }
            RawRequest::GetTtl { cf, key } => {
                Work::Read(Read::Ttl { cf: cf_of(&cf)?, key: key_of(key)? })
            }
            RawRequest::BatchGet { cf, keys } => {
                let (cf, keys) = (cf_of(&cf)?, keys_of(keys)?);
                if keys.is_empty() {
                    return Ok(Work::Answer(RawResponse::Values(Vec::new())));
                }
                Work::Read(Read::GetMany { cf, keys })
            }
            RawRequest::Put { cf, key, value, ttl_ms } => Work::Write(Write::Put {
                cf: cf_of(&cf)?,
                key: key_of(key)?,
                value,
                expiry: expiry_of(ttl_ms, now)?,
            }),
            RawRequest::BatchPut { cf, pairs, ttl_ms } => {
                let expiry = expiry_of(ttl_ms, now)?;
                let pairs = pairs
                    .into_iter()
                    .map(|(key, value)| Ok((key_of(key)?, value)))
                    .collect::<Result<_, Error>>()?;
                Work::Write(Write::PutMany { cf: cf_of(&cf)?, pairs, expiry })
            }
            RawRequest::Delete { cf, key } => {
                Work::Write(Write::Delete { cf: cf_of(&cf)?, keys: vec![key_of(key)?] })
            }
            RawRequest::BatchDelete { cf, keys } => {
                Work::Write(Write::Delete { cf: cf_of(&cf)?, keys: keys_of(keys)? })
            }
            RawRequest::DeleteRange { cf, start, end } => {
                Work::Write(Write::DeleteRange { cf: cf_of(&cf)?, start, end })
            }
            RawRequest::Scan { cf, start, end, limit, reverse, keys_only } => Work::Scan(Scan {
                cf: cf_of(&cf)?,
                start,
                end,
                direction: if reverse { Direction::Backward } else { Direction::Forward },
                keys_only,
                pairs_max: limit as usize,
                // More does not fit into a frame; the answer says so.
                bytes_max: self.context.config.max_frame_size.bytes(),
            }),
            RawRequest::CompareAndSwap { cf, key, expected, value, ttl_ms } => {
                Work::Write(Write::PutIf {
                    cf: cf_of(&cf)?,
                    key: key_of(key)?,
                    value,
                    expiry: expiry_of(ttl_ms, now)?,
                    condition: expected.map_or(Condition::Absent, Condition::Equals),
                })
            }
        })
    }
}

/// The column family of a name.
fn cf_of(name: &str) -> Result<Cf, Error> {
    Cf::from_name(name).filter(|cf| RAW_CFS.contains(cf)).ok_or_else(|| {
        let names = RAW_CFS.map(Cf::name).join(", ");
        let text = format!("there is no column family {name:?}: take one of {names}");
        Error::reject(ErrorCode::UnknownColumnFamily, text)
    })
}

/// A key, which must not be empty.
fn key_of(key: Bytes) -> Result<Bytes, Error> {
    if key.is_empty() {
        return Err(Error::reject(ErrorCode::InvalidRequest, "a key has at least one byte"));
    }
    Ok(key)
}

/// Keys, none of which may be empty.
fn keys_of(keys: Vec<Bytes>) -> Result<Vec<Bytes>, Error> {
    keys.into_iter().map(key_of).collect()
}

/// When a key with this time to live expires.
fn expiry_of(ttl_ms: Option<u64>, now: Time) -> Result<Expiry, Error> {
    match ttl_ms {
        None => Ok(Expiry::Never),
        Some(0) => {
            let text = "a time to live is at least 1 ms; leave it out for none";
            Err(Error::reject(ErrorCode::InvalidRequest, text))
        }
        Some(ms) => Ok(Expiry::At(now.after_ms(ms))),
    }
}
