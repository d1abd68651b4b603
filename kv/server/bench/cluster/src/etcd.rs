//! As much of etcd's API as the load needs. The messages name the fields that are used; protobuf
//! skips the others. Field numbers are those of etcd's `rpc.proto`.

use anyhow::Result;
use bytes::Bytes;
use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct PutResponse {}

/// Without further fields: one key, linearizable.
#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "bytes", tag = "5")]
    value: Bytes,
}

/// A connection to a member.
#[derive(Clone)]
pub(crate) struct Etcd {
    grpc: Grpc<Channel>,
}

impl Etcd {
    pub(crate) async fn connect(address: &str) -> Result<Etcd> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        Ok(Etcd { grpc: Grpc::new(endpoint.connect().await?) })
    }

    pub(crate) async fn put(&mut self, key: Bytes, value: Bytes) -> Result<()> {
        let request = PutRequest { key, value };
        self.call::<_, PutResponse>(request, "/etcdserverpb.KV/Put").await?;
        Ok(())
    }

    pub(crate) async fn get(&mut self, key: Bytes) -> Result<Option<Bytes>> {
        let request = RangeRequest { key };
        let mut response: RangeResponse = self.call(request, "/etcdserverpb.KV/Range").await?;
        Ok(response.kvs.pop().map(|it| it.value))
    }

    async fn call<Q, R>(&mut self, request: Q, path: &'static str) -> Result<R>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        self.grpc.ready().await?;
        let path = PathAndQuery::from_static(path);
        let codec = ProstCodec::<Q, R>::default();
        Ok(self.grpc.unary(tonic::Request::new(request), path, codec).await?.into_inner())
    }
}
