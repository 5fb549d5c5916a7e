//! The table of kinds: what the API server serves and where it stores it.
//!
//! Everything in the table is served: all stable kinds of Kubernetes 1.32. Only some have
//! somebody who acts on them; the others are kept faithfully and do nothing, as on a cluster whose
//! controller is switched off. Two rows with one `storage_prefix` are two versions of the same
//! objects: the API server stores the one that [`Resource::is_storage_version`] names and converts.
//!
//! A few kinds are never stored ([`unstored`]): they are questions with an answer, or orders.

mod table;

use table::{STORED, UNSTORED};

// ANCHOR: resource
/// One resource in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    /// The name in paths.
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub namespaced: bool,
    /// `all` is what `kubectl get all` lists.
    pub categories: &'static [&'static str],
    /// The store's key before `/NAMESPACE/NAME`: upstream's, so some are old names. Empty for a kind
    /// that is not stored.
    pub storage_prefix: &'static str,
    pub verbs: &'static [&'static str],
    pub subresources: &'static [&'static str],
}
// ANCHOR_END: resource

/// What lives under an object: `pods/web/log`. The name and the kind of its bodies are as upstream's
/// discovery lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subresource {
    pub name: &'static str,
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub verbs: &'static [&'static str],
}

const READ_WRITE: &[&str] = &["get", "patch", "update"];
const STREAM: &[&str] = &["create", "get"];
const ANY: &[&str] = &["create", "delete", "get", "patch", "update"];

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether the store holds these objects in this row's version. The first row of a
    /// storage prefix is the stored one.
    pub fn is_storage_version(&self) -> bool {
        let first = STORED.iter().find(|other| other.storage_prefix == self.storage_prefix);
        first.is_some_and(|first| (first.group, first.version) == (self.group, self.version))
    }

    /// The subresource `name`, if this kind has it.
    pub fn subresource(&self, name: &str) -> Option<Subresource> {
        let name = self.subresources.iter().find(|found| **found == name)?;
        let own = |verbs: &'static [&'static str]| (self.group, self.version, self.kind, verbs);
        let (group, version, kind, verbs): (_, _, _, &'static [_]) = match *name {
            "scale" => ("autoscaling", "v1", "Scale", READ_WRITE),
            "binding" => ("", "v1", "Binding", &["create"]),
            "eviction" => ("policy", "v1", "Eviction", &["create"]),
            "token" => ("authentication.k8s.io", "v1", "TokenRequest", &["create"]),
            "log" => own(&["get"]),
            "exec" => ("", "v1", "PodExecOptions", STREAM),
            "attach" => ("", "v1", "PodAttachOptions", STREAM),
            "portforward" => ("", "v1", "PodPortForwardOptions", STREAM),
            "proxy" => match self.kind {
                "Node" => ("", "v1", "NodeProxyOptions", ANY),
                "Service" => ("", "v1", "ServiceProxyOptions", ANY),
                _ => ("", "v1", "PodProxyOptions", ANY),
            },
            "finalize" => own(&["update"]),
            // status, approval, ephemeralcontainers: a part of the object, with a door of its own.
            _ => own(READ_WRITE),
        };
        Some(Subresource { name, group, version, kind, verbs })
    }
}

/// Every resource whose objects are stored, group by group in the order of upstream's discovery.
pub fn all() -> &'static [Resource] {
    STORED
}

/// The kinds that are served but not stored, in the same order. Most can only be created: who
/// creates one gets the answer at once.
pub fn unstored() -> &'static [Resource] {
    UNSTORED
}

/// Everything that discovery lists: groups and versions in upstream's order, the resources of each
/// by name.
pub fn served() -> Vec<&'static Resource> {
    let mut out: Vec<&'static Resource> = STORED.iter().chain(UNSTORED).collect();
    let place = |r: &Resource| table::VERSIONS.iter().position(|found| *found == (r.group, r.version));
    out.sort_by_key(|r| (place(r), r.plural));
    out
}

/// The stored resource of a path: `by_plural("apps", "v1", "deployments")`.
pub fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    STORED.iter().find(|r| r.group == group && r.version == version && r.plural == plural)
}

/// The stored resource of an object: `by_kind("apps", "v1", "Deployment")`.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
    STORED.iter().find(|r| r.group == group && r.version == version && r.kind == kind)
}
