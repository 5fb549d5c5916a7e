//! etcd's v3 API: messages, clients and servers, generated from `proto/`.
//!
//! Byte fields are `bytes::Bytes`. A client is used so:
//! `KvClient::new(channel).range(RangeRequest { key: "/a".into(), ..Default::default() })`.

pub use etcdserverpb::*;
pub use mvccpb::{Event, KeyValue, event::EventType};

#[allow(clippy::all, missing_docs, reason = "generated")]
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}

#[allow(clippy::all, missing_docs, reason = "generated")]
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}
