//! What every cluster does to some objects without being told: priorities, and default classes
//! (upstream: `plugin/pkg/admission`). Each function is given the objects that it needs.

use crate::meta::{self, map_at};
use crate::status::{ApiError, Reason};
use objects::resources::Resource;
use serde_json::{Value, json};

/// Classes that always exist: for what a cluster cannot do without.
pub const SYSTEM_PRIORITIES: [(&str, i64, &str); 2] = [
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];

/// No pod comes to a new node before its kubelet has said that it is ready: then the node controller takes the
/// taint away.
pub fn taint_until_ready(node: &mut Value) {
    let taint = json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" });
    let taints = map_at(node, "spec").entry("taints").or_insert(Value::Null);
    if taints.is_null() {
        *taints = json!([]);
    }
    let Value::Array(taints) = taints else { return };
    if !taints.iter().any(|known| known["key"] == taint["key"] && known["effect"] == taint["effect"]) {
        taints.push(taint);
    }
}

/// The number behind a new pod's `priorityClassName`, and whether it may push others out.
pub fn priority(pod: &mut Value, classes: &[Value]) -> Result<(), String> {
    let wanted = meta::text(pod, &["spec", "priorityClassName"]).to_string();
    let system = SYSTEM_PRIORITIES.iter().find(|(name, ..)| *name == wanted);
    let class = match wanted.as_str() {
        // Of several defaults the lowest counts.
        "" => classes
            .iter()
            .filter(|class| class["globalDefault"] == true)
            .min_by_key(|class| class["value"].as_i64().unwrap_or(0)),
        name => {
            let found = classes.iter().find(|class| meta::name(class) == name);
            if found.is_none() && system.is_none() {
                return Err(format!("no PriorityClass with name {name} was found"));
            }
            found
        }
    };
    let value = match (class, system) {
        (Some(class), _) => class["value"].as_i64().unwrap_or(0),
        (None, Some((_, value, _))) => *value,
        (None, None) => 0,
    };
    let policy = class.and_then(|class| class["preemptionPolicy"].as_str()).unwrap_or("PreemptLowerPriority");
    let sent = &pod["spec"]["priority"];
    if !sent.is_null() && *sent != value {
        return Err(format!(
            "the integer value of priority ({sent}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        ));
    }
    let sent = meta::text(pod, &["spec", "preemptionPolicy"]);
    if !sent.is_empty() && sent != policy {
        return Err(format!(
            "the string value of PreemptionPolicy ({sent}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        ));
    }
    let name = class.map(|class| meta::name(class).to_string());
    let spec = map_at(pod, "spec");
    if let Some(name) = name {
        spec.insert("priorityClassName".into(), json!(name));
    }
    spec.insert("priority".into(), json!(value));
    spec.insert("preemptionPolicy".into(), json!(policy));
    Ok(())
}

/// The class that an annotation makes the default: the newest, and of those the first by name.
fn default_class<'c>(classes: &'c [Value], annotation: &str) -> Option<&'c str> {
    let marked = |class: &&Value| class["metadata"]["annotations"][annotation] == "true";
    let age = |class: &Value| meta::text(class, &["metadata", "creationTimestamp"]).to_string();
    let best = classes
        .iter()
        .filter(marked)
        .min_by(|a, b| age(b).cmp(&age(a)).then_with(|| meta::name(a).cmp(meta::name(b))));
    best.map(meta::name)
}

/// A claim that names no class gets the default one.
pub fn storage_class(claim: &mut Value, classes: &[Value]) {
    const OLD: &str = "volume.beta.kubernetes.io/storage-class";
    let chosen =
        !claim["spec"]["storageClassName"].is_null() || !claim["metadata"]["annotations"][OLD].is_null();
    if let (false, Some(name)) =
        (chosen, default_class(classes, "storageclass.kubernetes.io/is-default-class"))
    {
        map_at(claim, "spec").insert("storageClassName".into(), json!(name));
    }
}

/// An ingress that names no class gets the default one.
pub fn ingress_class(ingress: &mut Value, classes: &[Value]) {
    const OLD: &str = "kubernetes.io/ingress.class";
    let chosen =
        !ingress["spec"]["ingressClassName"].is_null() || !ingress["metadata"]["annotations"][OLD].is_null();
    if let (false, Some(name)) =
        (chosen, default_class(classes, "ingressclass.kubernetes.io/is-default-class"))
    {
        map_at(ingress, "spec").insert("ingressClassName".into(), json!(name));
    }
}

/// A pod's `runtimeClassName` must exist; what the class costs is added to the pod, and its nodes
/// are chosen as the class says.
pub fn runtime_class(pod: &mut Value, classes: &[Value]) -> Result<(), String> {
    let wanted = meta::text(pod, &["spec", "runtimeClassName"]).to_string();
    if wanted.is_empty() {
        return Ok(());
    }
    let class = classes.iter().find(|class| meta::name(class) == wanted);
    let class = class.ok_or_else(|| format!("pod rejected: RuntimeClass \"{wanted}\" not found"))?;
    let overhead = &class["overhead"]["podFixed"];
    if !overhead.is_null() {
        if !pod["spec"]["overhead"].is_null() && pod["spec"]["overhead"] != *overhead {
            return Err("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead".into());
        }
        map_at(pod, "spec").insert("overhead".into(), overhead.clone());
    }
    let scheduling = &class["scheduling"];
    for (key, value) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
        let spec = map_at(pod, "spec");
        let own = meta::as_map(spec.entry("nodeSelector").or_insert_with(|| json!({})));
        match own.get(key) {
            Some(other) if other != value => {
                let (other, value) = (other.as_str().unwrap_or_default(), value.as_str().unwrap_or_default());
                return Err(format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {other}"
                ));
            }
            _ => drop(own.insert(key.clone(), value.clone())),
        }
    }
    let tolerations = scheduling["tolerations"].as_array().cloned().unwrap_or_default();
    if !tolerations.is_empty() {
        let spec = map_at(pod, "spec");
        let own = spec.entry("tolerations").or_insert_with(|| json!([]));
        if let Some(own) = own.as_array_mut() {
            for toleration in tolerations {
                if !own.contains(&toleration) {
                    own.push(toleration);
                }
            }
        }
    }
    Ok(())
}

