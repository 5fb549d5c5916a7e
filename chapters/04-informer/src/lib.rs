pub use informer_solution as heart;

mod client;
mod config;
mod error;
mod events;
mod http_client;
mod informer;
mod queue;
mod run;

pub use client::{Client, List, ListOptions, Object, Patch, resource_of};
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
