//! What an object counts for against the quotas of its namespace. Two components must agree on it: the
//! API server, which takes it off, and the quota controller, which counts it anew (upstream:
//! `pkg/quota/v1/evaluator/core`).
//!
//! ```text
//!   a Pod            pods, requests.cpu, cpu, limits.memory, requests.nvidia.com/gpu, …
//!   a Service        services, services.nodeports, services.loadbalancers
//!   a claim          persistentvolumeclaims, requests.storage, and both again for its class
//!   whatever it is   count/PLURAL.GROUP: 1
//! ```
//!
//! Left out: resource claims, and what a claim's status says of a resize that is under way.

use crate::labels::Selector;
use crate::quantity::Quantity;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Amounts by the names that a quota's `spec.hard` has for them.
pub type Amounts = BTreeMap<String, Quantity>;

/// Kinds of the core group that have a name of their own beside `count/PLURAL`.
const BY_PLURAL: [&str; 7] = [
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
];
/// What containers may ask for, each as `requests.X`, `limits.X` and X.
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";

/// `count/deployments.apps`, `count/pods`.
fn count_of(group: &str, plural: &str) -> String {
    if group.is_empty() { format!("count/{plural}") } else { format!("count/{plural}.{group}") }
}

/// Whether objects of this kind can count for a resource of this name.
pub fn counts_for(group: &str, plural: &str, name: &str) -> bool {
    if name == count_of(group, plural) || group.is_empty() && BY_PLURAL.contains(&plural) && name == plural {
        return true;
    }
    match (group, plural) {
        ("", "pods") => {
            let plain = name.strip_prefix("requests.").or(name.strip_prefix("limits.")).unwrap_or(name);
            COMPUTE.contains(&plain)
                || plain.starts_with("hugepages-")
                || name.starts_with("requests.") && name.contains('/')
        }
        ("", "services") => ["services.nodeports", "services.loadbalancers"].contains(&name),
        ("", "persistentvolumeclaims") => name == "requests.storage" || name.contains(OF_CLASS),
        _ => false,
    }
}

/// What this object counts for. An object that is not what its kind says counts as one.
pub fn usage(group: &str, plural: &str, object: &Value, now: Timestamp) -> Amounts {
    let one = Quantity::from_value(1);
    let mut used = Amounts::from([(count_of(group, plural), one)]);
    if group.is_empty() && BY_PLURAL.contains(&plural) && plural != "pods" {
        used.insert(plural.to_owned(), one);
    }
    match (group, plural) {
        ("", "pods") => {
            if let Some(pod) = Pod::deserialize(object).ok().filter(|pod| runs(pod, now)) {
                used.extend(usage_of_pod(&pod));
            }
        }
        ("", "services") => used.extend(usage_of_service(object)),
        ("", "persistentvolumeclaims") => used.extend(usage_of_claim(object)),
        _ => {}
    }
    used
}

/// Not one that has ended, nor one whose time to end is over: its node is lost.
fn runs(pod: &Pod, now: Timestamp) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let grace = SignedDuration::from_secs(pod.metadata.deletion_grace_period_seconds.unwrap_or(0));
    let over = pod.metadata.deletion_timestamp.as_ref().is_some_and(|since| {
        pod.metadata.deletion_grace_period_seconds.is_some()
            && since.0.checked_add(grace).is_ok_and(|end| now > end)
    });
    !matches!(phase, Some("Succeeded" | "Failed")) && !over
}

fn usage_of_pod(pod: &Pod) -> Amounts {
    let (requests, limits) = (of_pod(pod, true), of_pod(pod, false));
    let mut used = named(&requests, &limits);
    used.insert("pods".to_owned(), Quantity::from_value(1));
    used
}

/// As a quota names what is requested and limited.
fn named(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut used = Amounts::new();
    for (name, amount) in requests {
        if COMPUTE.contains(&name.as_str()) || name.starts_with("hugepages-") {
            used.insert(name.clone(), *amount);
            used.insert(format!("requests.{name}"), *amount);
        } else if name.contains('/') {
            used.insert(format!("requests.{name}"), *amount);
        }
    }
    for (name, amount) in limits.iter().filter(|(name, _)| COMPUTE.contains(&name.as_str())) {
        used.insert(format!("limits.{name}"), *amount);
    }
    used
}

