//! # The client: everything that talks to the API server
//!
//! The scheduler, the controllers, the kubelet and kube-proxy see the cluster through this
//! crate: a [`Client`] for single requests, an [`Informer`] for a copy that follows the
//! server, a [`WorkQueue`] for what to look at, an [`EventRecorder`] for what was done.
//!
//! ```text
//!   kubeconfig -> Config -> Client ----------- get, list, create, replace, patch, delete, bind
//!                             |
//!            one HTTP/2 connection a process
//!                             |
//!                        Informer (one loop: run.rs) -- cache: get, list, by_index
//!                             |
//!                        subscribe() -> Added, Updated, Deleted, Synced
//! ```
//!
//! The minds (reflector, delta queue, cache, work queue, correlator) are the core's, under
//! the name [`heart`]. Here are their hands: sockets, clocks, locks, tasks.
//!
//! ## Invariants
//!
//! 1. Only an informer's own loop writes its cache; readers never wait for the network.
//! 2. A subscriber hears of everything that exists, then `Synced`, then of every change, in
//!    order and once, whenever it subscribed.
//! 3. A subscriber that does not read holds the loop back, and with it the connection's
//!    flow control: nothing is dropped, and memory stays bounded.
//! 4. An informer retries for ever; a client's call never retries by itself (but for 429
//!    with Retry-After). A component may start before the API server.
//! 5. Recording an event never waits; what does not fit is dropped, newest first.
//!
//! ## What is left out
//!
//! - Credential plugins, proxies and several contexts at once (client-go tools/clientcmd).
//! - Protobuf bodies: JSON is spoken in both directions.
//! - Client-side rate limits (client-go's 5 requests a second a client): the server has its
//!   own, and one process is one client.
//! - Back-off while the server is *absent* is shorter than client-go's (50 ms to 2 s instead
//!   of 800 ms to 30 s): this cluster is small, and restarts are its subject.

#[cfg(feature = "lab")]
pub use informer_lab as heart;
#[cfg(not(feature = "lab"))]
pub use informer_solution as heart;

mod client;
mod config;
mod error;
mod events;
mod http_client;
mod informer;
mod queue;
mod run;

pub use client::{Client, Discovered, List, ListOptions, Object, Patch, resource_of};
pub use config::Config;
pub use error::Error;
pub use events::EventRecorder;
pub use heart::dynamic::{ApiResource, DynamicObject};
pub use heart::indexer::{Event, IndexFn};
pub use heart::keyed::Keyed;
pub use heart::wire::WatchEvent;
pub use http_client::Watch;
pub use informer::{Informer, Query};
pub use objects::meta::object_reference;
pub use queue::{RateLimit, WorkQueue};
