//! API servers that stand behind this one: an APIService says who answers a group's version
//! (upstream: `kube-aggregator`). Here is what an APIService means and what its status says; the
//! shell asks the servers and passes requests on.
//!
//! Left out: what a server behind describes of its types is not merged into `/openapi/v2` (in
//! `/openapi/v3` it has its own document), and its uid is not said of who asks.

use crate::meta::{self, map_at};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A group's version that another server answers, and what that server said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregated {
    pub group: String,
    pub version: String,
    /// Its APIResourceList; null if it never said one.
    pub resources: Value,
    /// It has just said so. Otherwise it is away, and this is what it said when it was last asked:
    /// clients are told that there is something, and that nobody knows what it is now.
    pub fresh: bool,
}

/// APIServices that this server makes and looks after, by the label that says so.
pub const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// How groups are ordered among each other, and the versions of one group; the greater comes
/// first (upstream: `pkg/controlplane/apiserver/aggregator.go`).
const PRIORITIES: [(&str, &str, i64, i64); 22] = [
    ("", "v1", 18000, 1),
    ("apps", "v1", 17800, 15),
    ("events.k8s.io", "v1", 17750, 15),
    ("authentication.k8s.io", "v1", 17700, 15),
    ("authorization.k8s.io", "v1", 17600, 15),
    ("autoscaling", "v1", 17500, 15),
    ("autoscaling", "v2", 17500, 30),
    ("batch", "v1", 17400, 15),
    ("certificates.k8s.io", "v1", 17300, 15),
    ("networking.k8s.io", "v1", 17200, 15),
    ("policy", "v1", 17100, 15),
    ("rbac.authorization.k8s.io", "v1", 17000, 15),
    ("storage.k8s.io", "v1", 16800, 15),
    ("apiextensions.k8s.io", "v1", 16700, 15),
    ("admissionregistration.k8s.io", "v1", 16700, 15),
    ("scheduling.k8s.io", "v1", 16600, 15),
    ("coordination.k8s.io", "v1", 16500, 15),
    ("node.k8s.io", "v1", 16300, 15),
    ("discovery.k8s.io", "v1", 16200, 15),
    ("flowcontrol.apiserver.k8s.io", "v1", 16100, 21),
    ("resource.k8s.io", "v1beta1", 15900, 15),
    ("internal.apiserver.k8s.io", "v1alpha1", 16000, 10),
];

/// The name of the APIService of a group's version.
pub fn name_of(group: &str, version: &str) -> String {
    format!("{version}.{group}")
}

/// The APIService of a version that this server answers itself. Those of custom kinds come and go
/// with their definitions.
pub fn local(group: &str, version: &str, custom: bool) -> Value {
    let known = PRIORITIES.iter().find(|(g, v, ..)| (*g, *v) == (group, version));
    let (of_group, of_version) = match known {
        Some((_, _, of_group, of_version)) => (*of_group, *of_version),
        None => (1000, 100),
    };
    let managed = if custom { "true" } else { "onstart" };
    json!({
        "kind": "APIService",
        "apiVersion": "apiregistration.k8s.io/v1",
        "metadata": { "name": name_of(group, version), "labels": { AUTOMANAGED: managed } },
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": of_group,
            "versionPriority": of_version,
        },
    })
}

/// The APIServices to be made and those to go: `served` are the group versions that this server
/// answers, and whether they are of custom kinds.
pub fn plan(existing: &[Value], served: &[(String, String, bool)]) -> (Vec<Value>, Vec<String>) {
    let names: BTreeSet<&str> = existing.iter().map(meta::name).collect();
    // The aggregator's own group has no APIService.
    let served = || served.iter().filter(|(group, ..)| group != "apiregistration.k8s.io");
    let missing = served()
        .filter(|(group, version, _)| !names.contains(name_of(group, version).as_str()))
        .map(|(group, version, custom)| local(group, version, *custom))
        .collect();
    let wanted: BTreeSet<String> = served().map(|(group, version, _)| name_of(group, version)).collect();
    let superfluous = existing
        .iter()
        .filter(|service| service["metadata"]["labels"][AUTOMANAGED] == "true")
        .map(|service| meta::name(service).to_string())
        .filter(|name| !wanted.contains(name))
        .collect();
    (missing, superfluous)
}

/// Who answers instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub service: String,
    pub port: u16,
    pub ca_bundle: String,
    pub insecure: bool,
    /// What the status says.
    pub available: bool,
}

impl Backend {
    /// None for what this server answers itself.
    pub fn read(api_service: &Value) -> Option<Backend> {
        let spec = &api_service["spec"];
        let service = &spec["service"];
        let text = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_string();
        service.is_object().then(|| Backend {
            group: text(spec, "group"),
            version: text(spec, "version"),
            namespace: text(service, "namespace"),
            service: text(service, "name"),
            port: service["port"].as_u64().and_then(|p| u16::try_from(p).ok()).unwrap_or(443),
            ca_bundle: text(spec, "caBundle"),
            insecure: spec["insecureSkipTLSVerify"] == true,
            available: is_available(api_service),
        })
    }

