//! Whether who writes means the object that is there: its namespace, its name, its uid, its version.

use crate::fields::{Errors, IMMUTABLE};
use crate::keys;
use crate::kind::Kind;
use crate::meta::{self, map_at};
use crate::query;
use crate::status::{ApiError, Reason};
use objects::resources::Resource;
use serde_json::{Value, json};

/// The namespace of the URL and that of the object must be one; an object that names none gets it.
pub fn place(kind: &Kind, namespace: Option<&str>, object: &mut Value) -> Result<(), ApiError> {
    let resource = kind.resource;
    let metadata = map_at(object, "metadata");
    if !resource.namespaced {
        if metadata.get("namespace") == Some(&json!("")) {
            metadata.shift_remove("namespace");
        }
        return Ok(());
    }
    let wanted = namespace.unwrap_or_default();
    if wanted.is_empty() {
        return Err(ApiError::bad_request("an empty namespace may not be set during creation"));
    }
    match metadata.get("namespace").and_then(Value::as_str) {
        None | Some("") => {
            metadata.insert("namespace".into(), json!(wanted));
            Ok(())
        }
        Some(namespace) if namespace == wanted => Ok(()),
        Some(_) => Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
    }
}

/// The name of the URL and that of the object must be one; an object without a name gets it.
pub fn named_as(object: &mut Value, name: &str) -> Result<(), ApiError> {
    if meta::name(object).is_empty() {
        map_at(object, "metadata").insert("name".into(), json!(name));
        return Ok(());
    }
    same_name(meta::name(object), name)
}

fn same_name(sent: &str, name: &str) -> Result<(), ApiError> {
    if sent == name {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "the name of the object ({sent}) does not match the name on the URL ({name})"
    )))
}

/// Who replaces an object names it, as the URL does (upstream: `checkName` in `endpoints/handlers/rest.go`).
pub fn check_name(object: &Value, namespace: Option<&str>, name: &str) -> Result<(), ApiError> {
    if meta::name(object).is_empty() {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    same_name(meta::name(object), name)?;
    let sent = meta::namespace(object);
    match namespace {
        Some(namespace) if !sent.is_empty() && sent != namespace => Err(ApiError::bad_request(format!(
            "the namespace of the object ({sent}) does not match the namespace on the request ({namespace})"
        ))),
        _ => Ok(()),
    }
}

/// A version that is no number. Upstream does not say whose fault this is: no reason, and 500.
pub fn check_version(sent: &Value) -> Result<(), ApiError> {
    match meta::resource_version(sent) {
        "" => Ok(()),
        text => query::parse_uint(text).map(drop).map_err(|why| ApiError::new(Reason::Unknown, why)),
    }
}

/// Whoever names a uid means that one object (upstream: `storage.Preconditions`).
pub fn check_meant(resource: &Resource, stored: &Value, sent: &Value) -> Result<(), ApiError> {
    let (name, uid) = (meta::name(stored), meta::uid(sent));
    if uid.is_empty() || uid == meta::uid(stored) {
        return Ok(());
    }
    let key = keys::object_key(resource, Some(meta::namespace(stored)), name)?;
    Err(ApiError::not_meant(resource, &key, name, uid, meta::uid(stored)))
}

/// What a patch has made of an object is still that object: it has its name, which is the URL's, and
/// its uid. Who patches means whatever is there, so that another uid is no quarrel with another
/// writer but a change that cannot be.
pub fn check_patched(
    resource: &Resource,
    namespace: Option<&str>,
    old: &Value,
    new: &Value,
) -> Result<(), ApiError> {
    let name = meta::name(old);
    check_name(new, namespace, name)?;
    let (uid, version) = (meta::uid(new), meta::resource_version(new));
    if uid.is_empty() || uid == meta::uid(old) {
        return Ok(());
    }
    check_version(new)?;
    if !["", "0", meta::resource_version(old)].contains(&version) {
        return Err(ApiError::modified(resource, name));
    }
    let mut errors = Errors::default();
    errors.invalid("metadata.uid", &json!(uid), IMMUTABLE);
    errors.into_result(resource, name)
}
