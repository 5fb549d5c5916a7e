//! Volumes, claims and classes (upstream: `ValidatePersistentVolume…`, `pkg/apis/storage`).

use super::at::At;
use super::diff::diff;
use super::meta;
use super::pods::{csi_driver, of_persistent_volume, persistent_sources, resources, scheduling};
use super::rules::{Change, Row, Rule, check, immutable, same};
use crate::fields::{Errors, IMMUTABLE, go_strings};
use crate::names;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: Rule = Rule::OneOf(&["Block", "Filesystem"]);

pub static PERSISTENT_VOLUME: &[Row] = &[
    Row("spec.accessModes", Rule::Required("")),
    Row("spec.accessModes", Rule::Code(access_modes)),
    Row("spec.capacity", Rule::Code(capacity)),
    Row("spec.persistentVolumeReclaimPolicy", Rule::OneOf(&["Delete", "Recycle", "Retain"])),
    Row(
        "spec.nodeAffinity",
        Rule::Within(&[
            Row("required", Rule::Code(scheduling::node_selector)),
            Row("", Rule::Code(required_nodes)),
        ]),
    ),
    Row("spec", Rule::Code(of_persistent_volume)),
    Row("spec", Rule::Code(local_nodes)),
    Row("spec.storageClassName", Rule::Name(names::subdomain)),
    Row("spec.volumeMode", VOLUME_MODES),
    Row("spec", Rule::Code(recycled_root)),
];

pub static PERSISTENT_VOLUME_CHANGES: &[Change] = &[Change::Code(volume_update)];

pub static CLAIM: &[Row] = &[Row("spec", Rule::Code(claim_spec))];
pub static CLAIM_CHANGES: &[Change] = &[Change::Code(claim_update)];

fn access_modes(list: &At<'_>, errors: &mut Errors) {
    let known: Vec<&str> = list.texts().into_iter().filter(|mode| ACCESS_MODES.contains(mode)).collect();
    for mode in list.items() {
        mode.named(&*list.path).one_of(&ACCESS_MODES, errors);
    }
    let alone = known.contains(&"ReadWriteOncePod");
    if alone && known.iter().any(|mode| *mode != "ReadWriteOncePod") {
        list.forbidden("may not use ReadWriteOncePod with other access modes", errors);
    }
}

fn capacity(at: &At<'_>, errors: &mut Errors) {
    at.require(errors);
    let keys: Vec<&str> = at.entries().map(|(key, _)| key).collect();
    if keys != ["storage"] {
        let shown = if at.is_set() { at.value.to_string() } else { "core.ResourceList(nil)".into() };
        errors.unsupported_text(&at.path, &shown, &["storage"]);
    }
    for (_, amount) in at.entries() {
        positive(&amount, errors);
    }
}

fn positive(at: &At<'_>, errors: &mut Errors) {
    if let Some(amount) = at.quantity().filter(|amount| amount.is_zero() || amount.is_negative()) {
        errors.invalid(&at.path, &amount.to_string().into(), "must be greater than zero");
    }
}

fn required_nodes(at: &At<'_>, errors: &mut Errors) {
    if !at.get("required").is_set() {
        at.get("required").required("must specify required node constraints", errors);
    }
}

/// A folder of a node is there alone.
fn local_nodes(spec: &At<'_>, errors: &mut Errors) {
    let nodes = spec.get("nodeAffinity");
    if spec.get("local").is_set() && !nodes.is_set() {
        nodes.required("Local volume requires node affinity", errors);
    }
}

fn recycled_root(spec: &At<'_>, errors: &mut Errors) {
    let policy = spec.get("persistentVolumeReclaimPolicy");
    if *spec.at("hostPath.path").value == "/" && policy.text() == "Recycle" {
        policy.forbidden("may not be 'recycle' for a hostPath mount of '/'", errors);
    }
}

