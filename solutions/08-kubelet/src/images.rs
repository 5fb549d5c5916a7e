//! When to pull an image, and what to say when it cannot be had.
//!
//! Upstream: `pkg/kubelet/images/image_manager.go`.

use k8s_openapi::api::core::v1 as api;

use crate::image_names;
use crate::types::Waiting;

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
pub const IMAGE_INSPECT_ERROR: &str = "ImageInspectError";
pub const INVALID_IMAGE_NAME: &str = "InvalidImageName";

/// Does this reason mean that the container waits for an image that may yet come?
pub fn waits_for_image(reason: &str) -> bool {
    [ERR_IMAGE_PULL, IMAGE_PULL_BACK_OFF, ERR_IMAGE_NEVER_PULL].contains(&reason)
}

/// A container's image cannot be had: an event, and why the container waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub warning: bool,
    /// The event's.
    pub reason: &'static str,
    pub message: String,
    pub waiting: Waiting,
}

impl Refusal {
    /// The same words for the event and for the status.
    fn new(reason: &'static str, why: &str, message: String) -> Refusal {
        let waiting = Waiting { reason: why.to_owned(), message: message.clone() };
        Refusal { warning: true, reason, message, waiting }
    }

    /// No registry could have an image of this name.
    pub fn invalid_name(image: &str) -> Option<Refusal> {
        let problem = image_names::problem(image)?;
        let message = format!(
            "Failed to apply default image tag {image:?}: couldn't parse image name {image:?}: {problem}"
        );
        Some(Refusal::new("InspectFailed", INVALID_IMAGE_NAME, message))
    }

    pub fn not_inspected(image: &str, cause: &str) -> Refusal {
        let message = format!("Failed to inspect image {image:?}: {cause}");
        Refusal::new("InspectFailed", IMAGE_INSPECT_ERROR, message)
    }

    pub fn never_pull(image: &str) -> Refusal {
        let message = format!("Container image {image:?} is not present with pull policy of Never");
        Refusal::new(ERR_IMAGE_NEVER_PULL, ERR_IMAGE_NEVER_PULL, message)
    }

    /// `cause`: why the last pull failed. The event is gone in an hour, so the status repeats it for
    /// as long as the container waits.
    pub fn back_off(image: &str, cause: &str) -> Refusal {
        let message = format!("Back-off pulling image {image:?}");
        let told = format!("{message}: {ERR_IMAGE_PULL}: {cause}");
        let waiting = Waiting { reason: IMAGE_PULL_BACK_OFF.to_owned(), message: told };
        Refusal { warning: false, reason: "BackOff", message, waiting }
    }

    pub fn not_pulled(image: &str, cause: &str) -> Refusal {
        let message = format!("Failed to pull image {image:?}: {cause}");
        let waiting = Waiting { reason: ERR_IMAGE_PULL.to_owned(), message: cause.to_owned() };
        Refusal { warning: true, reason: "Failed", message, waiting }
    }

    /// All that is said of it, in this order: whether it is a warning, its reason, its message.
    pub fn events(&self) -> [(bool, &str, String); 2] {
        let error = format!("Error: {}", self.waiting.reason);
        [(self.warning, self.reason, self.message.clone()), (true, "Failed", error)]
    }
}
