//! Pods, and the templates that pods are made from (upstream: `ValidatePodSpec`).

mod containers;
mod env;
mod probes;
pub(super) mod resources;
pub(super) mod scheduling;
mod security;
mod sources;
mod status;
mod update;
pub(super) mod volumes;

pub use sources::{csi_driver, of_persistent_volume, persistent_sources};
pub use status::status_update;
pub use update::{ephemeral_containers_update, pod_update};

use super::at::At;
use super::meta;
use super::rules::{Row, Rule, check};
use crate::fields::Errors;
use crate::names;

/// What containers are checked against: the rest of their pod.
struct Pod<'a, 'v> {
    spec: &'a At<'v>,
    volumes: volumes::Volumes<'v>,
    grace: Option<i64>,
    host_users: bool,
}

/// A pod, made or changed.
pub fn pod(object: &At<'_>, errors: &mut Errors) {
    let spec = object.get("spec");
    pod_annotations(&object.at("metadata.annotations"), &spec, errors);
    pod_spec(&spec, Some(object.at("metadata.name").text()), errors);
    if spec.get("serviceAccountName").is_empty() {
        for volume in spec.get("volumes").items() {
            for source in volume.at("projected.sources").items() {
                let token = source.get("serviceAccountToken");
                if token.is_set() {
                    token.forbidden("must not be specified when serviceAccountName is not set", errors);
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        spec.get(list).items().for_each(|container| containers::image_is_trimmed(&container, errors));
    }
}

/// What holds for a new pod only.
pub fn pod_create(object: &At<'_>, errors: &mut Errors) {
    let spec = object.get("spec");
    let ephemeral = spec.get("ephemeralContainers");
    if !ephemeral.is_empty() {
        ephemeral.forbidden("cannot be set on create", errors);
    }
    if !spec.get("nodeName").is_empty() && !spec.get("schedulingGates").is_empty() {
        spec.get("nodeName").forbidden("cannot be set until all schedulingGates have been cleared", errors);
    }
}

/// `template` of a workload: labels, annotations and a pod's spec.
pub fn template(template: &At<'_>, errors: &mut Errors) {
    meta::template_meta(template, errors);
    let spec = template.get("spec");
    let annotations = template.at("metadata.annotations").named(template.child("annotations"));
    pod_annotations(&annotations, &spec, errors);
    pod_spec(&spec, None, errors);
    let ephemeral = spec.get("ephemeralContainers");
    if !ephemeral.is_empty() {
        ephemeral.forbidden("ephemeral containers not allowed in pod template", errors);
    }
}

fn pod_annotations(at: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    for (key, value) in at.entries() {
        match key {
            "kubernetes.io/config.mirror" if spec.get("nodeName").is_empty() => {
                value.invalid("must set spec.nodeName if mirror pod annotation is set", errors);
            }
            "controller.kubernetes.io/pod-deletion-cost" if !is_deletion_cost(value.text()) => {
                value.invalid("must be a 32bit integer", errors);
            }
            _ => {}
        }
    }
}

/// A 32 bit number, without a plus and without zeros in front.
fn is_deletion_cost(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let padded = digits.len() > 1 && digits.starts_with('0');
    text.parse::<i32>().is_ok() && !padded && !text.starts_with('+')
}

static SPEC: &[Row] = &[
    Row("", Rule::Code(host_network_ports)),
    // Upstream's list of policies is in this order, not sorted.
    Row("restartPolicy", Rule::Choice(&["Always", "OnFailure", "Never"])),
    Row("dnsPolicy", Rule::Choice(&["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"])),
    Row("nodeSelector", Rule::Labels),
    Row("", Rule::Code(security::pod)),
    Row("affinity", Rule::Within(scheduling::AFFINITY)),
    Row("", Rule::Code(dns_config)),
    Row("readinessGates", Rule::Each(&[Row("conditionType", Rule::Code(qualified))])),
    Row("schedulingGates", Rule::Code(scheduling::gates)),
    Row("topologySpreadConstraints", Rule::Code(scheduling::spread)),
    Row("", Rule::Code(security::host_users)),
    Row("serviceAccountName", Rule::Name(names::subdomain)),
    Row("nodeName", Rule::Name(names::subdomain)),
    Row("activeDeadlineSeconds", Rule::Between(1, i32::MAX as i64)),
    Row("hostname", Rule::Name(names::label)),
    Row("subdomain", Rule::Name(names::label)),
    Row("tolerations", Rule::Each(scheduling::TOLERATION)),
    Row(
        "hostAliases",
        Rule::Each(&[
            Row("ip", Rule::Code(|ip, errors| ip.obey(names::ip, errors))),
            Row(
                "hostnames",
                Rule::Each(&[Row("", Rule::Code(|name, errors| name.obey(names::subdomain, errors)))]),
            ),
        ]),
    ),
    Row("priorityClassName", Rule::Name(names::subdomain)),
    Row("runtimeClassName", Rule::Name(names::subdomain)),
    Row("preemptionPolicy", Rule::OneOf(&["PreemptLowerPriority", "Never"])),
    Row("overhead", Rule::Code(resources::overhead)),
    Row("os", Rule::Within(&[Row("name", Rule::Required("cannot be empty"))])),
    Row("", Rule::Code(security::operating_system)),
];

fn qualified(at: &At<'_>, errors: &mut Errors) {
    at.obey(names::qualified, errors);
}

/// The spec of a pod, whose name is known, or of a template.
fn pod_spec(spec: &At<'_>, name: Option<&str>, errors: &mut Errors) {
    let volumes = volumes::check(&spec.get("volumes"), name, errors);
    let host_users = *spec.get("hostUsers").value != false;
    let grace = spec.get("terminationGracePeriodSeconds").int();
    let pod = Pod { spec, volumes, grace, host_users };
    containers::resource_claims(&spec.get("resourceClaims"), errors);
    containers::containers(&pod, errors);
    containers::init_containers(&pod, errors);
    containers::ephemeral_containers(&pod, errors);
    check(spec, SPEC, errors);
}

/// With the host's network, a port of the container is the host's port. A template may leave the
/// host's port to the pods made from it.
fn host_network_ports(spec: &At<'_>, errors: &mut Errors) {
    if !spec.get("hostNetwork").is_true() {
        return;
    }
    for container in spec.get("containers").items() {
        for port in container.get("ports").items() {
            let host = port.get("hostPort");
            let number = host.int().unwrap_or(0);
            if (number != 0 || spec.path == "spec") && Some(number) != port.get("containerPort").int() {
                host.invalid_number("must match `containerPort` when `hostNetwork` is true", errors);
            }
        }
    }
}

/// What a pod without the cluster's DNS must say itself.
fn dns_config(spec: &At<'_>, errors: &mut Errors) {
    let config = spec.get("dnsConfig");
    let (servers, searches) = (config.get("nameservers"), config.get("searches"));
    if *spec.get("dnsPolicy").value == "None" {
        if !config.is_set() {
            return config.required("must provide `dnsConfig` when `dnsPolicy` is None", errors);
        }
        if servers.is_empty() {
            let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return servers.required(why, errors);
        }
    }
    if servers.len() > 3 {
        servers.invalid("must not have more than 3 nameservers", errors);
    }
    servers.items().for_each(|server| server.obey(names::ip, errors));
    if searches.len() > 32 {
        searches.invalid("must not have more than 32 search paths", errors);
    }
    if searches.texts().join(" ").len() > 2048 {
        let why = "must not have more than 2048 characters (including spaces) in the search list";
        searches.invalid(why, errors);
    }
    for search in searches.items() {
        let domain = search.text().strip_suffix('.').unwrap_or(search.text());
        for why in names::subdomain(domain) {
            errors.invalid(&search.path, &domain.into(), why);
        }
    }
    for option in config.get("options").items() {
        if option.get("name").is_empty() {
            option.required("must not be empty", errors);
        }
    }
}