/// A volume stays what and where it is.
fn volume_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let (old, new) = (old.get("spec"), new.get("spec"));
    let source = |spec: &At<'_>| {
        let mut source = Map::new();
        for key in persistent_sources().filter(|key| spec.get(key).is_set()) {
            source.insert(key.to_string(), spec.get(key).value.clone());
        }
        source
    };
    let (before, mut now) = (source(&old), source(&new));
    // Credentials for growing may come later.
    if !old.at("csi.controllerExpandSecretRef").is_set()
        && let Some(csi) = now.get_mut("csi").and_then(Value::as_object_mut)
    {
        csi.shift_remove("controllerExpandSecretRef");
    }
    let (before, now) = (Value::Object(before), Value::Object(now));
    if !same(&before, &now) {
        let change = diff("core.PersistentVolumeSource", &before, &now);
        let why = format!("spec.persistentvolumesource is immutable after creation\n{change}");
        errors.forbidden("spec.persistentvolumesource", &why);
    }
    immutable(&old.get("volumeMode"), &new.get("volumeMode").named("volumeMode"), errors);
    let nodes = new.get("nodeAffinity").named("nodeAffinity");
    if old.get("nodeAffinity").is_set() && !same(old.get("nodeAffinity").value, nodes.value) {
        nodes.invalid("field is immutable, except for updating from beta label to GA", errors);
    }
}

/// What is asked of storage.
pub fn claim_spec(spec: &At<'_>, errors: &mut Errors) {
    let modes = spec.get("accessModes");
    if modes.is_empty() {
        modes.required("at least 1 access mode is required", errors);
    }
    meta::selector(&spec.get("selector"), errors);
    access_modes(&modes, errors);
    let storage = spec.at("resources.requests").entry("storage");
    // Upstream's path leaves `requests` out.
    let storage = storage.named(format!("{}[storage]", spec.child("resources")));
    if storage.is_set() {
        positive(&storage, errors);
    } else {
        storage.required("", errors);
    }
    spec.get("storageClassName").name(names::subdomain, errors);
    spec.get("volumeMode").one_of(&["Block", "Filesystem"], errors);
    for key in ["dataSource", "dataSourceRef"] {
        data_source(&spec.get(key), errors);
    }
    let (source, reference) = (spec.get("dataSource"), spec.get("dataSourceRef"));
    if source.is_set() && reference.is_set() {
        let apart = !reference.get("namespace").is_empty();
        let differ =
            ["apiGroup", "kind", "name"].iter().any(|k| source.get(k).value != reference.get(k).value);
        let why = match (apart, differ) {
            (true, _) => "may not be specified when dataSourceRef.namespace is specified",
            (false, true) => "must match dataSourceRef",
            _ => return,
        };
        errors.invalid_text(&spec.path, &source.path, why);
    }
    spec.get("volumeAttributesClassName").name(names::subdomain, errors);
}

fn data_source(at: &At<'_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    at.get("name").require(errors);
    at.get("kind").require(errors);
    let (group, kind) = (at.get("apiGroup"), at.get("kind").text());
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.invalid(&at.path, &kind.into(), why);
    }
    group.name(names::subdomain, errors);
    at.get("namespace").name(names::label, errors);
}

/// A claim may be bound once, and grow.
fn claim_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let bound = *new.at("status.phase").value == "Bound";
    let (old_spec, new_spec) = (old.get("spec"), new.get("spec"));
    let copy = |spec: &At<'_>| spec.value.as_object().cloned().unwrap_or_default();
    let (mut before, mut now) = (copy(&old_spec), copy(&new_spec));
    let (old_size, new_size) =
        (old_spec.at("resources.requests.storage"), new_spec.at("resources.requests.storage"));
    for key in ["volumeName", "storageClassName"] {
        if old_spec.get(key).is_empty() {
            before.shift_remove(key);
            now.shift_remove(key);
        }
    }
    if bound {
        for spec in [&mut before, &mut now] {
            let requests = spec.get_mut("resources").and_then(|r| r.get_mut("requests"));
            if let Some(requests) = requests.and_then(Value::as_object_mut) {
                requests.shift_remove("storage");
            }
            spec.shift_remove("volumeAttributesClassName");
        }
    }
    let (before, now) = (Value::Object(before), Value::Object(now));
    if !same(&before, &now) {
        let change = diff("core.PersistentVolumeClaimSpec", &before, &now);
        let why = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{change}"
        );
        new_spec.forbidden(&why, errors);
    }
    let asked = (old_size.quantity(), new_size.quantity());
    let has = new.at("status.capacity.storage").quantity();
    if let (Some(before), Some(now)) = asked
        && now < before
        && has.is_none_or(|has| now <= has)
    {
        new_size.forbidden("field can not be less than status.capacity", errors);
    }
    immutable(&old_spec.get("volumeMode"), &new_spec.get("volumeMode").named("volumeMode"), errors);
}

