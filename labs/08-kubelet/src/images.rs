//! When to pull an image, and what to say when it cannot be had.
//!
//! Upstream: `pkg/kubelet/images/image_manager.go`.

use k8s_openapi::api::core::v1 as api;

/// What to do about a container's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    UseLocal,
    Pull,
    /// Pulling failed a moment ago: wait.
    BackOff,
    /// `imagePullPolicy: Never`, and it is not there.
    NeverPull,
}

/// The policy where the pod names none: `Always` for `latest`, otherwise `IfNotPresent`.
pub fn policy(container: &api::Container) -> &str {
    match container.image_pull_policy.as_deref() {
        Some(policy @ ("Always" | "Never" | "IfNotPresent")) => policy,
        _ if is_latest(container.image.as_deref().unwrap_or_default()) => "Always",
        _ => "IfNotPresent",
    }
}

fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

pub fn decide(policy: &str, present: bool, backing_off: bool) -> Decision {
    match (policy, present) {
        ("IfNotPresent" | "Never", true) => Decision::UseLocal,
        ("Never", false) => Decision::NeverPull,
        _ if backing_off => Decision::BackOff,
        _ => Decision::Pull,
    }
}

pub const ERR_IMAGE_PULL: &str = "ErrImagePull";
pub const IMAGE_PULL_BACK_OFF: &str = "ImagePullBackOff";
pub const ERR_IMAGE_NEVER_PULL: &str = "ErrImageNeverPull";

/// Does this reason mean that the container waits for an image that may yet come?
pub fn waits_for_image(reason: &str) -> bool {
    [ERR_IMAGE_PULL, IMAGE_PULL_BACK_OFF, ERR_IMAGE_NEVER_PULL].contains(&reason)
}
