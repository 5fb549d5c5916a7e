//! The three lists of containers, and what is common to their members.

use super::Pod;
use super::volumes;
use super::{env, probes, resources, security};
use crate::fields::Errors;
use crate::names;
use crate::validation::at::At;
use crate::validation::rules::{Row, Rule, check};
use serde_json::Value;
use std::collections::BTreeSet;

pub fn containers(pod: &Pod<'_, '_>, errors: &mut Errors) {
    let list = pod.spec.get("containers");
    if !list.require(errors) {
        return;
    }
    let mut seen = BTreeSet::new();
    for container in list.items() {
        common(pod, &container, errors);
        if !seen.insert(container.get("name").text()) {
            container.get("name").duplicate(errors);
        }
        probes::all(pod, &container, errors);
        if container.get("restartPolicy").is_set() {
            container.get("restartPolicy").forbidden("may not be set for non-init containers", errors);
        }
    }
    host_ports(list.items(), errors);
}

pub fn init_containers(pod: &Pod<'_, '_>, errors: &mut Errors) {
    let list = pod.spec.get("initContainers");
    let mut seen = names_of(pod, &["containers"]);
    for container in list.items() {
        common(pod, &container, errors);
        let policy = container.get("restartPolicy");
        policy.one_of(&["Always"], errors);
        let name = container.get("name");
        if !seen.insert(name.text()) {
            name.duplicate(errors);
        }
        // They run one after the other, so each has the host's ports to itself.
        host_ports(std::iter::once(container.clone()), errors);
        if *policy.value == "Always" {
            probes::all(pod, &container, errors);
        } else {
            for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                let field = container.get(key);
                if field.is_set() {
                    field
                        .forbidden("may not be set for init containers without restartPolicy=Always", errors);
                }
            }
        }
    }
}

const NOT_EPHEMERAL: [&str; 8] = [
    "ports",
    "resources",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "resizePolicy",
    "restartPolicy",
];

pub fn ephemeral_containers(pod: &Pod<'_, '_>, errors: &mut Errors) {
    let others = names_of(pod, &["containers", "initContainers"]);
    let mut seen = others.clone();
    for container in pod.spec.get("ephemeralContainers").items() {
        common(pod, &container, errors);
        image_is_trimmed(&container, errors);
        let (name, target) = (container.get("name"), container.get("targetContainerName"));
        if !seen.insert(name.text()) {
            name.duplicate(errors);
        }
        if !target.is_empty() && !others.contains(target.text()) {
            target.not_found(errors);
        }
        let why = "cannot be set for an Ephemeral Container";
        for key in NOT_EPHEMERAL {
            if !container.get(key).is_empty() {
                container.get(key).forbidden(why, errors);
            }
        }
        for mount in container.get("volumeMounts").items() {
            for key in ["subPath", "subPathExpr"] {
                if !mount.get(key).is_empty() {
                    mount.get(key).forbidden(why, errors);
                }
            }
        }
    }
}

fn names_of<'v>(pod: &Pod<'_, 'v>, lists: &[&str]) -> BTreeSet<&'v str> {
    let all = lists.iter().flat_map(|list| pod.spec.get(list).items().collect::<Vec<_>>());
    all.map(|container| container.get("name").text()).collect()
}

static BEFORE_MOUNTS: &[Row] = &[
    Row("name", Rule::Named(names::label)),
    Row("image", Rule::Required("")),
    Row("terminationMessagePolicy", Rule::Choice(&["File", "FallbackToLogsOnError"])),
    Row("ports", Rule::Code(ports)),
    Row("env", Rule::Each(env::VARIABLE)),
    Row("envFrom", Rule::Code(env::env_from)),
];

static AFTER_MOUNTS: &[Row] = &[Row("imagePullPolicy", Rule::Choice(&["Always", "IfNotPresent", "Never"]))];