pub static STORAGE_CLASS: &[Row] = &[
    Row("provisioner", Rule::Code(provisioner)),
    Row("parameters", Rule::Code(parameters)),
    Row("reclaimPolicy", Rule::OneOf(&["Delete", "Retain"])),
    Row("volumeBindingMode", Rule::Choice(&["Immediate", "WaitForFirstConsumer"])),
    Row("allowedTopologies", Rule::Each(&[Row("matchLabelExpressions", Rule::Code(topology))])),
];

pub static STORAGE_CLASS_CHANGES: &[Change] = &[Change::Code(class_update)];

fn provisioner(at: &At<'_>, errors: &mut Errors) {
    if at.require(errors) {
        for why in names::lower(names::qualified, at.text()) {
            at.invalid(why, errors);
        }
    }
}

fn parameters(at: &At<'_>, errors: &mut Errors) {
    let count = at.entries().count();
    if count > 512 {
        return errors.too_long(&at.path, 512);
    }
    let mut size = 0;
    for (key, value) in at.entries() {
        if key.is_empty() {
            errors.invalid(&at.path, &key.into(), "field can not be empty.");
        }
        size += key.len() + value.text().len();
    }
    if size > 256 * 1024 {
        errors.too_long(&at.path, 256 * 1024);
    }
}

fn topology(list: &At<'_>, errors: &mut Errors) {
    let mut keys = BTreeSet::new();
    for requirement in list.items() {
        let (key, values) = (requirement.get("key"), requirement.get("values"));
        values.require(errors);
        let mut seen = BTreeSet::new();
        for value in values.items() {
            if !seen.insert(value.text()) {
                value.duplicate(errors);
            }
        }
        key.obey(names::qualified, errors);
        if !keys.insert(key.text()) {
            key.duplicate(errors);
        }
    }
}

/// A class says once what its volumes are.
fn class_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    let update = |key: &str, errors: &mut Errors| {
        if !same(old.get(key).value, new.get(key).value) {
            new.get(key).forbidden(&format!("updates to {key} are forbidden."), errors);
        }
    };
    update("parameters", errors);
    update("provisioner", errors);
    update("reclaimPolicy", errors);
    immutable(&old.get("volumeBindingMode"), &new.get("volumeBindingMode"), errors);
}

pub static CSI_DRIVER: &[Row] = &[
    Row("spec.attachRequired", Rule::Code(must_say)),
    Row("spec.podInfoOnMount", Rule::Code(must_say)),
    Row("spec.fsGroupPolicy", Rule::OneOf(&["File", "None", "ReadWriteOnceWithFSType"])),
    Row("spec.tokenRequests", Rule::Unique("audience")),
    Row("spec.tokenRequests", Rule::Each(&[Row("expirationSeconds", Rule::Code(token_age))])),
    Row("spec.volumeLifecycleModes", Rule::Code(lifecycle_modes)),
];

pub static CSI_DRIVER_CHANGES: &[Change] =
    &[Change::Immutable("spec.attachRequired"), Change::Immutable("spec.volumeLifecycleModes")];

fn must_say(at: &At<'_>, errors: &mut Errors) {
    if !at.is_set() {
        at.required("", errors);
    }
}

