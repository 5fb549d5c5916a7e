//! What lets a pod take over its node, whoever it runs as (upstream: `policy/check_*.go`, each a file
//! of the name that its function has here).

use super::checks::{Finding, Pod, bad_seccomp, counted, is_confined, plural, quoted, uses};
use crate::meta;
use serde_json::Value;
use std::collections::BTreeSet;

pub fn app_armor_profile(pod: &Pod<'_>) -> Option<Finding> {
    const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
    let mut types = BTreeSet::new();
    let mut setters = pod.setters(|context| {
        let profile = &context["appArmorProfile"];
        let wrong = profile.is_object() && !is_confined(profile);
        if wrong {
            types.insert(meta::text(profile, &["type"]));
        }
        wrong
    });
    let annotations = pod.metadata["annotations"].as_object().into_iter().flatten();
    let harmless = |profile: &str| {
        profile.is_empty() || profile == "runtime/default" || profile.starts_with("localhost/")
    };
    let annotations: BTreeSet<String> = annotations
        .filter_map(|(key, value)| Some((key, value.as_str()?)))
        .filter(|(key, value)| key.starts_with(ANNOTATION) && !harmless(value))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    if !annotations.is_empty() {
        setters.push(plural("annotation", annotations.len()));
    }
    let values: Vec<&str> = types.into_iter().chain(annotations.iter().map(String::as_str)).collect();
    let reason = match values.len() {
        0 => return None,
        1 => "forbidden AppArmor profile",
        _ => "forbidden AppArmor profiles",
    };
    let (setters, values) = (setters.join(" and "), quoted(values));
    Some(Finding { reason, detail: format!("{setters} must not set AppArmor profile type to {values}") })
}

/// What a container has anyway, it may also ask for.
const USUAL_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

pub fn capabilities(pod: &Pod<'_>) -> Option<Finding> {
    let detail = added(pod, &USUAL_CAPABILITIES)?;
    Some(Finding { reason: "non-default capabilities", detail })
}

/// Which containers add capabilities that are none of these.
pub fn added(pod: &Pod<'_>, allowed: &[&str]) -> Option<String> {
    let mut others = BTreeSet::new();
    let containers = pod.whose(|context| {
        let added = context["capabilities"]["add"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let wrong: Vec<&str> = added.filter(|name| !allowed.contains(name)).collect();
        others.extend(wrong.iter().copied());
        !wrong.is_empty()
    });
    let who = (!containers.is_empty()).then(|| counted("container", &containers))?;
    Some(format!("{who} must not include {} in securityContext.capabilities.add", quoted(others)))
}

pub fn host_namespaces(pod: &Pod<'_>) -> Option<Finding> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|key| pod.spec[key] == true);
    let shared: Vec<String> = shared.map(|key| format!("{key}=true")).collect();
    (!shared.is_empty()).then(|| Finding { reason: "host namespaces", detail: shared.join(", ") })
}

pub fn host_path_volumes(pod: &Pod<'_>) -> Option<Finding> {
    let volumes = pod.volumes().filter(|volume| !volume["hostPath"].is_null());
    let names: Vec<&str> = volumes.map(|volume| meta::text(volume, &["name"])).collect();
    (!names.is_empty()).then(|| Finding { reason: "hostPath volumes", detail: counted("volume", &names) })
}

pub fn host_ports(pod: &Pod<'_>) -> Option<Finding> {
    let (mut ports, mut names) = (BTreeSet::new(), Vec::new());
    for container in pod.containers() {
        let own = container["ports"].as_array().into_iter().flatten();
        let own: Vec<i64> = own.filter_map(|p| p["hostPort"].as_i64()).filter(|port| *port != 0).collect();
        if !own.is_empty() {
            names.push(meta::text(container, &["name"]));
        }
        // Upstream's order is that of texts.
        ports.extend(own.iter().map(i64::to_string));
    }
    let who = (!names.is_empty()).then(|| counted("container", &names))?;
    let (uses, what) = (uses(names.len()), plural("hostPort", ports.len()));
    let ports: Vec<String> = ports.into_iter().collect();
    Some(Finding { reason: "hostPort", detail: format!("{who} {uses} {what} {}", ports.join(", ")) })
}

pub fn privileged(pod: &Pod<'_>) -> Option<Finding> {
    let names = pod.whose(|context| context["privileged"] == true);
    (!names.is_empty()).then(|| Finding {
        reason: "privileged",
        detail: format!("{} must not set securityContext.privileged=true", counted("container", &names)),
    })
}

pub fn proc_mount(pod: &Pod<'_>) -> Option<Finding> {
    let mut kinds = BTreeSet::new();
    let names = pod.whose(|context| match context["procMount"].as_str() {
        None | Some("Default") => false,
        Some(other) => {
            kinds.insert(other);
            true
        }
    });
    (!names.is_empty()).then(|| Finding {
        reason: "procMount",
        detail: format!(
            "{} must not set securityContext.procMount to {}",
            counted("container", &names),
            quoted(kinds)
        ),
    })
}

pub fn se_linux_options(pod: &Pod<'_>) -> Option<Finding> {
    const TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
    let (mut types, mut user, mut role) = (BTreeSet::new(), false, false);
    let setters = pod.setters(|context| {
        let options = &context["seLinuxOptions"];
        let is_set = |key: &str| !meta::text(options, &[key]).is_empty();
        let kind = meta::text(options, &["type"]);
        let strange = !TYPES.contains(&kind);
        if strange {
            types.insert(kind);
        }
        user |= is_set("user");
        role |= is_set("role");
        strange || is_set("user") || is_set("role")
    });
    if setters.is_empty() {
        return None;
    }
    let types: Vec<&str> = types.into_iter().collect();
    let types = (!types.is_empty()).then(|| counted("type", &types));
    let user = user.then(|| "user may not be set".to_string());
    let role = role.then(|| "role may not be set".to_string());
    let what: Vec<String> = types.into_iter().chain(user).chain(role).collect();
    let setters = setters.join(" and ");
    let detail = format!("{setters} set forbidden securityContext.seLinuxOptions: {}", what.join("; "));
    Some(Finding { reason: "seLinuxOptions", detail })
}

pub fn seccomp_profile(pod: &Pod<'_>) -> Option<Finding> {
    bad_seccomp(pod)
}

/// What a pod can set for itself alone.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

pub fn sysctls(pod: &Pod<'_>) -> Option<Finding> {
    let list = pod.spec["securityContext"]["sysctls"].as_array().into_iter().flatten();
    let names = list.map(|sysctl| meta::text(sysctl, &["name"]));
    let names: Vec<&str> = names.filter(|name| !SAFE_SYSCTLS.contains(name)).collect();
    (!names.is_empty()).then(|| Finding { reason: "forbidden sysctls", detail: names.join(", ") })
}

pub fn windows_host_process(pod: &Pod<'_>) -> Option<Finding> {
    let setters = pod.setters(|context| context["windowsOptions"]["hostProcess"] == true);
    (!setters.is_empty()).then(|| Finding {
        reason: "hostProcess",
        detail: format!(
            "{} must not set securityContext.windowsOptions.hostProcess=true",
            setters.join(" and ")
        ),
    })
}
