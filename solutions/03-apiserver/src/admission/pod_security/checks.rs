//! The checks of each level, and what they share (upstream: `policy/registry.go`, `policy/visitor.go`).

use super::{Level, baseline, restricted};
use crate::meta;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// A pod, or the template of one: what has `metadata` and `spec`.
#[derive(Debug, Clone, Copy)]
pub struct Pod<'p> {
    pub metadata: &'p Value,
    pub spec: &'p Value,
}

impl<'p> Pod<'p> {
    pub fn of(object: &'p Value) -> Pod<'p> {
        Pod { metadata: &object["metadata"], spec: &object["spec"] }
    }

    /// All containers, those that start first before the others.
    pub(super) fn containers(&self) -> impl Iterator<Item = &'p Value> + use<'p> {
        let spec = self.spec;
        let lists = ["initContainers", "containers", "ephemeralContainers"];
        lists.into_iter().flat_map(move |list| spec[list].as_array().into_iter().flatten())
    }

    pub(super) fn volumes(&self) -> impl Iterator<Item = &'p Value> + use<'p> {
        self.spec["volumes"].as_array().into_iter().flatten()
    }

    /// The names of the containers whose `securityContext` is so.
    pub(super) fn whose(&self, mut is_so: impl FnMut(&'p Value) -> bool) -> Vec<&'p str> {
        let wrong = self.containers().filter(|container| is_so(&container["securityContext"]));
        wrong.map(|container| meta::text(container, &["name"])).collect()
    }

    /// Who has a `securityContext` that is so: `pod and containers "a", "b"`.
    pub(super) fn setters(&self, mut is_so: impl FnMut(&'p Value) -> bool) -> Vec<String> {
        let pod = is_so(&self.spec["securityContext"]).then(|| "pod".to_string());
        let containers = self.whose(is_so);
        let containers = (!containers.is_empty()).then(|| counted("container", &containers));
        pod.into_iter().chain(containers).collect()
    }

    /// What a pod for Windows says by being one: it has none of what is asked for.
    pub(super) fn is_for_windows(&self) -> bool {
        self.spec["os"]["name"] == "windows"
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The same for all pods with the same fault.
    pub reason: &'static str,
    /// Where it is in this pod.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.detail)
    }
}

pub(super) type Check = fn(&Pod<'_>) -> Option<Finding>;

/// The checks of baseline, in the order of upstream's names for them. Restricted asks these too, but for
/// those of which it has a stricter one.
const BASELINE: [(Check, bool); 11] = [
    (baseline::app_armor_profile, true),
    (baseline::capabilities, false),
    (baseline::host_namespaces, true),
    (baseline::host_path_volumes, false),
    (baseline::host_ports, true),
    (baseline::privileged, true),
    (baseline::proc_mount, true),
    (baseline::se_linux_options, true),
    (baseline::seccomp_profile, false),
    (baseline::sysctls, true),
    (baseline::windows_host_process, true),
];

const RESTRICTED: [Check; 6] = [
    restricted::allow_privilege_escalation,
    restricted::capabilities,
    restricted::volumes,
    restricted::run_as_non_root,
    restricted::run_as_user,
    restricted::seccomp_profile,
];

/// What keeps a pod from a level.
pub fn find(level: Level, pod: &Pod<'_>) -> Vec<Finding> {
    let below = |for_all: bool| BASELINE.iter().filter(move |(_, also)| *also || for_all).map(|(c, _)| *c);
    let checks: Vec<Check> = match level {
        Level::Privileged => Vec::new(),
        Level::Baseline => below(true).collect(),
        Level::Restricted => below(false).chain(RESTRICTED).collect(),
    };
    checks.into_iter().filter_map(|check| check(pod)).collect()
}

/// `container "a"`, `containers "a", "b"`.
pub(super) fn counted(noun: &str, names: &[&str]) -> String {
    format!("{} {}", plural(noun, names.len()), quoted(names.iter().copied()))
}

pub(super) fn plural(noun: &str, count: usize) -> String {
    if count == 1 { noun.into() } else { format!("{noun}s") }
}

/// What `count` of them do: `uses`, `use`.
pub(super) fn uses(count: usize) -> &'static str {
    if count == 1 { "uses" } else { "use" }
}

pub(super) fn quoted<'s>(texts: impl IntoIterator<Item = &'s str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| format!("\"{text}\"")).collect();
    texts.join(", ")
}

/// Who sets `seccompProfile.type` to what it may not be.
pub(super) fn bad_seccomp(pod: &Pod<'_>) -> Option<Finding> {
    let mut types = BTreeSet::new();
    let setters = pod.setters(|context| {
        let profile = &context["seccompProfile"];
        let wrong = profile.is_object() && !is_confined(profile);
        if wrong {
            types.insert(meta::text(profile, &["type"]));
        }
        wrong
    });
    (!setters.is_empty()).then(|| Finding {
        reason: "seccompProfile",
        detail: format!(
            "{} must not set securityContext.seccompProfile.type to {}",
            setters.join(" and "),
            quoted(types)
        ),
    })
}

/// Whether a profile, of system calls or of files, is one that confines.
pub(super) fn is_confined(profile: &Value) -> bool {
    matches!(profile["type"].as_str(), Some("RuntimeDefault" | "Localhost"))
}
