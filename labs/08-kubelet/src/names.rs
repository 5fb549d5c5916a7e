//! The names under which the kubelet files things with the runtime and on disk.
//!
//! They are the kubelet's only memory: after a restart it reads its pods back from these labels.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;

use crate::types::Uid;

pub const POD_NAME: &str = "io.kubernetes.pod.name";
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub const POD_UID: &str = "io.kubernetes.pod.uid";
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
pub const CONTAINER_HASH: &str = "io.kubernetes.container.hash";
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
pub const TERMINATION_MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
pub const TERMINATION_MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
pub const POD_GRACE_PERIOD: &str = "io.kubernetes.pod.terminationGracePeriod";

pub fn namespace(pod: &api::Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}

pub fn name(pod: &api::Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// `name_namespace(uid)`, as the kubelet's messages name a pod.
pub fn full_name(pod: &api::Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), Uid::of(pod))
}

/// The labels of a sandbox: the pod's own, and those by which it is found again.
pub fn sandbox_labels(pod: &api::Pod) -> BTreeMap<String, String> {
    let mut labels = pod.metadata.labels.clone().unwrap_or_default();
    labels.extend(pod_labels(pod));
    labels
}

/// The labels of a container.
pub fn container_labels(pod: &api::Pod, container: &str) -> BTreeMap<String, String> {
    let mut labels = pod_labels(pod);
    labels.insert(CONTAINER_NAME.into(), container.into());
    labels
}

fn pod_labels(pod: &api::Pod) -> BTreeMap<String, String> {
    BTreeMap::from([
        (POD_NAME.into(), name(pod).into()),
        (POD_NAMESPACE.into(), namespace(pod).into()),
        (POD_UID.into(), Uid::of(pod).0),
    ])
}

/// The annotations of a container: what the runtime cannot know and the kubelet must not forget.
pub fn container_annotations(
    pod: &api::Pod,
    container: &api::Container,
    restart_count: u32,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        (CONTAINER_HASH.into(), container_hash(container)),
        (RESTART_COUNT.into(), restart_count.to_string()),
        (TERMINATION_MESSAGE_PATH.into(), termination_message_path(container).into()),
        (
            TERMINATION_MESSAGE_POLICY.into(),
            container.termination_message_policy.clone().unwrap_or_else(|| "File".into()),
        ),
    ]);
    if let Some(grace) = crate::types::spec(pod).termination_grace_period_seconds {
        all.insert(POD_GRACE_PERIOD.into(), grace.to_string());
    }
    all
}

pub fn termination_message_path(container: &api::Container) -> &str {
    container.termination_message_path.as_deref().filter(|p| !p.is_empty()).unwrap_or("/dev/termination-log")
}

/// A fingerprint of the fields whose change means a new container: name and image, the only
/// ones that a running pod may change (as upstream since 1.31, so that a new field with a default
/// does not restart the world when the kubelet is upgraded). FNV-1a: it must stay the same for
/// ever, and need not resist anyone.
pub fn container_hash(container: &api::Container) -> String {
    let image = container.image.as_deref().unwrap_or_default();
    let mut hash: u32 = 0x811c_9dc5;
    for byte in [container.name.as_str(), "\0", image].iter().flat_map(|s| s.bytes()) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    format!("{hash:08x}")
}

/// The directory under `--pod-log-dir` that holds a pod's logs.
pub fn log_directory(namespace: &str, name: &str, uid: &Uid) -> String {
    format!("{namespace}_{name}_{uid}")
}

/// One container's log within [`log_directory`].
pub fn log_file(container: &str, restart_count: u32) -> String {
    format!("{container}/{restart_count}.log")
}
