//! Nodes, namespaces, configuration, events and the rest of the cluster's furniture.

use super::{
    AGE, Column, NAME, Printer, age, count, items, joined, name, number, or_none, str_of, text, time, wide,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub const NODE: Printer = Printer {
    columns: &[
        NAME,
        text("Status"),
        text("Roles"),
        AGE,
        text("Version"),
        wide("Internal-IP"),
        wide("External-IP"),
        wide("OS-Image"),
        wide("Kernel-Version"),
        wide("Container-Runtime"),
    ],
    cells: |n, now| {
        let info = &n["status"]["nodeInfo"];
        let unknown = |text: &str| json!(if text.is_empty() { "<unknown>" } else { text });
        vec![
            name(n),
            json!(node_status(n)),
            or_none(roles(n)),
            age(n, now),
            json!(str_of(info, "kubeletVersion")),
            or_none(address(n, "InternalIP")),
            or_none(address(n, "ExternalIP")),
            unknown(str_of(info, "osImage")),
            unknown(str_of(info, "kernelVersion")),
            unknown(str_of(info, "containerRuntimeVersion")),
        ]
    },
};

fn node_status(node: &Value) -> String {
    let ready = items(&node["status"], "conditions").find(|c| c["type"] == "Ready");
    let word = match ready {
        Some(c) if c["status"] == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let cordoned = if node["spec"]["unschedulable"] == true { ",SchedulingDisabled" } else { "" };
    format!("{word}{cordoned}")
}

/// Roles are labels: `node-role.kubernetes.io/ROLE`, or `kubernetes.io/role=ROLE`.
fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
    let role = |(key, value): (&String, &Value)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_string()),
        None if key == "kubernetes.io/role" => value.as_str().map(str::to_string),
        None => None,
    };
    let roles: BTreeSet<String> = labels.filter_map(role).filter(|r| !r.is_empty()).collect();
    roles.into_iter().collect::<Vec<_>>().join(",")
}

fn address<'n>(node: &'n Value, kind: &str) -> &'n str {
    let found = items(&node["status"], "addresses").find(|a| a["type"] == kind);
    found.map(|a| str_of(a, "address")).unwrap_or_default()
}

pub const NAMESPACE: Printer = Printer {
    columns: &[NAME, text("Status"), AGE],
    cells: |n, now| vec![name(n), json!(str_of(&n["status"], "phase")), age(n, now)],
};

fn entries(value: &Value) -> usize {
    value.as_object().map_or(0, |map| map.len())
}

pub const CONFIG_MAP: Printer = Printer {
    columns: &[NAME, number("Data"), AGE],
    cells: |c, now| vec![name(c), json!(entries(&c["data"]) + entries(&c["binaryData"])), age(c, now)],
};

pub const SECRET: Printer = Printer {
    columns: &[NAME, text("Type"), number("Data"), AGE],
    cells: |s, now| vec![name(s), json!(str_of(s, "type")), json!(entries(&s["data"])), age(s, now)],
};

pub const SERVICE_ACCOUNT: Printer = Printer {
    columns: &[NAME, number("Secrets"), AGE],
    cells: |s, now| vec![name(s), json!(items(s, "secrets").len()), age(s, now)],
};

pub const LEASE: Printer = Printer {
    columns: &[NAME, text("Holder"), AGE],
    cells: |l, now| vec![name(l), json!(str_of(&l["spec"], "holderIdentity")), age(l, now)],
};

pub const EVENT: Printer = Printer {
    columns: &[
        text("Last Seen"),
        text("Type"),
        text("Reason"),
        text("Object"),
        wide("Subobject"),
        wide("Source"),
        text("Message"),
        wide("First Seen"),
        Column { name: "Count", kind: "integer", format: "", priority: 1 },
        Column { name: "Name", kind: "string", format: "name", priority: 1 },
    ],
    cells: |e, now| {
        let first = if e["firstTimestamp"].is_null() { &e["eventTime"] } else { &e["firstTimestamp"] };
        let series = &e["series"];
        let last = match (&series["lastObservedTime"], &e["lastTimestamp"]) {
            (Value::Null, Value::Null) => first,
            (Value::Null, last) => last,
            (last, _) => last,
        };
        let times = match (series["count"].as_i64(), count(&e["count"])) {
            (Some(n), _) => n,
            (None, n) => n.max(1),
        };
        let about = &e["involvedObject"];
        let object = match str_of(about, "name") {
            "" => str_of(about, "kind").to_lowercase(),
            name => format!("{}/{name}", str_of(about, "kind").to_lowercase()),
        };
        vec![
            json!(time::since(last, now)),
            json!(str_of(e, "type")),
            json!(str_of(e, "reason")),
            json!(object),
            json!(str_of(about, "fieldPath")),
            json!(event_source(e)),
            json!(str_of(e, "message").trim()),
            json!(time::since(first, now)),
            json!(times),
            name(e),
        ]
    },
};

