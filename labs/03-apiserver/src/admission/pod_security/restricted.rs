//! What a careful pod says of itself: it is nobody, and cannot become anybody (upstream:
//! `policy/check_*.go`).

use super::baseline::added;
use super::checks::{Finding, Pod, bad_seccomp, counted, plural, quoted, uses};
use crate::meta;
use std::collections::BTreeSet;

pub fn allow_privilege_escalation(pod: &Pod<'_>) -> Option<Finding> {
    if pod.is_for_windows() {
        return None;
    }
    let names = pod.whose(|context| context["allowPrivilegeEscalation"] != false);
    (!names.is_empty()).then(|| Finding {
        reason: "allowPrivilegeEscalation != false",
        detail: format!(
            "{} must set securityContext.allowPrivilegeEscalation=false",
            counted("container", &names)
        ),
    })
}

pub fn capabilities(pod: &Pod<'_>) -> Option<Finding> {
    if pod.is_for_windows() {
        return None;
    }
    let keeps = pod.whose(|context| {
        let dropped = context["capabilities"]["drop"].as_array();
        !dropped.is_some_and(|dropped| dropped.iter().any(|name| name == "ALL"))
    });
    let keeps = (!keeps.is_empty()).then(|| {
        format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", counted("container", &keeps))
    });
    let details: Vec<String> = keeps.into_iter().chain(added(pod, &["NET_BIND_SERVICE"])).collect();
    (!details.is_empty()).then(|| Finding { reason: "unrestricted capabilities", detail: details.join("; ") })
}

/// Where a volume may come from.
const SOURCES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

pub fn volumes(pod: &Pod<'_>) -> Option<Finding> {
    let (mut names, mut kinds) = (Vec::new(), BTreeSet::new());
    for volume in pod.volumes() {
        let sources = volume.as_object().into_iter().flatten().filter(|(_, source)| source.is_object());
        let sources: Vec<&str> = sources.map(|(kind, _)| kind.as_str()).collect();
        if !sources.iter().any(|kind| SOURCES.contains(kind)) {
            names.push(meta::text(volume, &["name"]));
            // Upstream knows the kinds of its time only.
            kinds.insert(sources.first().copied().filter(|kind| *kind != "image").unwrap_or("unknown"));
        }
    }
    let who = (!names.is_empty()).then(|| counted("volume", &names))?;
    let (uses, what) = (uses(names.len()), plural("restricted volume type", kinds.len()));
    Some(Finding {
        reason: "restricted volume types",
        detail: format!("{who} {uses} {what} {}", quoted(kinds)),
    })
}

pub fn run_as_non_root(pod: &Pod<'_>) -> Option<Finding> {
    let found = |detail: String| Some(Finding { reason: "runAsNonRoot != true", detail });
    let setters = pod.setters(|context| context["runAsNonRoot"] == false);
    if !setters.is_empty() {
        return found(format!("{} must not set securityContext.runAsNonRoot=false", setters.join(" and ")));
    }
    if pod.spec["securityContext"]["runAsNonRoot"] == true {
        return None;
    }
    let silent = pod.whose(|context| context["runAsNonRoot"] != true);
    match silent.is_empty() {
        true => None,
        false => found(format!(
            "pod or {} must set securityContext.runAsNonRoot=true",
            counted("container", &silent)
        )),
    }
}

pub fn run_as_user(pod: &Pod<'_>) -> Option<Finding> {
    let setters = pod.setters(|context| context["runAsUser"] == 0);
    (!setters.is_empty()).then(|| Finding {
        reason: "runAsUser=0",
        detail: format!("{} must not set runAsUser=0", setters.join(" and ")),
    })
}

pub fn seccomp_profile(pod: &Pod<'_>) -> Option<Finding> {
    if pod.is_for_windows() {
        return None;
    }
    if let Some(bad) = bad_seccomp(pod) {
        return Some(bad);
    }
    if pod.spec["securityContext"]["seccompProfile"].is_object() {
        return None;
    }
    let silent = pod.whose(|context| !context["seccompProfile"].is_object());
    (!silent.is_empty()).then(|| Finding {
        reason: "seccompProfile",
        detail: format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            counted("container", &silent)
        ),
    })
}