/// Upstream names the list and not the item.
fn lifecycle_modes(list: &At<'_>, errors: &mut Errors) {
    for mode in list.items() {
        mode.named(&list.path).unsupported(&["Persistent", "Ephemeral"], errors);
    }
}

fn token_age(at: &At<'_>, errors: &mut Errors) {
    if at.int().is_some_and(|seconds| seconds < 600) {
        at.invalid("may not specify a duration less than 10 minutes", errors);
    }
    if at.int().is_some_and(|seconds| seconds > 1 << 32) {
        at.invalid("may not specify a duration larger than 2^32 seconds", errors);
    }
}

pub static CSI_NODE: &[Row] = &[Row("spec.drivers", Rule::Code(drivers))];

static DRIVER: &[Row] = &[
    Row("name", Rule::Code(csi_driver)),
    Row("nodeID", Rule::Required("")),
    Row("nodeID", Rule::AtMost(256)),
    Row("allocatable.count", Rule::NotNegative),
];

/// What is wrong with a key of the topology is said of its driver.
fn drivers(list: &At<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for driver in list.items() {
        check(&driver, DRIVER, errors);
        let (name, keys) = (driver.get("name"), driver.get("topologyKeys"));
        if !seen.insert(name.text()) {
            name.duplicate(errors);
        }
        let mut seen_keys = BTreeSet::new();
        for key in keys.items().map(|key| key.named(&driver.path)) {
            if key.is_empty() {
                key.required("", errors);
            }
            if !seen_keys.insert(key.text()) {
                key.duplicate(errors);
            }
            for why in names::qualified(key.text()) {
                errors.invalid_text(&driver.path, &go_strings("string", keys.value), &why);
            }
        }
    }
}

/// What a driver said of a node stays; a driver may come or go.
pub static CSI_NODE_CHANGES: &[Change] = &[Change::Code(|old, new, errors| {
    for before in old.at("spec.drivers").items() {
        for now in new.at("spec.drivers").items() {
            if now.get("name").value == before.get("name").value && !same(before.value, now.value) {
                errors.invalid_text(&new.child("CSINodeDriver"), &now.value.to_string(), IMMUTABLE);
            }
        }
    }
})];

pub static ATTACHMENT: &[Row] = &[
    Row("spec.attacher", Rule::Required("")),
    Row("spec.source", Rule::Code(attached)),
    Row("spec.nodeName", Rule::Code(|name, errors| name.obey(names::subdomain, errors))),
    // Upstream's first version asks once more, and for more.
    Row("spec.attacher", Rule::Code(csi_driver)),
];

pub static ATTACHMENT_CHANGES: &[Change] = &[Change::Immutable("spec")];

fn attached(at: &At<'_>, errors: &mut Errors) {
    match (at.get("persistentVolumeName").is_set(), at.get("inlineVolumeSpec").is_set()) {
        (false, false) => {
            at.required("must specify exactly one of inlineVolumeSpec and persistentVolumeName", errors);
        }
        (true, true) => {
            at.forbidden("must specify exactly one of inlineVolumeSpec and persistentVolumeName", errors);
        }
        (true, false) => {
            at.get("persistentVolumeName").require(errors);
        }
        _ => {}
    }
}

pub static CSI_CAPACITY: &[Row] = &[
    Row("nodeTopology", Rule::Selector),
    Row("storageClassName", Rule::Named(names::subdomain)),
    Row("capacity", Rule::Code(not_negative)),
    Row("maximumVolumeSize", Rule::Code(not_negative)),
];

pub static CSI_CAPACITY_CHANGES: &[Change] =
    &[Change::Immutable("nodeTopology"), Change::Immutable("storageClassName")];

fn not_negative(at: &At<'_>, errors: &mut Errors) {
    resources::amount_of("storage", at, errors);
}

/// The name of a CSI driver, in the form of a rule.
pub fn driver_name(text: &str) -> Vec<String> {
    let mut wrong = names::lower(names::subdomain, text);
    if text.len() > 63 {
        wrong.insert(0, "must be no more than 63 bytes".into());
    }
    wrong
}