fn event_source(event: &Value) -> String {
    let source = &event["source"];
    let component = match (str_of(source, "component"), str_of(event, "reportingComponent")) {
        ("", reporting) => reporting,
        (component, _) => component,
    };
    let host = match (str_of(source, "host"), str_of(event, "reportingInstance")) {
        ("", instance) => instance,
        (host, _) => host,
    };
    joined([component, host].into_iter().filter(|t| !t.is_empty())).replace(',', ", ")
}

fn access_modes(value: &Value) -> String {
    joined(value.as_array().into_iter().flatten().map(|mode| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        other => other,
    }))
}

pub const PERSISTENT_VOLUME: Printer = Printer {
    columns: &[
        NAME,
        text("Capacity"),
        text("Access Modes"),
        text("Reclaim Policy"),
        text("Status"),
        text("Claim"),
        text("StorageClass"),
        text("VolumeAttributesClass"),
        text("Reason"),
        AGE,
        wide("VolumeMode"),
    ],
    cells: |p, now| {
        let (spec, status) = (&p["spec"], &p["status"]);
        let claim = &spec["claimRef"];
        let claim = match claim.is_object() {
            true => format!("{}/{}", str_of(claim, "namespace"), str_of(claim, "name")),
            false => String::new(),
        };
        let class = str_of(spec, "volumeAttributesClassName");
        vec![
            name(p),
            json!(str_of(&spec["capacity"], "storage")),
            json!(access_modes(&spec["accessModes"])),
            json!(str_of(spec, "persistentVolumeReclaimPolicy")),
            json!(if super::meta::is_deleting(p) { "Terminating" } else { str_of(status, "phase") }),
            json!(claim),
            json!(str_of(spec, "storageClassName")),
            json!(if class.is_empty() { "<unset>" } else { class }),
            json!(str_of(status, "reason")),
            age(p, now),
            json!(str_of(spec, "volumeMode")),
        ]
    },
};

pub const PERSISTENT_VOLUME_CLAIM: Printer = Printer {
    columns: &[
        NAME,
        text("Status"),
        text("Volume"),
        text("Capacity"),
        text("Access Modes"),
        text("StorageClass"),
        text("VolumeAttributesClass"),
        AGE,
        wide("VolumeMode"),
    ],
    cells: |p, now| {
        let (spec, status) = (&p["spec"], &p["status"]);
        let class = str_of(spec, "volumeAttributesClassName");
        vec![
            name(p),
            json!(if super::meta::is_deleting(p) { "Terminating" } else { str_of(status, "phase") }),
            json!(str_of(spec, "volumeName")),
            json!(str_of(&status["capacity"], "storage")),
            json!(access_modes(&status["accessModes"])),
            json!(str_of(spec, "storageClassName")),
            json!(if class.is_empty() { "<unset>" } else { class }),
            age(p, now),
            json!(str_of(spec, "volumeMode")),
        ]
    },
};

pub const STORAGE_CLASS: Printer = Printer {
    columns: &[
        NAME,
        text("Provisioner"),
        text("ReclaimPolicy"),
        text("VolumeBindingMode"),
        text("AllowVolumeExpansion"),
        AGE,
    ],
    cells: |s, now| {
        let or = |text: &str, default: &str| json!(if text.is_empty() { default } else { text });
        let default = s["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
        let shown = str_of(&s["metadata"], "name");
        vec![
            json!(if default { format!("{shown} (default)") } else { shown.to_string() }),
            json!(str_of(s, "provisioner")),
            or(str_of(s, "reclaimPolicy"), "Delete"),
            or(str_of(s, "volumeBindingMode"), "Immediate"),
            json!(s["allowVolumeExpansion"] == true),
            age(s, now),
        ]
    },
};

pub const PRIORITY_CLASS: Printer = Printer {
    columns: &[NAME, number("Value"), text("Global-Default"), AGE, text("PreemptionPolicy")],
    cells: |p, now| {
        let policy = str_of(p, "preemptionPolicy");
        let policy = if policy.is_empty() { "PreemptLowerPriority" } else { policy };
        vec![
            name(p),
            json!(count(&p["value"])),
            json!(p["globalDefault"] == true),
            age(p, now),
            json!(policy),
        ]
    },
};

pub const ROLE_BINDING: Printer = Printer {
    columns: &[NAME, text("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")],
    cells: |b, now| {
        let role = format!("{}/{}", str_of(&b["roleRef"], "kind"), str_of(&b["roleRef"], "name"));
        let of = |kind: &str| {
            let subjects = items(b, "subjects").filter(|s| s["kind"] == kind);
            let show = |s: &Value| match kind {
                "ServiceAccount" => format!("{}/{}", str_of(s, "namespace"), str_of(s, "name")),
                _ => str_of(s, "name").to_string(),
            };
            json!(subjects.map(show).collect::<Vec<_>>().join(", "))
        };
        vec![name(b), json!(role), age(b, now), of("User"), of("Group"), of("ServiceAccount")]
    },
};