    /// The path under which everything is its own.
    pub fn path(&self) -> String {
        format!("/apis/{}/{}", self.group, self.version)
    }
}

/// The APIService that a path belongs to: `/apis/GROUP/VERSION` and what is below it.
pub fn api_service_of(path: &str) -> Option<String> {
    let mut parts = path.strip_prefix("/apis/")?.split('/');
    let (group, version) = (parts.next()?, parts.next()?);
    (!group.is_empty() && !version.is_empty()).then(|| name_of(group, version))
}

fn condition(api_service: &Value) -> Option<&Value> {
    let mut conditions = api_service["status"]["conditions"].as_array()?.iter();
    conditions.find(|condition| condition["type"] == "Available")
}

pub fn is_available(api_service: &Value) -> bool {
    condition(api_service).is_some_and(|condition| condition["status"] == "True")
}

/// What was found when somebody looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Local,
    ServiceNotFound,
    NotListening,
    NoEndpoints,
    NoAddresses {
        port_name: String,
    },
    /// The URL that was asked, and what came of it.
    NoAnswer {
        url: String,
        why: String,
    },
    Passed,
}

impl Finding {
    /// Status, reason and message of the condition `Available`.
    fn told(&self, api_service: &Value) -> (bool, &'static str, String) {
        let service = &api_service["spec"]["service"];
        let (name, namespace) = (meta::text(service, &["name"]), meta::text(service, &["namespace"]));
        let port = service["port"].as_u64().unwrap_or(443);
        match self {
            Finding::Local => (true, "Local", "Local APIServices are always available".into()),
            Finding::ServiceNotFound => {
                (false, "ServiceNotFound", format!("service/{name} in {namespace:?} is not present"))
            }
            Finding::NotListening => (
                false,
                "ServicePortError",
                format!("service/{name} in {namespace:?} is not listening on port {port}"),
            ),
            Finding::NoEndpoints => (
                false,
                "EndpointsNotFound",
                format!("cannot find endpointslices for service/{name} in {namespace:?}"),
            ),
            Finding::NoAddresses { port_name } => (
                false,
                "MissingEndpoints",
                format!(
                    "endpoints for service/{name} in {namespace:?} have no addresses with port name {port_name:?}"
                ),
            ),
            Finding::NoAnswer { url, why } => {
                (false, "FailedDiscoveryCheck", format!("failing or missing response from {url}: {why}"))
            }
            Finding::Passed => (true, "Passed", "all checks passed".into()),
        }
    }
}

/// The APIService with a status that says what was found. A condition that stays keeps its time.
pub fn settle(api_service: &Value, finding: &Finding, now: Timestamp) -> Value {
    let (available, reason, message) = finding.told(api_service);
    let status = if available { "True" } else { "False" };
    let since = match condition(api_service) {
        Some(before) if before["status"] == status => before["lastTransitionTime"].clone(),
        _ => json!(meta::time(now)),
    };
    let mut settled = api_service.clone();
    let conditions = json!([{
        "lastTransitionTime": since, "message": message, "reason": reason, "status": status, "type": "Available",
    }]);
    map_at(&mut settled, "status").insert("conditions".into(), conditions);
    settled
}

/// An APIResourceList as aggregated discovery shows it (apidiscovery.k8s.io/v2 `APIResourceDiscovery`).
pub fn discovered(list: &Value, group: &str, version: &str) -> Vec<Value> {
    let entries: Vec<&Value> = list["resources"].as_array().into_iter().flatten().collect();
    let name = |entry: &Value| meta::text(entry, &["name"]).to_string();
    let kind = |entry: &Value| {
        let or = |key: &str, otherwise: &str| match meta::text(entry, &[key]) {
            "" => otherwise.to_string(),
            text => text.to_string(),
        };
        json!({ "group": or("group", group), "version": or("version", version), "kind": entry["kind"] })
    };
    let whole = entries.iter().filter(|entry| !name(entry).contains('/'));
    whole
        .map(|entry| {
            let plural = name(entry);
            let mut out = json!({
                "resource": plural,
                "responseKind": kind(entry),
                "scope": if entry["namespaced"] == true { "Namespaced" } else { "Cluster" },
                "singularResource": meta::text(entry, &["singularName"]),
                "verbs": entry["verbs"],
            });
            for key in ["shortNames", "categories"] {
                if let Some(value) = entry.get(key).filter(|value| value.is_array()) {
                    out[key] = value.clone();
                }
            }
            let parts = entries.iter().filter_map(|part| {
                let full = name(part);
                let (of, sub) = full.split_once('/')?;
                (of == plural).then(
                    || json!({ "subresource": sub, "responseKind": kind(part), "verbs": part["verbs"] }),
                )
            });
            let parts: Vec<Value> = parts.collect();
            if !parts.is_empty() {
                out["subresources"] = json!(parts);
            }
            out
        })
        .collect()
}
