//! What the cache must know of an object: its key, its identity, its version.

use crate::dynamic::DynamicObject;
use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// An object with metadata: every type of k8s-openapi that has some, and [`DynamicObject`].
pub trait Keyed {
    fn meta(&self) -> &ObjectMeta;

    /// `namespace/name`, or the name alone.
    fn key(&self) -> String {
        objects::meta::key(self.meta())
    }

    fn uid(&self) -> &str {
        objects::meta::uid(self.meta())
    }

    fn resource_version(&self) -> &str {
        self.meta().resource_version.as_deref().unwrap_or("")
    }
}

impl<K: Metadata<Ty = ObjectMeta>> Keyed for K {
    fn meta(&self) -> &ObjectMeta {
        self.metadata()
    }
}

impl Keyed for DynamicObject {
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
}
