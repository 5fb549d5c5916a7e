//! Kinds that say little: volumes, services, classes (upstream: `pkg/api/{job,service,storage,
//! persistentvolume,persistentvolumeclaim}`, and the strategies).

use super::{nodes, pods, volumes};
use crate::fields::quote;
use crate::validation::at::At;
use std::net::IpAddr;

/// How many pods of a job may be counted apart.
const MANY_COMPLETIONS: i64 = 100_000;
const MUCH_PARALLELISM: i64 = 10_000;

pub fn job(spec: &At<'_>, said: &mut Vec<String>) {
    let above = |key: &str, most: i64| spec.get(key).int().is_some_and(|n| n > most);
    if *spec.get("completionMode").value == "Indexed"
        && above("completions", MANY_COMPLETIONS)
        && above("parallelism", MUCH_PARALLELISM)
    {
        spec.warn("In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail", said);
    }
    pods::template(&spec.get("template"), said);
}

/// Upstream names the claims of an update otherwise than those of a create.
pub fn stateful_set(set: &At<'_>, with_template: bool, is_new: bool, said: &mut Vec<String>) {
    if with_template {
        pods::template(&set.at("spec.template"), said);
    }
    for claim in set.at("spec.volumeClaimTemplates").items() {
        let path = if is_new { claim.path.clone() } else { claim.child("Spec") };
        claim_spec(&claim.get("spec").named(path), said);
    }
    let limit = set.at("spec.revisionHistoryLimit");
    if limit.int().is_some_and(|limit| limit < 0) {
        limit.warn("a negative value retains all historical revisions; a value >= 0 is recommended", said);
    }
}

pub fn node(node: &At<'_>, said: &mut Vec<String>) {
    let id = node.at("spec.externalID");
    if !id.is_empty() {
        id.warn("this field is deprecated, and is unused by Kubernetes", said);
    }
}

fn class_annotation(object: &At<'_>, said: &mut Vec<String>) {
    let class = object.at("metadata.annotations").entry("volume.beta.kubernetes.io/storage-class");
    if class.is_set() {
        class.warn("deprecated since v1.8; use \"storageClassName\" attribute instead", said);
    }
}

pub fn volume(volume: &At<'_>, said: &mut Vec<String>) {
    class_annotation(volume, said);
    let spec = volume.get("spec");
    let policy = spec.get("persistentVolumeReclaimPolicy");
    if policy.text() == "Recycle" {
        policy.warn("The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.", said);
    }
    for term in spec.at("nodeAffinity.required.nodeSelectorTerms").items() {
        nodes::term(&term, false, said);
    }
    volumes::gone(&spec, volumes::GONE, said);
}

pub fn claim(claim: &At<'_>, said: &mut Vec<String>) {
    class_annotation(claim, said);
    claim_spec(&claim.get("spec"), said);
}

pub fn claim_spec(spec: &At<'_>, said: &mut Vec<String>) {
    for amounts in ["requests", "limits"] {
        spec.get("resources").get(amounts).entry("storage").warn_of_fraction(said);
    }
}

pub fn service(service: &At<'_>, said: &mut Vec<String>) {
    let hints = "service.kubernetes.io/topology-aware-hints";
    if service.at("metadata.annotations").entry(hints).is_set() {
        let newer = "service.kubernetes.io/topology-mode";
        said.push(format!("annotation {hints} is deprecated, please use {newer} instead"));
    }
    let spec = service.get("spec");
    let (kind, ip) = (spec.get("type").text(), spec.get("clusterIP").text());
    if ip != "None" {
        spec.get("clusterIPs").items().for_each(|ip| address(&ip, said));
    }
    let outside = spec.get("externalIPs");
    if kind == "ClusterIP" && ip == "None" {
        if !spec.get("loadBalancerIP").is_empty() {
            said.push("spec.loadBalancerIP is ignored for headless services".into());
        }
        if !outside.is_empty() {
            said.push("spec.externalIPs is ignored for headless services".into());
        }
        if spec.get("sessionAffinity").text() != "None" {
            said.push("spec.SessionAffinity is ignored for headless services".into());
        }
    }
    outside.items().for_each(|ip| address(&ip, said));
    address(&spec.get("loadBalancerIP"), said);
    spec.get("loadBalancerSourceRanges").items().for_each(|range| network(&range, said));
    if kind == "ExternalName" && !outside.is_empty() {
        said.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".into());
    }
    if kind != "ExternalName" && !spec.get("externalName").is_empty() {
        said.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".into());
    }
}

/// IPv6 can be written in many ways, and whoever compares texts takes them for different addresses.
fn address(at: &At<'_>, said: &mut Vec<String>) {
    if let Some(canonical) = canonical(at.text()) {
        not_canonical("address", at, &canonical, said);
    }
}

fn network(at: &At<'_>, said: &mut Vec<String>) {
    let Some((ip, bits)) = at.text().split_once('/') else { return };
    if let Some(canonical) = canonical(ip) {
        not_canonical("prefix", at, &format!("{canonical}/{bits}"), said);
    }
}

/// An IPv6 address as RFC 5952 writes it.
fn canonical(text: &str) -> Option<String> {
    text.parse().ok().filter(IpAddr::is_ipv6).map(|ip| ip.to_string())
}

fn not_canonical(what: &str, at: &At<'_>, canonical: &str, said: &mut Vec<String>) {
    if canonical != at.text() {
        let (text, canonical) = (quote(at.text()), quote(canonical));
        at.warn(format!("IPv6 {what} {text} is not in RFC 5952 canonical format ({canonical}), which may cause controller apply-loops"), said);
    }
}

pub fn account(account: &At<'_>, said: &mut Vec<String>) {
    let enforce = account.at("metadata.annotations").entry("kubernetes.io/enforce-mountable-secrets");
    if enforce.is_set() {
        enforce.warn(
            "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets",
            said,
        );
    }
}

pub fn slice(slice: &At<'_>, said: &mut Vec<String>) {
    if slice.get("addressType").text() == "FQDN" {
        said.push("spec.addressType: FQDN endpoints are deprecated".into());
    }
}

pub fn ingress(ingress: &At<'_>, said: &mut Vec<String>) {
    let class = "kubernetes.io/ingress.class";
    let annotated = ingress.at("metadata.annotations").entry(class).is_set();
    if annotated && !ingress.at("spec.ingressClassName").is_set() {
        said.push(format!("annotation {class:?} is deprecated, please use 'spec.ingressClassName' instead"));
    }
}

pub fn runtime_class(class: &At<'_>, said: &mut Vec<String>) {
    let selector = class.at("scheduling.nodeSelector");
    for (label, _) in selector.entries() {
        if let Some(why) = nodes::deprecated(label) {
            selector.warn(why, said);
        }
    }
}

pub fn storage_class(class: &At<'_>, said: &mut Vec<String>) {
    for topology in class.get("allowedTopologies").items() {
        for expression in topology.get("matchLabelExpressions").items() {
            let key = expression.get("key");
            if let Some(why) = nodes::deprecated(key.text()) {
                key.warn(why, said);
            }
        }
    }
}

pub fn capacity(capacity: &At<'_>, said: &mut Vec<String>) {
    let topology = capacity.get("nodeTopology");
    for expression in topology.get("matchExpressions").items() {
        nodes::key(&expression.get("key"), said);
    }
    for (label, _) in topology.get("matchLabels").entries() {
        if let Some(why) = nodes::deprecated(label) {
            topology.get("matchLabels").get(label).warn(why, said);
        }
    }
}
