pub use informer_solution as heart;

mod client;
mod error;
mod events;
mod informer;
mod queue;

pub use client::{Client, List, ListOptions, Object, Patch};
pub use error::Error;
pub use events::EventRecorder;
pub use heart::dynamic::{ApiResource, DynamicObject};
pub use heart::indexer::Event;
pub use heart::keyed::Keyed;
pub use http;
pub use informer::{Informer, Query};
pub use objects::meta::object_reference;
pub use queue::{RateLimit, WorkQueue};
