//! The admin API of a cluster: answered by a task of its own, with JSON.

use std::sync::Arc;

use bytes::Bytes;
use node::Response as NodeResponse;
use proto::admin::{Request, Response};
use proto::{Error, ErrorCode, Message};

use crate::context::Context;
use crate::store::{StoreError, Tagged};

/// Has a request carried out; the outcome goes to `to`, as a value that is JSON.
pub(super) fn start(
    context: &Arc<Context>,
    request: Request,
    to: Tagged,
) -> Result<(), StoreError> {
    let Some(cluster) = context.store.cluster().cloned() else {
        let reason = "this store stands alone, and is no part of a cluster";
        return Err(StoreError::Refused(reason.to_owned()));
    };
    tokio::spawn(async move {
        let json = cluster.admin(request).await;
        to.send(json.map(|json| vec![NodeResponse::Value(Some(Bytes::from(json.to_string())))]));
    });
    Ok(())
}

/// The answer to a request that was carried out.
pub(super) fn answer(response: &NodeResponse) -> Message {
    match response {
        NodeResponse::Value(Some(json)) => {
            let json = String::from_utf8_lossy(json).into_owned();
            Message::Response(proto::Response::Admin(Response { json }))
        }
        _ => Message::Error(Error::reject(ErrorCode::Internal, "that is no answer")),
    }
}
