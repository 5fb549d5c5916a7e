//! The volumes of a pod, and where its containers mount them.

use super::sources;
use crate::fields::Errors;
use crate::names;
use crate::validation::at::At;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The volumes with nothing wrong about them, by name.
pub type Volumes<'v> = BTreeMap<&'v str, At<'v>>;

/// `pod` is the pod's name, if it has one already: ephemeral volumes are called after it.
pub fn check<'v>(list: &At<'v>, pod: Option<&str>, errors: &mut Errors) -> Volumes<'v> {
    let mut volumes = Volumes::new();
    let claim = |volume: &At<'_>| pod.map(|pod| format!("{pod}-{}", volume.get("name").text()));
    let made: BTreeSet<String> =
        list.items().filter(|v| v.get("ephemeral").is_set()).filter_map(|v| claim(&v)).collect();
    for volume in list.items() {
        let before = errors.len();
        sources::of_pod(&volume, errors);
        let name = volume.get("name");
        if let Some(claim) = claim(&volume).filter(|_| volume.get("ephemeral").is_set()) {
            for why in names::subdomain(&claim).into_iter().filter(|_| !name.is_empty()) {
                name.invalid(format!("PVC name \"{claim}\": {why}"), errors);
            }
        }
        if name.require(errors) {
            name.obey(names::label, errors);
        }
        if volumes.contains_key(name.text()) {
            name.duplicate(errors);
        }
        if errors.len() == before {
            volumes.insert(name.text(), volume.clone());
        }
        let used = volume.at("persistentVolumeClaim.claimName");
        if made.contains(used.text()) {
            used.invalid("must not reference a PVC that gets created for an ephemeral volume", errors);
        }
    }
    volumes
}

/// Where a container sees volumes as directories.
pub fn mounts(volumes: &Volumes<'_>, container: &At<'_>, errors: &mut Errors) {
    let list = container.get("volumeMounts");
    let devices = container.get("volumeDevices");
    let mut paths = BTreeSet::new();
    for mount in list.items() {
        let (name, path) = (mount.get("name"), mount.get("mountPath"));
        name.require(errors);
        let volume = volumes.get(name.text());
        if volume.is_none() {
            errors.not_found(&name.path, &Value::from(name.text()));
        }
        path.require(errors);
        if !paths.insert(path.text()) {
            path.invalid_text("must be unique", errors);
        }
        if devices.items().any(|device| device.get("name").text() == name.text()) {
            name.invalid("must not already exist in volumeDevices", errors);
        }
        if devices.items().any(|device| device.get("devicePath").text() == path.text()) {
            path.invalid("must not already exist as a path in volumeDevices", errors);
        }
        let (sub, expression) = (mount.get("subPath"), mount.get("subPathExpr"));
        if volume.is_some_and(|volume| volume.get("image").is_set()) {
            for field in [&sub, &expression] {
                if !field.is_empty() {
                    field.invalid("not allowed in image volume sources", errors);
                }
            }
        }
        // From here on upstream's paths are the list's, not the item's.
        sources::descending(&sub.named(list.child("subPath")), errors);
        if !expression.is_empty() {
            if !sub.is_empty() {
                expression.invalid("subPathExpr and subPath are mutually exclusive", errors);
            }
            sources::descending(&expression.named(list.child("subPathExpr")), errors);
        }
        propagation(&list, &mount, container, errors);
    }
}

fn propagation(list: &At<'_>, mount: &At<'_>, container: &At<'_>, errors: &mut Errors) {
    let mode = mount.get("mountPropagation").named(list.child("mountPropagation"));
    mode.one_of(&["Bidirectional", "HostToContainer", "None"], errors);
    if *mode.value == "Bidirectional" && !container.at("securityContext.privileged").is_true() {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        mode.forbidden(why, errors);
    }
    let recursive = mount.get("recursiveReadOnly").named(list.child("recursiveReadOnly"));
    match recursive.text() {
        "Enabled" | "IfPossible" => {
            if !mount.get("readOnly").is_true() {
                recursive.forbidden("may only be specified when readOnly is true", errors);
            }
            if mode.is_set() && *mode.value != "None" {
                let why = "may only be specified when mountPropagation is None or not specified";
                recursive.forbidden(why, errors);
            }
        }
        _ => recursive.one_of(&["Disabled", "Enabled", "IfPossible"], errors),
    }
}

/// Where a container sees volumes as block devices.
pub fn devices(volumes: &Volumes<'_>, container: &At<'_>, errors: &mut Errors) {
    let mounts = container.get("volumeMounts");
    let (mut paths, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for device in container.get("volumeDevices").items() {
        let (name, path) = (device.get("name"), device.get("devicePath"));
        name.require(errors);
        if !name.is_empty() && !seen.insert(name.text()) {
            name.invalid("must be unique", errors);
        }
        match volumes.get(name.text()) {
            None => errors.not_found(&name.path, &Value::from(name.text())),
            Some(volume)
                if !volume.get("persistentVolumeClaim").is_set() && !volume.get("ephemeral").is_set() =>
            {
                let why =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                name.invalid(why, errors);
            }
            Some(_) => {}
        }
        path.require(errors);
        if path.text().split('/').any(|step| step == "..") {
            path.invalid("can not contain backsteps ('..')", errors);
        } else if !paths.insert(path.text()) {
            path.invalid_text("must be unique", errors);
        }
        if mounts.items().any(|mount| mount.get("name").text() == name.text()) {
            name.invalid("must not already exist in volumeMounts", errors);
        }
        if mounts.items().any(|mount| mount.get("mountPath").text() == path.text()) {
            path.invalid("must not already exist as a path in volumeMounts", errors);
        }
    }
}
