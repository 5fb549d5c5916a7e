pub use runtime_solution as heart;

/// CRI v1, client and server, generated from `proto/api.proto`.
pub mod cri {
    #![allow(clippy::all, missing_docs, deprecated)]
    tonic::include_proto!("runtime.v1");
}