/// What is common to all containers.
fn common(pod: &Pod<'_, '_>, container: &At<'_>, errors: &mut Errors) {
    check(container, BEFORE_MOUNTS, errors);
    volumes::mounts(&pod.volumes, container, errors);
    volumes::devices(&pod.volumes, container, errors);
    check(container, AFTER_MOUNTS, errors);
    resources::requirements(&container.get("resources"), errors);
    claims(&container.at("resources.claims"), &pod.spec.get("resourceClaims"), errors);
    resize_policy(&container.get("resizePolicy"), pod.spec.get("restartPolicy").text(), errors);
    security::container(&container.get("securityContext"), pod.host_users, errors);
}

pub fn image_is_trimmed(container: &At<'_>, errors: &mut Errors) {
    let image = container.get("image");
    if image.text().trim() != image.text() {
        image.invalid("must not have leading or trailing whitespace", errors);
    }
}

fn ports(ports: &At<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let (name, number) = (port.get("name"), port.get("containerPort"));
        if !name.is_empty() {
            if !names::port_name(name.text()).is_empty() {
                name.obey(names::port_name, errors);
            } else if !seen.insert(name.text()) {
                name.duplicate(errors);
            }
        }
        if number.int().unwrap_or(0) == 0 {
            number.required("", errors);
        } else {
            number.port(errors);
        }
        if port.get("hostPort").int().unwrap_or(0) != 0 {
            port.get("hostPort").port(errors);
        }
        port.get("protocol").choice(&["SCTP", "TCP", "UDP"], errors);
    }
}

/// Two containers that run together cannot have the same port of the host.
fn host_ports<'v>(containers: impl Iterator<Item = At<'v>>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for container in containers {
        for port in container.get("ports").items() {
            let host = port.get("hostPort");
            let number = host.int().unwrap_or(0);
            let key = format!("{}/{}/{number}", port.get("protocol").text(), port.get("hostIP").text());
            if number != 0 && !seen.insert(key.clone()) {
                errors.duplicate(&host.path, &Value::from(key));
            }
        }
    }
}

fn resize_policy(list: &At<'_>, restart: &str, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for item in list.items() {
        let (resource, policy) = (item.get("resourceName"), item.get("restartPolicy"));
        if !seen.insert(resource.text()) {
            errors.duplicate(&item.path, resource.value);
        }
        // Upstream's paths stop at the list.
        resource.named(&*list.path).choice(&["cpu", "memory"], errors);
        policy.named(&*list.path).choice(&["NotRequired", "RestartContainer"], errors);
        if restart == "Never" && policy.text() != "NotRequired" {
            let why = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            policy.named(&*list.path).invalid_text(why, errors);
        }
    }
}

/// Claims that a container names must be claims of its pod.
fn claims(claims: &At<'_>, pod_claims: &At<'_>, errors: &mut Errors) {
    let known: BTreeSet<&str> = pod_claims.items().map(|claim| claim.get("name").text()).collect();
    let mut seen = BTreeSet::new();
    for claim in claims.items() {
        let name = claim.get("name").text();
        let key = format!("{name}/{}", claim.get("request").text());
        if name.is_empty() {
            claim.required("", errors);
        } else if !seen.insert(key) {
            errors.duplicate(&claim.path, &Value::from(name));
        }
        if !name.is_empty() && !known.contains(name) {
            errors.not_found(&claim.path, &Value::from(name));
        }
    }
}

pub fn resource_claims(claims: &At<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for claim in claims.items() {
        let name = claim.get("name");
        if name.is_empty() {
            name.required("", errors);
        } else if !seen.insert(name.text()) {
            name.duplicate(errors);
        } else {
            name.obey(names::label, errors);
        }
        let (one, template) = (claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName"));
        match (one.is_set(), template.is_set()) {
            (true, true) => claim.invalid(
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
                errors,
            ),
            (false, false) => {
                claim
                    .invalid("must specify one of: `resourceClaimName`, `resourceClaimTemplateName`", errors);
            }
            _ => {}
        }
        one.name(names::subdomain, errors);
        template.name(names::subdomain, errors);
    }
}
