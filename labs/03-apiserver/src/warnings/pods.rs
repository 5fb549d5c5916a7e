//! Pods, and templates of pods (upstream: `pkg/api/pod/warnings.go`).

use super::{nodes, volumes};
use crate::fields::quote;
use crate::validation::at::At;
use std::collections::{BTreeMap, BTreeSet};

const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APPARMOR_CONTAINER: &str = "container.apparmor.security.beta.kubernetes.io/";

static ANNOTATIONS: &[(&str, &str)] = &[
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

/// What has the metadata and the spec of a pod.
pub fn template(template: &At<'_>, said: &mut Vec<String>) {
    let (spec, annotations) = (template.get("spec"), template.at("metadata.annotations"));
    node_labels(&spec, said);
    for (key, why) in ANNOTATIONS {
        annotation(&annotations, key, why, said);
    }
    volumes::volumes(&spec, said);
    duplicate(&spec.get("hostAliases"), "ip", said);
    duplicate(&spec.get("imagePullSecrets"), "name", said);
    for secret in spec.get("imagePullSecrets").items() {
        let name = secret.get("name");
        if name.is_empty() {
            name.warn("invalid empty name \"\"", said);
        }
    }
    for resource in ["memory", "ephemeral-storage"] {
        spec.get("overhead").entry(resource).warn_of_fraction(said);
    }
    if !spec.at("securityContext.seccompProfile").is_set() {
        annotation(&annotations, SECCOMP_POD, NO_SECCOMP, said);
    }
    let has_profile = spec.at("securityContext.appArmorProfile").is_set();
    for of in containers(&spec) {
        container(&of, &annotations, has_profile, said);
    }
    ports(&spec, said);
    let grace = spec.get("terminationGracePeriodSeconds");
    if grace.int().is_some_and(|seconds| seconds < 0) {
        grace.warn("must be >= 0; negative values are invalid and will be treated as 1", said);
    }
    for affinity in ["podAffinity", "podAntiAffinity"] {
        let affinity = spec.get("affinity").get(affinity);
        for term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution").items() {
            selects_nothing(&term, said);
        }
        for term in affinity.get("preferredDuringSchedulingIgnoredDuringExecution").items() {
            selects_nothing(&term.get("podAffinityTerm"), said);
        }
    }
}

fn node_labels(spec: &At<'_>, said: &mut Vec<String>) {
    nodes::selector(&spec.get("nodeSelector"), said);
    let affinity = spec.at("affinity.nodeAffinity");
    let required = affinity.at("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
    required.items().for_each(|term| nodes::term(&term, false, said));
    for preferred in affinity.get("preferredDuringSchedulingIgnoredDuringExecution").items() {
        nodes::term(&preferred.get("preference"), true, said);
    }
    for constraint in spec.get("topologySpreadConstraints").items() {
        nodes::key(&constraint.get("topologyKey"), said);
        selects_nothing(&constraint, said);
    }
}

/// No selector is not an empty one, which would select everything.
fn selects_nothing(term: &At<'_>, said: &mut Vec<String>) {
    let selector = term.get("labelSelector");
    if !selector.is_set() {
        selector.warn("a null labelSelector results in matching no pod", said);
    }
}

const NO_SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
const NO_APPARMOR: &str = "deprecated since v1.30; use the \"appArmorProfile\" field instead";

fn annotation(annotations: &At<'_>, key: &str, why: &str, said: &mut Vec<String>) {
    let annotation = annotations.entry(key);
    if annotation.is_set() {
        annotation.warn(why, said);
    }
}

/// Items of a list that have the same value in a field that would tell them apart.
fn duplicate(list: &At<'_>, key: &str, said: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for item in list.items() {
        let field = item.get(key);
        if !seen.insert(field.text()) {
            field.warn(format!("duplicate {key} {}", quote(field.text())), said);
        }
    }
}

fn containers<'v>(spec: &At<'v>) -> Vec<At<'v>> {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    lists.into_iter().flat_map(|list| spec.get(list).items()).collect()
}

fn container(container: &At<'_>, annotations: &At<'_>, has_profile: bool, said: &mut Vec<String>) {
    let (name, own) = (container.get("name").text(), container.get("securityContext"));
    if !own.get("seccompProfile").is_set() {
        annotation(annotations, &format!("{SECCOMP_CONTAINER}{name}"), NO_SECCOMP, said);
    }
    if !has_profile && !own.get("appArmorProfile").is_set() {
        annotation(annotations, &format!("{APPARMOR_CONTAINER}{name}"), NO_APPARMOR, said);
    }
    for resource in ["memory", "ephemeral-storage"] {
        for amounts in ["limits", "requests"] {
            container.get("resources").get(amounts).entry(resource).warn_of_fraction(said);
        }
    }
    let mut seen = BTreeSet::new();
    for variable in container.get("env").items() {
        let (name, value) = (variable.get("name").text(), variable.get("value").text());
        // To add to what was before is no accident.
        let own = format!("$({name})");
        let adds = !variable.get("valueFrom").is_set() && value != own && value.contains(&own);
        if !seen.insert(name) && !adds {
            let quoted = quote(name);
            let why = format!("hides previous definition of {quoted}, which may be dropped when using apply");
            variable.warn(why, said);
        }
    }
}

/// A port of a container, and where it was named first.
struct Port {
    path: String,
    host_ip: String,
    host_port: i64,
}

/// All containers of a pod share one address.
fn ports(spec: &At<'_>, said: &mut Vec<String>) {
    let mut all: BTreeMap<(i64, &str), Vec<Port>> = BTreeMap::new();
    for of in containers(spec) {
        for at in of.get("ports").items() {
            let (number, protocol) = (at.get("containerPort").int().unwrap_or(0), at.get("protocol").text());
            let (host_ip, host_port) = (at.get("hostIP").text(), at.get("hostPort").int().unwrap_or(0));
            if !host_ip.is_empty() && host_port == 0 {
                at.warn(
                    format!(
                        "hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{number} Protocol:{protocol} HostIP:{host_ip}}}",
                        at.get("name").text()
                    ),
                    said,
                );
            }
            let others = all.entry((number, protocol)).or_default();
            for other in others.iter() {
                let what = if other.host_ip == host_ip && other.host_port == host_port {
                    "duplicate"
                } else if other.host_port == 0 || host_port == 0 {
                    "overlapping"
                } else if other.host_port == host_port && other.host_ip.is_empty() != host_ip.is_empty() {
                    "dangerously ambiguous"
                } else {
                    continue;
                };
                at.warn(format!("{what} port definition with {}", other.path), said);
            }
            others.push(Port { path: at.path.clone(), host_ip: host_ip.into(), host_port });
        }
    }
}
