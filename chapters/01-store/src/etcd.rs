//! etcd's v3 API: messages, clients and servers, generated from `proto/`.
//!
//! Byte fields are `bytes::Bytes`. A client is used so:
//! `KvClient::new(channel).range(RangeRequest { key: "/a".into(), ..Default::default() })`.

pub use etcdserverpb::*;
pub use mvccpb::{Event, KeyValue, event::EventType};

/// All of it as a `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("etcd");

#[allow(clippy::all, missing_docs, reason = "generated")]
pub mod authpb {
    tonic::include_proto!("authpb");
}

#[allow(clippy::all, missing_docs, reason = "generated")]
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}

#[allow(clippy::all, missing_docs, reason = "generated")]
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}
