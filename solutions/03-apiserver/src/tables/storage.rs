//! Volumes, claims, and the drivers that make them.

use super::{AGE, Cell, Column, NAME, items, joined, made, meta, number, str_of, text, text_or};
use serde_json::{Value, json};

const fn truth(name: &'static str, pointer: &'static str, unset: bool) -> Column {
    Column::new(name, "boolean", Cell::Truth(pointer, unset))
}

fn access_modes(value: &Value) -> Value {
    json!(joined(value.as_array().into_iter().flatten().map(
        |mode| match mode.as_str().unwrap_or_default() {
            "ReadWriteOnce" => "RWO",
            "ReadOnlyMany" => "ROX",
            "ReadWriteMany" => "RWX",
            "ReadWriteOncePod" => "RWOP",
            other => other,
        }
    )))
}

const PHASE: Column = made("Status", |v, _| match meta::is_deleting(v) {
    true => json!("Terminating"),
    false => json!(str_of(&v["status"], "phase")),
});
const CLASS: Column = text("StorageClass", "/spec/storageClassName");
const ATTRIBUTES: Column = text_or("VolumeAttributesClass", "/spec/volumeAttributesClassName", "<unset>");
const VOLUME_MODE: Column = text_or("VolumeMode", "/spec/volumeMode", "<unset>").wide();

pub const PERSISTENT_VOLUME: &[Column] = &[
    NAME,
    text_or("Capacity", "/spec/capacity/storage", "0"),
    made("Access Modes", |v, _| access_modes(&v["spec"]["accessModes"])),
    text("Reclaim Policy", "/spec/persistentVolumeReclaimPolicy"),
    PHASE,
    made("Claim", |v, _| {
        let claim = &v["spec"]["claimRef"];
        match claim.is_object() {
            true => json!(format!("{}/{}", str_of(claim, "namespace"), str_of(claim, "name"))),
            false => json!(""),
        }
    }),
    CLASS,
    ATTRIBUTES,
    text("Reason", "/status/reason"),
    AGE,
    VOLUME_MODE,
];

/// A claim has nothing to show before it has a volume.
fn bound(claim: &Value) -> bool {
    !str_of(&claim["spec"], "volumeName").is_empty()
}

pub const PERSISTENT_VOLUME_CLAIM: &[Column] = &[
    NAME,
    PHASE,
    text("Volume", "/spec/volumeName"),
    made("Capacity", |c, _| match c["status"]["capacity"]["storage"].as_str() {
        _ if !bound(c) => json!(""),
        capacity => json!(capacity.unwrap_or("0")),
    }),
    made("Access Modes", |c, _| match bound(c) {
        true => access_modes(&c["status"]["accessModes"]),
        false => json!(""),
    }),
    CLASS,
    ATTRIBUTES,
    AGE,
    VOLUME_MODE,
];

pub const STORAGE_CLASS: &[Column] = &[
    Column {
        cell: Cell::Made(|s, _| {
            let annotations = &s["metadata"]["annotations"];
            let default = annotations["storageclass.kubernetes.io/is-default-class"] == "true"
                || annotations["storageclass.beta.kubernetes.io/is-default-class"] == "true";
            json!(format!("{}{}", meta::name(s), if default { " (default)" } else { "" }))
        }),
        ..NAME
    },
    text("Provisioner", "/provisioner"),
    text_or("ReclaimPolicy", "/reclaimPolicy", "Delete"),
    text_or("VolumeBindingMode", "/volumeBindingMode", "Immediate"),
    Column::new("AllowVolumeExpansion", "string", Cell::Truth("/allowVolumeExpansion", false)),
    AGE,
];

pub const VOLUME_ATTACHMENT: &[Column] = &[
    NAME,
    Column { format: "name", ..text("Attacher", "/spec/attacher") },
    text("PV", "/spec/source/persistentVolumeName"),
    text("Node", "/spec/nodeName"),
    truth("Attached", "/status/attached", false),
    AGE,
];

pub const CSI_NODE: &[Column] =
    &[NAME, Column { cell: Cell::Length("/spec/drivers"), ..number("Drivers", "") }, AGE];

pub const CSI_DRIVER: &[Column] = &[
    NAME,
    truth("AttachRequired", "/spec/attachRequired", true),
    truth("PodInfoOnMount", "/spec/podInfoOnMount", false),
    truth("StorageCapacity", "/spec/storageCapacity", false),
    made("TokenRequests", |d, _| match d["spec"]["tokenRequests"].is_array() {
        true => json!(joined(items(&d["spec"], "tokenRequests").map(|t| str_of(t, "audience")))),
        false => json!("<unset>"),
    }),
    truth("RequiresRepublish", "/spec/requiresRepublish", false),
    made("Modes", |d, _| {
        super::or_none(joined(items(&d["spec"], "volumeLifecycleModes").filter_map(Value::as_str)))
    }),
    AGE,
];

pub const CSI_STORAGE_CAPACITY: &[Column] =
    &[NAME, text("StorageClassName", "/storageClassName"), text_or("Capacity", "/capacity", "<unset>")];
