//! What may be written into the status of a pod (upstream: `ValidatePodStatusUpdate`).

use super::update::annotations_update;
use crate::fields::Errors;
use crate::names;
use crate::validation::at::At;
use crate::validation::rules::immutable;
use std::collections::BTreeSet;
use std::net::IpAddr;

pub fn status_update(old: &At<'_>, new: &At<'_>, errors: &mut Errors) {
    annotations_update(old, new, errors);
    let (before, now) = (old.get("status"), new.get("status"));
    for condition in now.get("conditions").named("metadata.conditions").items() {
        let kind = condition.get("type").named(condition.child("Type"));
        kind.obey(names::qualified, errors);
    }
    let nominated = now.get("nominatedNodeName");
    if nominated.value != before.get("nominatedNodeName").value {
        nominated.name(names::subdomain, errors);
    }
    immutable(&before.get("qosClass"), &now.get("qosClass"), errors);
    let policy = old.at("spec.restartPolicy").text();
    let sidecars: BTreeSet<&str> = old
        .at("spec.initContainers")
        .items()
        .filter(|container| *container.get("restartPolicy").value == "Always")
        .map(|container| container.get("name").text())
        .collect();
    for (list, policy) in [
        ("containerStatuses", policy),
        ("initContainerStatuses", policy),
        ("ephemeralContainerStatuses", "Never"),
    ] {
        let may_restart =
            |name: &str| policy == "Always" || list == "initContainerStatuses" && sidecars.contains(name);
        no_resurrection(&before.get(list), &now.get(list), policy, &may_restart, errors);
    }
    addresses(&now, errors);
}

/// What has ended for good does not run again.
fn no_resurrection(
    old: &At<'_>,
    new: &At<'_>,
    policy: &str,
    may_restart: &dyn Fn(&str) -> bool,
    errors: &mut Errors,
) {
    for (i, before) in old.items().enumerate() {
        let (name, ended) = (before.get("name").text(), before.at("state.terminated"));
        let failed = ended.get("exitCode").int().unwrap_or(0) != 0;
        if !ended.is_set() || may_restart(name) || failed && policy == "OnFailure" {
            continue;
        }
        for now in new.items().filter(|now| now.get("name").text() == name) {
            if !now.at("state.terminated").is_set() {
                let path = format!("{}[{i}].state", new.path);
                errors.forbidden(&path, "may not be transitioned to non-terminated state");
            }
        }
    }
}

fn addresses(status: &At<'_>, errors: &mut Errors) {
    let (host, hosts) = (status.get("hostIP"), status.get("hostIPs"));
    if let Some(first) =
        hosts.items().next().map(|first| first.get("ip")).filter(|ip| ip.text() != host.text())
    {
        first.invalid_text("must be equal to `hostIP`", errors);
    }
    for list in [status.get("podIPs"), hosts] {
        let mut seen = BTreeSet::new();
        let mut families = BTreeSet::new();
        for item in list.items() {
            let ip = item.get("ip").named(&*item.path);
            ip.obey(names::ip, errors);
            families.extend(ip.text().parse::<IpAddr>().map(|ip| ip.is_ipv4()));
            if !seen.insert(ip.text()) {
                item.duplicate(errors);
            }
        }
        if list.len() > 1 && (families.len() < 2 || list.len() > 2) {
            list.invalid("may specify no more than one IP for each IP family", errors);
        }
    }
}