/// What a pod costs beyond its containers is its class's to say. This is asked of the pod as it would be
/// stored, when everything else is right.
pub fn overhead(pod: &Value, classes: &[Value]) -> Result<(), String> {
    let wanted = meta::text(pod, &["spec", "runtimeClassName"]);
    let class = classes.iter().find(|class| !wanted.is_empty() && meta::name(class) == wanted);
    let has_overhead = class.is_some_and(|class| !class["overhead"]["podFixed"].is_null());
    if has_overhead || pod["spec"]["overhead"].is_null() {
        return Ok(());
    }
    Err("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead".into())
}

/// Whether objects may be made in this namespace (upstream: the admission plugin
/// NamespaceLifecycle). `namespace` is the object as stored, none if there is none.
pub fn check_namespace(
    resource: &Resource,
    name: &str,
    namespace_name: &str,
    namespace: Option<&Value>,
) -> Result<(), ApiError> {
    let Some(namespace) = namespace else {
        let message = format!("namespaces \"{namespace_name}\" not found");
        return Err(ApiError::new(Reason::NotFound, message).with(|details| {
            details.name = namespace_name.into();
            details.kind = "namespaces".into();
        }));
    };
    if meta::is_deleting(namespace) {
        let why = format!(
            "unable to create new content in namespace {namespace_name} because it is being terminated"
        );
        let message = format!("namespace {namespace_name} is being terminated");
        return Err(ApiError::forbidden(resource, name, &why).cause(
            "NamespaceTerminating",
            &message,
            "metadata.namespace",
        ));
    }
    Ok(())
}
