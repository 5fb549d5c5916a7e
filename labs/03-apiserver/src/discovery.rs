//! What this server serves, told to clients that know nothing beforehand. Everything below is read
//! off the catalog: the table of kinds, and what definitions have added to it.
//!
//! Discovery has two forms. The old one is a document for each step of a path (`/apis`,
//! `/apis/apps`, `/apis/apps/v1`); the aggregated one (KEP-3352) is a single document under `/api`
//! and one under `/apis`, for clients that ask for it by media type.

use crate::aggregation;
use crate::catalog::Catalog;
use crate::kind::Kind;
use crate::status::ApiError;
use crate::{custom, kinds};
use base64::Engine as _;
use objects::resources::{self, Resource};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// What `/version` says: in step with what is served, not with what this program is.
pub const GIT_VERSION: &str = "v1.32.0+coracle";

/// The forms of aggregated discovery. Clients compare the media types byte for byte.
pub const AGGREGATED: [(&str, &str); 2] = [
    ("v2", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
    ("v2beta1", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"),
];

/// The aggregated form that an `Accept` header prefers to the old one: its version and media type.
pub fn negotiate(accept: &str) -> Option<(&'static str, &'static str)> {
    for offer in accept.split(',') {
        let mut parts = offer.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let parts: Vec<&str> = parts.collect();
        let wants = |version: &str| {
            ["g=apidiscovery.k8s.io", "as=APIGroupDiscoveryList"].iter().all(|p| parts.contains(p))
                && parts.iter().any(|p| p.strip_prefix("v=") == Some(version))
        };
        if let Some(form) = AGGREGATED.iter().find(|(version, _)| wants(version)) {
            return Some(*form);
        }
        // Plain JSON before any aggregated form: the old one is meant.
        if matches!(media, "application/json" | "*/*") && !parts.iter().any(|p| p.starts_with("as=")) {
            return None;
        }
    }
    None
}

/// Every kind that is served: upstream's order, custom kinds last.
pub fn kinds(catalog: &Catalog) -> impl Iterator<Item = Kind> + '_ {
    resources::served().into_iter().map(Kind::builtin).chain(catalog.custom.iter().cloned())
}

/// Every group with its versions, the preferred one first; the core group is the empty text. Built-in
/// groups come in upstream's order, and then the others by name.
pub fn groups(catalog: &Catalog) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for r in resources::served() {
        match groups.iter_mut().find(|(group, _)| group == r.group) {
            Some((_, versions)) if versions.iter().any(|v| v == r.version) => {}
            Some((_, versions)) => versions.push(r.version.to_owned()),
            None => groups.push((r.group.to_owned(), vec![r.version.to_owned()])),
        }
    }
    let defined = catalog.custom.iter().map(|k| (k.resource.group.to_owned(), k.resource.version.to_owned()));
    let mut added: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let elsewhere = catalog.aggregated.iter().map(|a| (a.group.clone(), a.version.clone()));
    for (group, version) in defined.chain(elsewhere) {
        let known = groups.iter_mut().find(|(name, _)| *name == group).map(|(_, versions)| versions);
        let versions = match known {
            Some(versions) => versions,
            None => added.entry(group).or_default(),
        };
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    added.values_mut().for_each(|versions| versions.sort_by(|a, b| custom::by_priority(a, b)));
    groups.extend(added);
    groups
}

fn kinds_of(catalog: &Catalog, group: &str, version: &str) -> Vec<Kind> {
    kinds(catalog).filter(|k| (k.resource.group, k.resource.version) == (group, version)).collect()
}

/// Everything of `/api` (the core group) or of `/apis` (all others) in one answer.
pub fn aggregated(catalog: &Catalog, core: bool, form: &str) -> Value {
    let groups = groups(catalog).into_iter().filter(|(group, _)| group.is_empty() == core);
    let items = groups.map(|(group, versions)| {
        let versions: Vec<Value> = versions.iter().map(|v| aggregated_version(catalog, &group, v)).collect();
        let metadata = match group.as_str() {
            "" => json!({ "creationTimestamp": null }),
            _ => json!({ "name": group, "creationTimestamp": null }),
        };
        json!({ "metadata": metadata, "versions": versions })
    });
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{form}"),
        "metadata": {},
        "items": items.collect::<Vec<_>>(),
    })
}

fn response_kind(group: &str, version: &str, kind: &str) -> Value {
    json!({ "group": group, "version": version, "kind": kind })
}