type Asked<'a> = Option<&'a BTreeMap<String, ApiQuantity>>;

fn amounts(asked: Asked<'_>) -> Amounts {
    let read =
        |(name, amount): (&String, &ApiQuantity)| Some((name.clone(), Quantity::parse(&amount.0).ok()?));
    asked.into_iter().flatten().filter_map(read).collect()
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        *total.entry(name.clone()).or_default() += *amount;
    }
}

fn raise(total: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let most = total.entry(name.clone()).or_insert(*amount);
        *most = (*most).max(*amount);
    }
}

/// What a pod asks for, or may use at most. Containers run together; those that begin run one after the
/// other, beside those of them that stay (KEP-753).
fn of_pod(pod: &Pod, requests: bool) -> Amounts {
    let Some(spec) = &pod.spec else { return Amounts::new() };
    let of = |container: &k8s_openapi::api::core::v1::Container| {
        let asked = container.resources.as_ref();
        amounts(
            asked.and_then(|asked| if requests { asked.requests.as_ref() } else { asked.limits.as_ref() }),
        )
    };
    let mut total = Amounts::new();
    spec.containers.iter().for_each(|container| add(&mut total, &of(container)));
    let (mut staying, mut most) = (Amounts::new(), Amounts::new());
    for container in spec.init_containers.iter().flatten() {
        let mut now = of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut total, &now);
            add(&mut staying, &now);
            now = staying.clone();
        } else {
            add(&mut now, &staying);
        }
        raise(&mut most, &now);
    }
    raise(&mut total, &most);
    for (name, amount) in amounts(spec.overhead.as_ref()) {
        // What has no limit gets none by what the sandbox costs.
        if requests || total.get(&name).is_some_and(|limit| !limit.is_zero()) {
            *total.entry(name).or_default() += amount;
        }
    }
    total
}

fn usage_of_service(service: &Value) -> Amounts {
    let spec = &service["spec"];
    let ports = spec["ports"].as_array().map_or(&[][..], Vec::as_slice);
    let balanced = spec["type"] == "LoadBalancer";
    let node_ports = match spec["type"].as_str() {
        Some("LoadBalancer") if spec["allocateLoadBalancerNodePorts"] == false => {
            ports.iter().filter(|port| port["nodePort"].as_i64().is_some_and(|port| port != 0)).count()
        }
        Some("NodePort" | "LoadBalancer") => ports.len(),
        _ => 0,
    };
    let node_ports = Quantity::from_value(i64::try_from(node_ports).unwrap_or(i64::MAX));
    Amounts::from([
        ("services.nodeports".to_owned(), node_ports),
        ("services.loadbalancers".to_owned(), Quantity::from_value(i64::from(balanced))),
    ])
}

fn usage_of_claim(claim: &Value) -> Amounts {
    let asked = claim["spec"]["resources"]["requests"]["storage"].as_str();
    let asked = asked.and_then(|asked| Quantity::parse(asked).ok());
    let mut used: Amounts = asked.into_iter().map(|amount| ("requests.storage".to_owned(), amount)).collect();
    let old = &claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
    let class = old.as_str().or(claim["spec"]["storageClassName"].as_str()).unwrap_or_default();
    if !class.is_empty() {
        used.insert(format!("{class}{OF_CLASS}persistentvolumeclaims"), Quantity::from_value(1));
        used.extend(asked.map(|amount| (format!("{class}{OF_CLASS}requests.storage"), amount)));
    }
    used
}

