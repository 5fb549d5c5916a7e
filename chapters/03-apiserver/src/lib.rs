//! # The API server
//!
//! The one door to the cluster's state. Everybody, people and components alike, reads and writes
//! the same objects through the same REST API; only this process talks to the store.
//!
//! ```text
//!                    TLS, HTTP/1.1 or HTTP/2, client certificates
//!   kubectl, kubelets, controllers, the scheduler
//!        │ requests                    ▲ objects, Tables, watch lines
//!        ▼                             │
//!   server ─► handler ─► authorize ─► verb ──────┬─────────────► proxy ──► kubelet (logs, exec), pods
//!    (loop)                            │ writes  │ reads
//!                                      ▼         ▼
//!                                  registry    caches ◄─┐
//!                          compare-and-put │            │ one watch over all keys
//!                                          ▼            │
//!                                        etcd ──────────┘
//! ```
//!
//! What a request *means* is decided in [`heart`], which is pure: it takes objects and gives
//! objects, or the `Status` that says why not. This crate has the sockets, the store's client and
//! the loops.
//!
//! ## Invariants
//! 1. Nothing is written except by a transaction that compares the key's `mod_revision` (0 for a
//!    create). Whoever was slower gets 409, or is tried again on the newest state if they named no
//!    version. (`registry`)
//! 2. A client is answered after the store answered and this server's caches have heard of it: what
//!    it wrote is in every later answer and decision. The cache's state is only a first guess for
//!    a write, and is never the reason for a refusal.
//! 3. A list without `resourceVersion` waits until the cache has reached the store's revision: a
//!    read after one's own write sees it, through any server. (`lists`) One read of the revision
//!    answers all who asked before it began. (`etcd`)
//! 4. The one watch on the store covers *every* key, so the last revision that came says exactly
//!    how far every cache is, even when the change was none of ours. (`caches`)
//! 5. A watch delivers each change once and in order, or ends with 410: nothing in between. A slow
//!    watcher holds nobody up, and costs no memory: the ring of its kind is its queue. What several are told in
//!    one form is encoded once. (`watching`)
//! 6. When the store goes away, watches stay open and reads of `resourceVersion=0` are answered;
//!    the rest is 503 with `Retry-After`. When it is back, the watch on it goes on where it
//!    stopped; if that revision was compacted, everything is listed anew and watchers get 410.
//! 7. One in-flight limit each for reads, writes and streams; beyond it 429.
//! 8. After a 101 the bytes between a client and who is behind us are copied and not looked at. (`proxy`)
//!
//! ## What is left out, and where to read it
//! * RBAC, priority and fairness, audit: every client that is known may do everything
//!   (`heart::access` says so to those who ask): `apiserver/pkg/authorization`, `util/flowcontrol`.
//! * Answers in protobuf: request bodies may be protobuf, answers are JSON or YAML.
//! * Several servers at once work on one store, except that each keeps its own address alone
//!   behind the `kubernetes` service, and that addresses for services are handed out under a lock
//!   of this process (upstream keeps them in the store).

#[cfg(feature = "lab")]
pub use apiserver_lab as heart;
#[cfg(not(feature = "lab"))]
pub use apiserver_solution as heart;

mod admission;
mod aggregation;
mod answer;
mod app;
mod attempts;
mod backends;
mod body;
mod caches;
mod connect;
mod custom;
mod delivery;
mod etcd;
mod forms;
mod handler;
mod health;
mod identity;
mod lists;
mod plain;
mod pods;
mod proxy;
mod registry;
mod seed;
mod server;
mod signing;
mod subresources;
mod tls;
mod verbs;
mod watching;
mod webhooks;
mod writing;

pub use server::{Args, run, serve};
