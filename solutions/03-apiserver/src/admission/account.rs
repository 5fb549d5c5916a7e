//! The service account that a pod runs as, and the token with which its containers can speak to this
//! server (upstream: `plugin/pkg/admission/serviceaccount`; KEP-1205, bound tokens).
//!
//! Left out: `kubernetes.io/enforce-mountable-secrets`, which is deprecated.

use crate::meta::{self, as_map, map_at};
use serde_json::{Value, json};

/// The account that every namespace has.
pub const DEFAULT: &str = "default";
/// Where client libraries look for what they need inside a pod.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// An hour, and seven seconds more by which tokens that were added unasked can be told from others.
const EXPIRATION_SECONDS: i64 = 3607;

/// The name of the account that a pod wants to run as. None for a pod that only mirrors one which a
/// node runs by itself: such a pod has no account, nor anything that needs one.
pub fn wanted(pod: &Value) -> Result<Option<&str>, String> {
    let name = meta::text(pod, &["spec", "serviceAccountName"]);
    if pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null() {
        return Ok(Some(if name.is_empty() { DEFAULT } else { name }));
    }
    if !name.is_empty() {
        return Err("a mirror pod may not reference service accounts".into());
    }
    if has_secrets(pod) {
        return Err("a mirror pod may not reference secrets".into());
    }
    let mut sources =
        items(&pod["spec"]["volumes"]).flat_map(|volume| items(&volume["projected"]["sources"]));
    if sources.any(|source| !source["serviceAccountToken"].is_null()) {
        return Err("a mirror pod may not use service account token volume projections".into());
    }
    Ok(None)
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn has_secrets(pod: &Value) -> bool {
    let spec = &pod["spec"];
    let in_volume = |volume: &Value| {
        !volume["secret"].is_null()
            || items(&volume["projected"]["sources"]).any(|source| !source["secret"].is_null())
    };
    let in_container = |container: &Value| {
        items(&container["env"]).any(|env| !env["valueFrom"]["secretKeyRef"].is_null())
            || items(&container["envFrom"]).any(|from| !from["secretRef"].is_null())
    };
    items(&spec["imagePullSecrets"]).next().is_some()
        || items(&spec["volumes"]).any(in_volume)
        || ["initContainers", "containers", "ephemeralContainers"]
            .iter()
            .any(|list| items(&spec[list]).any(in_container))
}

/// Let a new pod run as this account. `suffix` makes the name of a volume. Twice is once.
pub fn run_as(pod: &mut Value, account: &Value, suffix: &str) {
    let spec = map_at(pod, "spec");
    for field in ["serviceAccountName", "serviceAccount"] {
        spec.insert(field.into(), account["metadata"]["name"].clone());
    }
    let has_pull_secrets = spec.get("imagePullSecrets").is_some_and(|own| items(own).next().is_some());
    if !has_pull_secrets && items(&account["imagePullSecrets"]).next().is_some() {
        spec.insert("imagePullSecrets".into(), account["imagePullSecrets"].clone());
    }
    let own = spec.get("automountServiceAccountToken").and_then(Value::as_bool);
    if own.or(account["automountServiceAccountToken"].as_bool()).unwrap_or(true) {
        mount_token(&mut pod["spec"], suffix);
    }
}

/// Every container finds a token, unless it has something of its own in that place.
fn mount_token(spec: &mut Value, suffix: &str) {
    let names = |volume| meta::text(volume, &["name"]);
    let present = items(&spec["volumes"]).map(names).find(|name| name.starts_with(VOLUME_PREFIX));
    let present = present.map(str::to_string);
    let spec = as_map(spec);
    let name = present.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{suffix}"));
    let mut needed = false;
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Value::Array(mounts) = as_map(container).entry("volumeMounts").or_insert_with(|| json!([]))
            else {
                continue;
            };
            if mounts.iter().all(|mount| mount["mountPath"] != MOUNT_PATH) {
                mounts.push(json!({ "name": name, "readOnly": true, "mountPath": MOUNT_PATH }));
                needed = true;
            }
        }
    }
    if needed
        && present.is_none()
        && let Value::Array(volumes) = spec.entry("volumes").or_insert_with(|| json!([]))
    {
        volumes.push(json!({ "name": name, "projected": token_volume() }));
    }
}

/// What a client needs: who it is, whom to believe, and where it is.
fn token_volume() -> Value {
    let namespace = json!({ "apiVersion": "v1", "fieldPath": "metadata.namespace" });
    json!({
        "defaultMode": 0o644,
        "sources": [
            { "serviceAccountToken": { "path": "token", "expirationSeconds": EXPIRATION_SECONDS } },
            { "configMap": {
                "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }],
            } },
            { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": namespace }] } },
        ],
    })
}