/// Whether a quota with these scopes is about this object. Only pods have scopes.
pub fn in_scopes(quota: &Value, group: &str, plural: &str, object: &Value) -> bool {
    let spec = &quota["spec"];
    let scopes = spec["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let expressions = spec["scopeSelector"]["matchExpressions"].as_array().into_iter().flatten();
    let mut wanted: Vec<LabelSelectorRequirement> = scopes
        .map(|scope| LabelSelectorRequirement {
            key: scope.to_owned(),
            operator: "Exists".to_owned(),
            values: None,
        })
        .collect();
    wanted.extend(expressions.map(|wanted| LabelSelectorRequirement {
        key: wanted["scopeName"].as_str().unwrap_or_default().to_owned(),
        operator: wanted["operator"].as_str().unwrap_or_default().to_owned(),
        values: Vec::deserialize(&wanted["values"]).ok(),
    }));
    if wanted.is_empty() {
        return true;
    }
    if (group, plural) != ("", "pods") {
        return false;
    }
    wanted.into_iter().all(|wanted| in_scope(&wanted, object))
}

fn in_scope(wanted: &LabelSelectorRequirement, pod: &Value) -> bool {
    let spec = &pod["spec"];
    let terminates = spec["activeDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds >= 0);
    match wanted.key.as_str() {
        "Terminating" => terminates,
        "NotTerminating" => !terminates,
        "BestEffort" => asks_for_nothing(pod),
        "NotBestEffort" => !asks_for_nothing(pod),
        "PriorityClass" => {
            let class = spec["priorityClassName"].as_str().filter(|class| !class.is_empty());
            let labels = class.map(|class| (wanted.key.clone(), class.to_owned())).into_iter().collect();
            let selector =
                LabelSelector { match_expressions: Some(vec![wanted.clone()]), match_labels: None };
            Selector::from_label_selector(&selector).is_ok_and(|selector| selector.matches(&labels))
        }
        "CrossNamespacePodAffinity" => looks_at_other_namespaces(spec),
        _ => false,
    }
}

/// The quality of service of a pod that asks for nothing is BestEffort.
fn asks_for_nothing(pod: &Value) -> bool {
    let containers = ["containers", "initContainers"];
    let containers = containers.iter().flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten());
    let asked = |container: &Value| {
        let lists = ["requests", "limits"].map(|list| &container["resources"][list]);
        lists.into_iter().any(|list| ["cpu", "memory"].iter().any(|name| counts(&list[*name])))
    };
    !containers.into_iter().any(asked)
}

fn counts(amount: &Value) -> bool {
    let amount = amount.as_str().and_then(|text| Quantity::parse(text).ok());
    amount.is_some_and(|amount| !amount.is_zero() && !amount.is_negative())
}

fn looks_at_other_namespaces(spec: &Value) -> bool {
    let kinds = ["podAffinity", "podAntiAffinity"].map(|kind| &spec["affinity"][kind]);
    let terms = kinds.into_iter().flat_map(|affinity| {
        let list = |key: &str| affinity[key].as_array().into_iter().flatten();
        let hard = list("requiredDuringSchedulingIgnoredDuringExecution");
        let soft = list("preferredDuringSchedulingIgnoredDuringExecution");
        hard.chain(soft.map(|weighted| &weighted["podAffinityTerm"]))
    });
    terms.into_iter().any(|term| {
        term["namespaces"].as_array().is_some_and(|list| !list.is_empty())
            || term["namespaceSelector"].is_object()
    })
}

/// What a quota asks of every container of a pod: whoever limits cpu wants each container to say what
/// it takes of it. The resources that are missing, each with the containers that do not say it.
pub fn unsaid<'h>(hard: impl Iterator<Item = &'h str>, pod: &Value) -> BTreeMap<String, Vec<String>> {
    const SAID: [&str; 6] =
        ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
    let wanted: Vec<&str> = hard.filter(|name| SAID.contains(name)).collect();
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let lists = ["containers", "initContainers"];
    for container in lists.iter().flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten()) {
        let list = |name: &str| {
            let list: Option<BTreeMap<String, ApiQuantity>> =
                BTreeMap::deserialize(&container["resources"][name]).ok();
            amounts(list.as_ref())
        };
        let said = named(&list("requests"), &list("limits"));
        for name in wanted.iter().filter(|name| !said.contains_key(**name)) {
            let containers = missing.entry((*name).to_owned()).or_default();
            containers.push(container["name"].as_str().unwrap_or_default().to_owned());
        }
    }
    missing.values_mut().for_each(|names| {
        names.sort();
        names.dedup();
    });
    missing
}