fn aggregated_version(catalog: &Catalog, group: &str, version: &str) -> Value {
    if let Some(found) =
        catalog.aggregated.iter().find(|a| (a.group.as_str(), a.version.as_str()) == (group, version))
    {
        let resources = aggregation::discovered(&found.resources, group, version);
        let freshness = if found.fresh { "Current" } else { "Stale" };
        return json!({ "version": version, "resources": resources, "freshness": freshness });
    }
    let describe = |kind: Kind| {
        let r = kind.resource;
        let mut out = json!({
            "resource": r.plural,
            "responseKind": response_kind(group, version, r.kind),
            "scope": if r.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": r.singular,
            "verbs": r.verbs,
        });
        name_otherwise(&mut out, r);
        let subresources = r.subresources.iter().copied().filter_map(|name| r.subresource(name)).map(|s| {
            json!({
                "subresource": s.name,
                "responseKind": response_kind(s.group, s.version, s.kind),
                "verbs": s.verbs,
            })
        });
        let subresources: Vec<Value> = subresources.collect();
        if !subresources.is_empty() {
            out["subresources"] = json!(subresources);
        }
        out
    };
    let list: Vec<Value> = kinds_of(catalog, group, version).into_iter().map(describe).collect();
    json!({ "version": version, "resources": list, "freshness": "Current" })
}

/// The names by which people ask for a kind, besides its own.
fn name_otherwise(out: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        out["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        out["categories"] = json!(resource.categories);
    }
}

/// Discovery in its old form: one document for each step of the path. `None` when the path is
/// not one of discovery's.
pub fn legacy(catalog: &Catalog, path: &str, address: &str) -> Option<Result<Value, ApiError>> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let groups = || groups(catalog).into_iter().filter(|(group, _)| !group.is_empty());
    let found = match parts.as_slice() {
        ["api"] => Some(json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address }],
        })),
        ["apis"] => {
            let groups: Vec<Value> = groups().map(|(name, versions)| group(&name, &versions)).collect();
            Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        ["apis", name] => groups().find(|(group, _)| group == name).map(|(name, versions)| {
            let mut out = json!({ "kind": "APIGroup", "apiVersion": "v1" });
            if let (Value::Object(out), Value::Object(rest)) = (&mut out, group(&name, &versions)) {
                out.extend(rest);
            }
            out
        }),
        ["api", version] => resource_list(catalog, "", version),
        ["apis", group, version] => resource_list(catalog, group, version),
        _ => return None,
    };
    Some(found.ok_or_else(ApiError::no_route))
}

/// Whether a path is below one that this server itself has handlers for. What is not found there is told
/// by a Status; anywhere else, among custom resources too, by plain HTTP.
/// Upstream: `director` in `staging/src/k8s.io/apiserver/pkg/server/handler.go`.
pub fn is_own(path: &str) -> bool {
    let mut parts = path.trim_start_matches('/').split('/');
    match (parts.next(), parts.next()) {
        (Some("api" | "version"), _) => true,
        (Some("apis"), Some(group)) => {
            let own = resources::all().iter().chain(resources::unstored());
            !group.is_empty() && own.into_iter().any(|resource| resource.group == group)
        }
        _ => false,
    }
}

fn group(name: &str, versions: &[String]) -> Value {
    let one = |version: &String| json!({ "groupVersion": format!("{name}/{version}"), "version": version });
    json!({
        "name": name,
        "versions": versions.iter().map(one).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(one),
    })
}

fn resource_list(catalog: &Catalog, group: &str, version: &str) -> Option<Value> {
    let kinds = kinds_of(catalog, group, version);
    if kinds.is_empty() {
        return None;
    }
    let mut list = Vec::new();
    for kind in kinds {
        let r = kind.resource;
        let mut out = json!({
            "name": r.plural,
            "singularName": r.singular,
            "namespaced": r.namespaced,
            "kind": r.kind,
            "verbs": r.verbs,
        });
        name_otherwise(&mut out, r);
        if !r.storage_prefix.is_empty() {
            out["storageVersionHash"] = json!(storage_version_hash(&kind));
        }
        list.push(out);
        for s in r.subresources.iter().copied().filter_map(|name| r.subresource(name)) {
            let mut out = json!({
                "name": format!("{}/{}", r.plural, s.name),
                "singularName": "",
                "namespaced": r.namespaced,
                "kind": s.kind,
                "verbs": s.verbs,
            });
            if (s.group, s.version) != (group, version) {
                out["group"] = json!(s.group);
                out["version"] = json!(s.version);
            }
            list.push(out);
        }
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": kinds::group_version(group, version),
        "resources": list,
    }))
}

/// Changes when objects are stored in another version: what migrates them compares it (upstream:
/// `apiserver/pkg/endpoints/discovery/storageversionhash.go`).
fn storage_version_hash(kind: &Kind) -> String {
    let r = kind.resource;
    let (group, version) = match &kind.custom {
        None => (kinds::storage_kind(r).group, kinds::storage_kind(r).version),
        Some(custom) => {
            let stored = custom.definition.versions.iter().find(|version| version.storage);
            (r.group, stored.map_or(r.version, |version| version.name.as_str()))
        }
    };
    let hash = Sha256::digest(format!("{group}/{version}/{}", r.kind));
    base64::engine::general_purpose::STANDARD.encode(&hash[..8])
}

/// `/version`.
pub fn version() -> Value {
    json!({
        "major": "1",
        "minor": "32",
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none (Rust)",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}
