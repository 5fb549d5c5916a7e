//! Ingresses, ingress classes and network policies (upstream: `pkg/apis/networking/validation`).

use super::at::At;
use super::meta;
use super::rules::{Change, Row, Rule};
use crate::fields::{Errors, go_strings};
use crate::names;
use std::net::IpAddr;

pub static INGRESS: &[Row] = &[
    Row("spec", Rule::Code(something)),
    Row("spec.defaultBackend", Rule::Within(BACKEND)),
    Row("spec.rules", Rule::Each(&[Row("", Rule::Code(rule))])),
    Row("spec.tls", Rule::Code(tls)),
    Row("spec.ingressClassName", Rule::Name(names::subdomain)),
];

static BACKEND: &[Row] = &[Row("", Rule::Code(backend))];

fn something(spec: &At<'_>, errors: &mut Errors) {
    if spec.get("rules").is_empty() && !spec.get("defaultBackend").is_set() {
        let why = "either `defaultBackend` or `rules` must be specified";
        errors.invalid_text(&spec.path, "[]networking.IngressRule(nil)", why);
    }
}

/// The class of an ingress is a field; the annotation of old may not stand beside it.
pub fn ingress_create(ingress: &At<'_>, errors: &mut Errors) {
    let class = "kubernetes.io/ingress.class";
    let annotation = ingress.at("metadata.annotations").entry(class);
    if annotation.is_set() && ingress.at("spec.ingressClassName").is_set() {
        let why = "can not be set when the class field is also set";
        annotation.named(format!("annotations.{class}")).invalid(why, errors);
    }
}

fn rule(rule: &At<'_>, errors: &mut Errors) {
    let host = rule.get("host");
    if host.text().parse::<IpAddr>().is_ok() {
        host.invalid("must be a DNS name, not an IP address", errors);
    }
    host_name(&host, errors);
    let http = rule.get("http");
    if !http.is_set() {
        return;
    }
    http.get("paths").require(errors);
    http.get("paths").items().for_each(|item| path(&item, errors));
}

fn host_name(host: &At<'_>, errors: &mut Errors) {
    let rule = if host.text().contains('*') { names::wildcard_subdomain } else { names::subdomain };
    host.name(rule, errors);
}

/// Sequences that clients and proxies read differently.
const INSIDE: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const AT_THE_END: [&str; 2] = ["/..", "/."];

fn path(at: &At<'_>, errors: &mut Errors) {
    let (path, kind) = (at.get("path"), at.get("pathType"));
    if !kind.is_set() {
        return kind.required("pathType must be specified", errors);
    }
    let absolute = path.text().starts_with('/');
    match kind.text() {
        "Exact" | "Prefix" => {
            if !absolute {
                path.invalid_text("must be an absolute path", errors);
            }
            for bad in INSIDE.iter().filter(|bad| path.text().contains(**bad)) {
                path.invalid(format!("must not contain '{bad}'"), errors);
            }
            for bad in AT_THE_END.iter().filter(|bad| path.text().ends_with(**bad)) {
                path.invalid(format!("cannot end with '{bad}'"), errors);
            }
        }
        "ImplementationSpecific" => {
            if !path.is_empty() && !absolute {
                path.invalid("must be an absolute path", errors);
            }
        }
        _ => kind.one_of(&["Exact", "ImplementationSpecific", "Prefix"], errors),
    }
    backend(&at.get("backend"), errors);
}

/// A service with one port, or some other resource.
fn backend(at: &At<'_>, errors: &mut Errors) {
    let (service, resource) = (at.get("service"), at.get("resource"));
    match (service.is_set(), resource.is_set()) {
        (true, true) => {
            errors.invalid_text(&at.path, "\"\"", "cannot set both resource and service backends");
        }
        (false, true) => reference(&resource, errors),
        (true, false) => {
            let (name, port) = (service.get("name"), service.get("port"));
            if name.require(errors) {
                name.obey(names::label_1035, errors);
            }
            let (port_name, number) = (port.get("name"), port.get("number"));
            match (port_name.is_empty(), number.int().unwrap_or(0) == 0) {
                (false, false) => {
                    errors.invalid_text(&at.path, "\"\"", "cannot set both port name & port number")
                }
                (false, true) => port_name.obey(names::port_name, errors),
                (true, false) => number.port(errors),
                (true, true) => {
                    at.required("port name or number is required", errors);
                }
            }
        }
        (false, false) => {
            errors.invalid_text(&at.path, "\"\"", "resource or service backend is required");
        }
    }
}

fn tls(list: &At<'_>, errors: &mut Errors) {
    for entry in list.items() {
        entry.get("hosts").items().for_each(|host| host_name(&host, errors));
        entry.get("secretName").name(names::subdomain, errors);
    }
}

/// An object of some kind in the same namespace.
fn reference(at: &At<'_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    if at.get("apiGroup").is_set() {
        at.get("apiGroup").obey(names::subdomain, errors);
    }
    for key in ["kind", "name"] {
        let field = at.get(key);
        if field.is_empty() {
            field.required(&format!("{key} is required"), errors);
        } else {
            field.obey(names::path_segment, errors);
        }
    }
}

