//! Owner references as patches.

use informer::{Client, Error, Patch};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    DeleteOptions, ObjectMeta, OwnerReference, Preconditions,
};
use objects::meta;
use serde_json::json;

/// Replaces the owner references of an object as it was seen: a newer version is a conflict.
pub fn owners_patch(seen: &ObjectMeta, owners: &[OwnerReference]) -> Patch {
    Patch::Merge(json!({ "metadata": {
        "uid": seen.uid,
        "resourceVersion": seen.resource_version,
        "ownerReferences": or_unset(owners),
    }}))
}

/// In a merge patch: an empty list leaves no field behind.
pub fn or_unset<T>(list: &[T]) -> Option<&[T]> {
    (!list.is_empty()).then_some(list)
}

pub fn adopt(owner: OwnerReference, seen: &ObjectMeta) -> Patch {
    let mut owners = seen.owner_references.clone().unwrap_or_default();
    owners.push(owner);
    owners_patch(seen, &owners)
}

pub fn release(owner_uid: &str, seen: &ObjectMeta) -> Patch {
    let owners = seen.owner_references.iter().flatten();
    let left: Vec<_> = owners.filter(|owner| owner.uid != owner_uid).cloned().collect();
    owners_patch(seen, &left)
}

/// Deletes exactly this object, not a later one of its name.
pub fn delete_options(uid: &str, policy: &str) -> DeleteOptions {
    DeleteOptions {
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), ..Preconditions::default() }),
        propagation_policy: Some(policy.to_owned()),
        ..DeleteOptions::default()
    }
}

/// Before anything is adopted: the cache may not know yet that the owner is going away.
macro_rules! may_adopt {
    ($name:ident, $kind:ty) => {
        pub async fn $name(client: &Client, seen: &$kind) -> Result<bool, Error> {
            let (namespace, name) = (meta::namespace(&seen.metadata), meta::name(&seen.metadata));
            let live: $kind = client.get(namespace, name).await?;
            Ok(live.metadata.uid == seen.metadata.uid && live.metadata.deletion_timestamp.is_none())
        }
    };
}
may_adopt!(replica_set_may_adopt, ReplicaSet);
may_adopt!(deployment_may_adopt, Deployment);

/// Writing into a namespace that is being deleted is refused, and not worth another try.
pub fn namespace_is_terminating(error: &Error) -> bool {
    error.is_forbidden() && error.to_string().contains("because it is being terminated")
}

pub fn pod_key(pod: &Pod) -> String {
    meta::key(&pod.metadata)
}
