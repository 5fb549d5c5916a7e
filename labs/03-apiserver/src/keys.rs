//! Where an object lives in the store. The keys are upstream's, so that
//! `etcdctl get --prefix --keys-only /registry` reads as on any cluster.

use crate::status::ApiError;
use objects::resources::Resource;

/// `/registry/pods/NAMESPACE/NAME`, or `/registry/minions/NAME` for a kind without namespaces.
/// A name that could leave its place in the tree is refused.
pub fn object_key(resource: &Resource, namespace: Option<&str>, name: &str) -> Result<String, ApiError> {
    let _ = (&resource, &namespace, &name);
    todo!(
        "lab 03.2: the storage prefix, the namespace if the kind has one, the name; check what came from outside"
    )
}

/// What every key of a collection begins with, the closing slash included: without it
/// `/registry/pods/dev` would also find the namespace `dev-2`.
pub fn list_prefix(resource: &Resource, namespace: Option<&str>) -> Result<String, ApiError> {
    let _ = (&resource, &namespace);
    todo!("lab 03.2: one namespace, or all of them")
}

/// The namespace and the name that a key of this resource stands for, if it is one that
/// [`object_key`] could have made.
pub fn split_key<'k>(resource: &Resource, key: &'k str) -> Option<(Option<&'k str>, &'k str)> {
    let _ = (&resource, &key);
    todo!("lab 03.2: undo object_key, and accept nothing else")
}

/// The smallest key that is greater than every key with this prefix: the end of an etcd range.
/// Where there is none, etcd's sign for "no end": one zero byte.
pub fn range_end(prefix: &[u8]) -> Vec<u8> {
    let _ = &prefix;
    todo!("lab 03.2: raise the last byte that can be raised, and drop what follows it")
}

/// Refuse what could not be one step of a path.
pub fn check_segment(what: &str, segment: &str) -> Result<(), ApiError> {
    let bad = match segment {
        "" => Some("may not be empty"),
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        s if s.contains('/') => Some("may not contain '/'"),
        s if s.contains('%') => Some("may not contain '%'"),
        s if s.contains('\0') => Some("may not contain NUL"),
        _ => None,
    };
    match bad {
        None => Ok(()),
        Some(why) => Err(ApiError::bad_request(format!("invalid {what} {segment:?}: [{why}]"))),
    }
}
