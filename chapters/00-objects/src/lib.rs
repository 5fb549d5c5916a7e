//! # The object model
//!
//! What every other chapter stands on: which kinds there are and where they are stored,
//! how manifests become values, how objects refer to each other. Together with its core,
//! which has amounts, selectors and patches, this is the only chapter that a core may use,
//! and like a core it is pure: no clock, no file, no socket.
//!
//! ```text
//!   manifest --yaml--> Value --resources--> path, store key --meta--> key, owners
//!                        |
//!                        +--- quantity, labels, fields, patch: the core
//!                        +--- usage: what it counts for against a quota
//! ```
//!
//! ## Invariants
//!
//! 1. A kind, a plural and a storage prefix are unique within their group and version; two
//!    rows share a prefix only when they are versions of the same objects.
//! 2. Storage prefixes are upstream's, so that `etcdctl get --prefix --keys-only /registry`
//!    reads as on a real cluster.
//! 3. Loading keeps the order of members and of documents.
//!
//! ## What is left out
//!
//! - Schemas and defaults: typed structs come from `k8s-openapi`; the API server keeps
//!   objects dynamic and checks what it must.
//! - Resources that mean nothing without their controller inside the API server
//!   (CertificateSigningRequest, webhooks, APIService); upstream's whole table is what
//!   `kubectl api-resources` prints, and its code k8s.io/kubernetes/pkg/registry.

pub use heart::{fields, labels, patch, quantity};
#[cfg(feature = "lab")]
pub use objects_lab as heart;
#[cfg(not(feature = "lab"))]
pub use objects_solution as heart;

pub mod duration;
pub mod meta;
pub mod resources;
pub mod usage;
pub mod yaml;
