//! What this server serves, told to clients that know nothing beforehand: everything below is
//! read off the table of kinds.

use crate::kinds;
use crate::status::ApiError;
use objects::resources::{self, Resource};
use serde_json::{Value, json};

/// Clients compare this text byte for byte.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A subresource as discovery lists it.
struct Subresource {
    kind: &'static str,
    group: &'static str,
    version: &'static str,
    verbs: &'static [&'static str],
}

fn subresource(resource: &Resource, name: &str) -> Subresource {
    let (kind, group, version, verbs): (_, _, _, &'static [&'static str]) = match name {
        "status" => (resource.kind, resource.group, resource.version, &["get", "patch", "update"]),
        "scale" => ("Scale", "autoscaling", "v1", &["get", "patch", "update"]),
        "binding" => ("Binding", "", "v1", &["create"]),
        "eviction" => ("Eviction", "policy", "v1", &["create"]),
        "log" => ("Pod", "", "v1", &["get"]),
        "exec" => ("PodExecOptions", "", "v1", &["create", "get"]),
        "attach" => ("PodAttachOptions", "", "v1", &["create", "get"]),
        "portforward" => ("PodPortForwardOptions", "", "v1", &["create", "get"]),
        "finalize" => (resource.kind, resource.group, resource.version, &["update"]),
        "token" => ("TokenRequest", "authentication.k8s.io", "v1", &["create"]),
        _ => (resource.kind, resource.group, resource.version, &["get", "patch", "update"]),
    };
    Subresource { kind, group, version, verbs }
}

/// Subresources that are in the table but not served yet stay out of discovery.
const NOT_SERVED: [&str; 2] = ["token", "ephemeralcontainers"];

pub fn served_subresources(resource: &Resource) -> impl Iterator<Item = &'static str> {
    resource.subresources.iter().copied().filter(|name| !NOT_SERVED.contains(name))
}

/// A kind that is a question: `(group, version, plural, kind)`.
const QUESTIONS: [(&str, &str, &str); 4] = [
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview"),
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
];

/// Every group with its versions, in the table's order; the core group is the empty text.
pub fn groups() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&'static str, Vec<&'static str>)> = Vec::new();
    let mut note =
        |group: &'static str, version: &'static str| match groups.iter_mut().find(|(g, _)| *g == group) {
            Some((_, versions)) if versions.contains(&version) => {}
            Some((_, versions)) => versions.push(version),
            None => groups.push((group, vec![version])),
        };
    resources::all().iter().for_each(|r| note(r.group, r.version));
    QUESTIONS.iter().for_each(|(group, _, _)| note(group, "v1"));
    groups
}

fn resources_of(group: &str, version: &str) -> impl Iterator<Item = &'static Resource> {
    resources::all().iter().filter(move |r| r.group == group && r.version == version)
}

fn questions_of(group: &str, version: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let found = QUESTIONS.iter().filter(move |(g, _, _)| *g == group && version == "v1");
    found.map(|(_, plural, kind)| (*plural, *kind))
}

/// Everything of `/api` (the core group) or of `/apis` (all others) in one answer.
pub fn aggregated(core: bool) -> Value {
    let items: Vec<Value> = groups()
        .into_iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> =
                versions.iter().map(|version| aggregated_version(group, version)).collect();
            let metadata = match group {
                "" => json!({ "creationTimestamp": null }),
                _ => json!({ "name": group, "creationTimestamp": null }),
            };
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn response_kind(group: &str, version: &str, kind: &str) -> Value {
    json!({ "group": group, "version": version, "kind": kind })
}

fn aggregated_version(group: &str, version: &str) -> Value {
    let mut list: Vec<Value> = resources_of(group, version)
        .map(|r| {
            let mut out = json!({
                "resource": r.plural,
                "responseKind": response_kind(group, version, r.kind),
                "scope": if r.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": r.singular,
                "verbs": r.verbs,
            });
            if !r.short_names.is_empty() {
                out["shortNames"] = json!(r.short_names);
            }
            if !r.categories.is_empty() {
                out["categories"] = json!(r.categories);
            }
            let subresources: Vec<Value> = served_subresources(r)
                .map(|name| {
                    let s = subresource(r, name);
                    json!({
                        "subresource": name,
                        "responseKind": response_kind(s.group, s.version, s.kind),
                        "verbs": s.verbs,
                    })
                })
                .collect();
            if !subresources.is_empty() {
                out["subresources"] = json!(subresources);
            }
            out
        })
        .collect();
    list.extend(questions_of(group, version).map(|(plural, kind)| {
        json!({
            "resource": plural,
            "responseKind": response_kind(group, version, kind),
            "scope": "Cluster",
            "singularResource": kind.to_lowercase(),
            "verbs": ["create"],
        })
    }));
    json!({ "version": version, "resources": list, "freshness": "Current" })
}

/// Discovery in its old form: one document for each step of the path. `None` when the path is
/// not one of discovery's.
pub fn legacy(path: &str, address: &str) -> Option<Result<Value, ApiError>> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let found = match parts.as_slice() {
        ["api"] => Some(json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address }],
        })),
        ["apis"] => {
            let groups: Vec<Value> =
                groups().iter().filter(|(g, _)| !g.is_empty()).map(|(g, v)| group(g, v)).collect();
            Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        ["apis", name] => groups().iter().find(|(g, _)| g == name).map(|(name, versions)| {
            let mut out = group(name, versions);
            let mut first = json!({ "kind": "APIGroup", "apiVersion": "v1" });
            if let (Value::Object(first), Value::Object(rest)) = (&mut first, &mut out) {
                first.append(rest);
            }
            first
        }),
        ["api", version] => resource_list("", version),
        ["apis", group, version] => resource_list(group, version),
        _ => return None,
    };
    Some(found.ok_or_else(ApiError::no_route))
}

fn group(name: &str, versions: &[&str]) -> Value {
    let one = |version: &&str| json!({ "groupVersion": format!("{name}/{version}"), "version": version });
    json!({
        "name": name,
        "versions": versions.iter().map(one).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(one),
    })
}

fn resource_list(group: &str, version: &str) -> Option<Value> {
    let known = groups().iter().any(|(g, versions)| *g == group && versions.contains(&version));
    if !known {
        return None;
    }
    let mut list = Vec::new();
    for r in resources_of(group, version) {
        let mut out = json!({
            "name": r.plural,
            "singularName": r.singular,
            "namespaced": r.namespaced,
            "kind": r.kind,
            "verbs": r.verbs,
        });
        if !r.short_names.is_empty() {
            out["shortNames"] = json!(r.short_names);
        }
        if !r.categories.is_empty() {
            out["categories"] = json!(r.categories);
        }
        list.push(out);
        for name in served_subresources(r) {
            let s = subresource(r, name);
            let mut out = json!({
                "name": format!("{}/{name}", r.plural),
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
    list.extend(questions_of(group, version).map(|(plural, kind)| {
        json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": false, "kind": kind, "verbs": ["create"],
        })
    }));
    let group_version = kinds::group_version(group, version);
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list,
    }))
}

/// `/version`. The numbers follow what is served, not what this program is.
pub fn version() -> Value {
    json!({
        "major": "1",
        "minor": "32",
        "gitVersion": "v1.32.0+coracle",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none (Rust)",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}