pub static INGRESS_CLASS: &[Row] = &[
    Row("spec.controller", Rule::AtMost(250)),
    Row("spec.controller", Rule::Code(domain_prefixed)),
    Row("spec.parameters", Rule::Code(parameters)),
];

pub static INGRESS_CLASS_CHANGES: &[Change] = &[Change::Immutable("spec.controller")];

/// `domain/path`.
fn domain_prefixed(at: &At<'_>, errors: &mut Errors) {
    if !at.require(errors) {
        return;
    }
    match at.text().split_once('/') {
        Some((domain, path)) if !domain.is_empty() && !path.is_empty() => {
            for why in names::subdomain(domain) {
                errors.invalid(&at.path, &domain.into(), why);
            }
        }
        _ => at.invalid("must be a domain-prefixed path (such as \"acme.io/foo\")", errors),
    }
}

fn parameters(at: &At<'_>, errors: &mut Errors) {
    if !at.is_set() {
        return;
    }
    reference(at, errors);
    let (scope, namespace) = (at.get("scope"), at.get("namespace"));
    match scope.text() {
        "" => scope.required("", errors),
        "Cluster" if namespace.is_set() => {
            namespace.forbidden("`parameters.scope` is set to 'Cluster'", errors);
        }
        "Namespace" if !namespace.is_set() => {
            namespace.required("`parameters.scope` is set to 'Namespace'", errors);
        }
        "Namespace" => namespace.obey(names::label, errors),
        _ => scope.one_of(&["Cluster", "Namespace"], errors),
    }
}

pub static NETWORK_POLICY: &[Row] = &[
    Row("spec.podSelector", Rule::Selector),
    Row("spec.ingress", Rule::Each(&[Row("ports", PORTS), Row("from", PEERS)])),
    Row("spec.egress", Rule::Each(&[Row("ports", PORTS), Row("to", PEERS)])),
    Row("spec.policyTypes", Rule::Code(policy_types)),
];

const PORTS: Rule = Rule::Each(&[Row("", Rule::Code(policy_port))]);
const PEERS: Rule = Rule::Each(&[Row("", Rule::Code(peer))]);

fn policy_port(at: &At<'_>, errors: &mut Errors) {
    let (port, end) = (at.get("port"), at.get("endPort"));
    at.get("protocol").one_of(&["TCP", "UDP", "SCTP"], errors);
    if port.is_set() {
        port.port_or_name(errors);
    }
    if !end.is_set() {
        return;
    }
    match port.value.as_i64() {
        None if port.is_set() => {
            end.invalid("may not be specified when `port` is non-numeric", errors);
        }
        None => end.invalid("may not be specified when `port` is not specified", errors),
        Some(number) => {
            if end.int().is_some_and(|end| end < number) {
                end.invalid("must be greater than or equal to `port`", errors);
            }
            end.port(errors);
        }
    }
}

fn peer(at: &At<'_>, errors: &mut Errors) {
    let (pods, namespaces, block) = (at.get("podSelector"), at.get("namespaceSelector"), at.get("ipBlock"));
    meta::selector(&pods, errors);
    meta::selector(&namespaces, errors);
    if block.is_set() {
        ip_block(&block, errors);
    }
    match (block.is_set(), pods.is_set() || namespaces.is_set()) {
        (false, false) => at.required("must specify a peer", errors),
        (true, true) => at.forbidden("may not specify both ipBlock and another peer", errors),
        _ => {}
    }
}

fn ip_block(at: &At<'_>, errors: &mut Errors) {
    let cidr = at.get("cidr");
    if !cidr.require(errors) {
        return;
    }
    let Some((network, bits)) = names::parse_cidr(cidr.text()) else {
        return cidr.obey(names::cidr, errors);
    };
    for except in at.get("except").items() {
        match names::parse_cidr(except.text()) {
            None => except.obey(names::cidr, errors),
            Some((inner, inner_bits)) if !contains(network, bits, inner) || bits >= inner_bits => {
                except.invalid("must be a strict subset of `cidr`", errors);
            }
            Some(_) => {}
        }
    }
}

fn contains(network: IpAddr, bits: u8, ip: IpAddr) -> bool {
    let (a, b, width) = match (network, ip) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(u32::from(a)), u128::from(u32::from(b)), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a), u128::from(b), 128),
        _ => return false,
    };
    let hidden = width - u32::from(bits);
    hidden >= 128 || a >> hidden == b >> hidden
}

fn policy_types(list: &At<'_>, errors: &mut Errors) {
    if list.len() > 2 {
        let printed = go_strings("networking.PolicyType", list.value);
        return errors.invalid_text(&list.path, &printed, "may not specify more than two policyTypes");
    }
    list.items().for_each(|kind| kind.one_of(&["Ingress", "Egress"], errors));
}
