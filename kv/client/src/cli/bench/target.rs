//! Where a benchmark sends its requests.

use proto::resp::Value;
use tinykv_client::{Client, Options, Raw, Scan};

use super::record::Outcome;
use super::resp::Resp;
use super::workload::{Kind, Request, Workload};

/// One connection to a server.
#[derive(Clone)]
pub(crate) enum Target {
    /// The native protocol of tinykv.
    Native(Raw),
    /// The protocol of Redis.
    Resp(Resp),
}

impl Target {
    /// Connects over the native protocol. Nothing is retried: an error is an error.
    pub(crate) async fn native(address: &str, options: &Options) -> anyhow::Result<Target> {
        let options = Options { retries: 0, ..options.clone() };
        Ok(Target::Native(Client::connect(address, options).await?.raw()))
    }

    /// Connects over the protocol of Redis.
    pub(crate) async fn resp(address: &str) -> anyhow::Result<Target> {
        Ok(Target::Resp(Resp::connect(address).await?))
    }

    /// Sends a request; `check` is the workload that its value must belong to.
    pub(crate) async fn send(&self, request: Request, check: Option<&Workload>) -> (Kind, Outcome) {
        match self {
            Target::Native(raw) => native(raw, request, check).await,
            Target::Resp(resp) => redis(resp, request, check).await,
        }
    }
}

async fn native(raw: &Raw, request: Request, check: Option<&Workload>) -> (Kind, Outcome) {
    let (kind, outcome) = match request {
        Request::Get { number, key } => {
            let value = raw.get(key).await;
            (Kind::Get, value.map(|value| judge(number, value.as_deref(), check)))
        }
        Request::Set { key, value } => {
            (Kind::Set, raw.put(key, value).await.map(|()| Outcome::Right))
        }
        Request::Del { key } => (Kind::Del, raw.delete(key).await.map(removed)),
        Request::Scan { start, limit } => {
            let scan = Scan { start, limit, ..Scan::default() };
            (Kind::Scan, raw.scan(scan).await.map(|_| Outcome::Right))
        }
    };
    (kind, outcome.unwrap_or_else(|error| Outcome::Failed(error.kind())))
}

async fn redis(resp: &Resp, request: Request, check: Option<&Workload>) -> (Kind, Outcome) {
    match request {
        Request::Get { number, key } => {
            let outcome = match resp.call(&[b"GET", &key]).await {
                Some(Value::Bulk(value)) => judge(number, Some(&value), check),
                Some(Value::Null) => Outcome::Missing,
                other => failure(other),
            };
            (Kind::Get, outcome)
        }
        Request::Set { key, value } => {
            let outcome = match resp.call(&[b"SET", &key, &value]).await {
                Some(Value::Simple(_)) => Outcome::Right,
                other => failure(other),
            };
            (Kind::Set, outcome)
        }
        Request::Del { key } => {
            let outcome = match resp.call(&[b"DEL", &key]).await {
                Some(Value::Integer(count)) => removed(count > 0),
                other => failure(other),
            };
            (Kind::Del, outcome)
        }
        Request::Scan { .. } => (Kind::Scan, Outcome::Failed("unsupported")),
    }
}

/// Judges the value of a get.
fn judge(number: u64, value: Option<&[u8]>, check: Option<&Workload>) -> Outcome {
    match (value, check) {
        (None, _) => Outcome::Missing,
        (Some(value), Some(workload)) if !workload.is_right(number, value) => {
            if mutant::mutant!("bench-never-wrong") { Outcome::Right } else { Outcome::Wrong }
        }
        (Some(_), _) => Outcome::Right,
    }
}

/// Judges a removal.
fn removed(existed: bool) -> Outcome {
    if existed { Outcome::Right } else { Outcome::Missing }
}

/// What an answer is that is not the one asked for.
fn failure(answer: Option<Value>) -> Outcome {
    Outcome::Failed(match answer {
        None => "disconnected",
        Some(Value::Error(_) | Value::BulkError(_)) => "refused",
        Some(_) => "protocol",
    })
}
