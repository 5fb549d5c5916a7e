//! Which fields a write is about: not those that the server fills in, and not those that belong
//! to another endpoint of the same object (upstream: `internal/stripmeta.go`, and
//! `GetResetFields` of each kind's strategy).

use super::Writer;
use super::path::{Element, Path};
use super::set::Set;

/// Of the metadata, what never has a manager.
const UNOWNED: [&str; 9] = [
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
];

/// Of the metadata, what a status write of a kind of the core group may change.
const WITH_STATUS: [&str; 3] = ["labels", "annotations", "finalizers"];

fn path(names: &[&str]) -> Path {
    names.iter().map(|name| Element::field(name)).collect()
}

/// `fields` without those that never have a manager.
pub fn stripped(fields: &Set) -> Set {
    let metadata = UNOWNED.map(|name| path(&["metadata", name]));
    let all = metadata.into_iter().chain(["apiVersion", "kind", "metadata"].map(|name| path(&[name])));
    fields.difference(&Set::of(all))
}

/// Of `fields`, those that this writer's endpoint lets through.
pub fn reachable(writer: &Writer<'_>, fields: &Set) -> Set {
    let resource = writer.kind.resource;
    let status = Set::of([path(&["status"])]);
    match writer.subresource {
        "" if resource.subresources.contains(&"status") => fields.without_trees(&status),
        "status" => {
            let mut mine = status;
            if resource.group.is_empty() {
                WITH_STATUS.iter().for_each(|name| mine.insert(&path(&["metadata", name])));
            }
            fields.difference(&fields.without_trees(&mine))
        }
        "finalize" => fields.difference(&fields.without_trees(&Set::of([path(&["spec", "finalizers"])]))),
        _ => fields.clone(),
    }
}
