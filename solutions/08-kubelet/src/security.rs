//! Who a container runs as, and what it may do: the pod's security context under the container's.
//!
//! Upstream: `pkg/securitycontext/util.go`, `pkg/kubelet/kuberuntime/security_context.go`.

use k8s_openapi::api::core::v1 as api;

use crate::env::ConfigError;
use crate::names;
use crate::types::spec;

/// The two contexts as one; the container's fields win.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Security {
    pub privileged: bool,
    pub run_as_user: Option<i64>,
    /// The image's user by name, where it names one and the pod does not.
    pub run_as_username: Option<String>,
    pub run_as_group: Option<i64>,
    pub supplemental_groups: Vec<i64>,
    pub add_capabilities: Vec<String>,
    pub drop_capabilities: Vec<String>,
    pub readonly_rootfs: bool,
    pub no_new_privs: bool,
    pub masked_paths: Vec<String>,
    pub readonly_paths: Vec<String>,
    pub seccomp: Option<api::SeccompProfile>,
}

/// What the image says about its user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageUser {
    pub uid: Option<i64>,
    pub username: String,
}

/// The greatest user id.
const MAX_ID: i64 = i32::MAX as i64;

const MASKED: [&str; 10] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];

const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub fn effective(
    pod: &api::Pod,
    container: &api::Container,
    image: &ImageUser,
) -> Result<Security, ConfigError> {
    let of_pod = spec(pod).security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let privileged = own.privileged == Some(true);
    let run_as_user = own.run_as_user.or(of_pod.run_as_user);
    let (run_as_user, run_as_username) = match (run_as_user, image.uid) {
        (Some(uid), _) | (None, Some(uid)) => (Some(uid), None),
        (None, None) => (None, Some(image.username.clone()).filter(|n| !n.is_empty())),
    };
    if own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) {
        let given = own.run_as_user.or(of_pod.run_as_user);
        let image_user = (run_as_user, run_as_username.as_deref());
        if let Some(problem) = root_problem(given, image_user) {
            let pod = names::full_name(pod);
            let of = format!("(pod: {pod:?}, container: {})", container.name);
            return Err(ConfigError::Security(format!("{problem} {of}")));
        }
    }
    let mut supplemental_groups = of_pod.supplemental_groups.unwrap_or_default();
    supplemental_groups.extend(of_pod.fs_group);
    let capabilities = own.capabilities.unwrap_or_default();
    let hidden = |paths: &[&str]| -> Vec<String> {
        if privileged || own.proc_mount.as_deref() == Some("Unmasked") {
            return Vec::new();
        }
        paths.iter().map(|p| (*p).to_owned()).collect()
    };
    Ok(Security {
        privileged,
        run_as_user,
        run_as_username,
        run_as_group: own.run_as_group.or(of_pod.run_as_group),
        supplemental_groups,
        add_capabilities: capabilities.add.unwrap_or_default(),
        drop_capabilities: capabilities.drop.unwrap_or_default(),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: hidden(&MASKED),
        readonly_paths: hidden(&READONLY),
        seccomp: own.seccomp_profile.or(of_pod.seccomp_profile),
    })
}

/// Why a container that must not run as root might. Upstream: `verifyRunAsNonRoot` in
/// `pkg/kubelet/kuberuntime/security_context_others.go`.
fn root_problem(given: Option<i64>, image: (Option<i64>, Option<&str>)) -> Option<String> {
    match (given, image) {
        (Some(0), _) => Some("container's runAsUser breaks non-root policy".to_owned()),
        (Some(_), _) => None,
        (None, (Some(uid), _)) if !(0..=MAX_ID).contains(&uid) => Some(format!(
            "container has runAsNonRoot and image has an invalid user id ({uid}). (Must be 1-({MAX_ID})): must be between 0 and {MAX_ID}, inclusive"
        )),
        // An image that names nobody runs as root.
        (None, (Some(0), _) | (None, None)) => {
            Some("container has runAsNonRoot and image will run as root".to_owned())
        }
        (None, (Some(_), _)) => None,
        (None, (None, Some(name))) => Some(format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
        )),
    }
}
