//! What the table of kinds (chapter 00) says, in the forms that answers need, and the few kinds
//! that are questions rather than stored objects.

use objects::resources::{self, Resource};

/// `apps/v1`, or `v1` for the core group.
pub fn api_version(resource: &Resource) -> String {
    group_version(resource.group, resource.version)
}

pub fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_string() } else { format!("{group}/{version}") }
}

/// `deployments.apps`, or `pods`: how messages name a resource.
pub fn qualified_plural(resource: &Resource) -> String {
    qualify(resource.plural, resource.group)
}

/// `Deployment.apps`, or `Pod`: how an `Invalid` message names a kind.
pub fn qualified_kind(resource: &Resource) -> String {
    qualify(resource.kind, resource.group)
}

fn qualify(word: &str, group: &str) -> String {
    if group.is_empty() { word.to_string() } else { format!("{word}.{group}") }
}

pub fn has_subresource(resource: &Resource, name: &str) -> bool {
    resource.subresources.contains(&name)
}

/// Kinds whose `metadata.generation` counts the changes of what is wanted.
pub fn has_generation(resource: &Resource) -> bool {
    !matches!(
        resource.group,
        "" | "events.k8s.io"
            | "coordination.k8s.io"
            | "discovery.k8s.io"
            | "rbac.authorization.k8s.io"
            | "storage.k8s.io"
            | "node.k8s.io"
    ) || resource.kind == "ReplicationController"
}

/// The kinds that one stored prefix is served as: the first is the form in which it is stored.
pub fn storage_kind(resource: &'static Resource) -> &'static Resource {
    resources::all().iter().find(|r| r.storage_prefix == resource.storage_prefix).unwrap_or(resource)
}
