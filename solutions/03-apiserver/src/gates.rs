//! Fields of features that are off in 1.32 unless somebody switches them on. What is said in them is
//! dropped before it is looked at, without a word (upstream: `pkg/api/pod/util.go`,
//! `DropDisabledPodFields`, and the strategies of the other kinds).

use crate::kinds;
use objects::resources::Resource;
use serde_json::{Map, Value, json};

/// UserNamespacesSupport, PodLevelResources, DynamicResourceAllocation.
const OF_SPEC: [&str; 3] = ["hostUsers", "resources", "resourceClaims"];
/// SupplementalGroupsPolicy, SELinuxChangePolicy.
const OF_SECURITY: [&str; 2] = ["supplementalGroupsPolicy", "seLinuxChangePolicy"];

/// Drop what nobody here could act on.
pub fn drop_disabled(resource: &Resource, object: &mut Value) {
    let (at, field) = match (resource.group, resource.kind) {
        // VolumeAttributesClass.
        ("", "PersistentVolume" | "PersistentVolumeClaim") => ("/spec", "volumeAttributesClassName"),
        // MaxUnavailableStatefulSet.
        ("apps", "StatefulSet") => ("/spec/updateStrategy/rollingUpdate", "maxUnavailable"),
        _ => ("", ""),
    };
    if let Some(part) = object.pointer_mut(at).filter(|_| !field.is_empty()) {
        drop_from(part, field);
    }
    let template = kinds::pod_template(resource).and_then(|at| object.pointer_mut(at));
    if let Some(Value::Object(spec)) = template.and_then(|template| template.get_mut("spec")) {
        of_pods(spec);
    }
}

fn drop_from(value: &mut Value, field: &str) {
    if let Value::Object(map) = value {
        map.shift_remove(field);
    }
}

fn of_pods(spec: &mut Map<String, Value>) {
    spec.retain(|field, _| !OF_SPEC.contains(&field.as_str()));
    if let Some(Value::Object(security)) = spec.get_mut("securityContext") {
        security.retain(|field, _| !OF_SECURITY.contains(&field.as_str()));
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        items(spec, list).for_each(of_container);
    }
    for volume in items(spec, "volumes") {
        // ImageVolume.
        drop_from(volume, "image");
        let sources = volume.pointer_mut("/projected/sources").and_then(Value::as_array_mut);
        // ClusterTrustBundleProjection.
        sources.into_iter().flatten().for_each(|source| drop_from(source, "clusterTrustBundle"));
    }
}

fn items<'m>(map: &'m mut Map<String, Value>, list: &str) -> impl Iterator<Item = &'m mut Value> {
    map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn of_container(container: &mut Value) {
    // InPlacePodVerticalScaling.
    drop_from(container, "resizePolicy");
    if let Some(resources) = container.get_mut("resources") {
        drop_from(resources, "claims");
    }
    // ProcMountType: every container has the usual one.
    if let Some(mount) = container.pointer_mut("/securityContext/procMount") {
        *mount = json!("Default");
    }
}
