//! Endpoints and EndpointSlices (upstream: `validateEndpointSubsets`, `pkg/apis/discovery`).

use super::at::At;
use super::meta;
use super::rules::{Change, Row, Rule};
use super::services::ordinary_ip;
use crate::fields::Errors;
use crate::names;
use std::collections::BTreeSet;
use std::net::IpAddr;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

pub static ENDPOINTS: &[Row] = &[Row("subsets", Rule::Each(&[Row("", Rule::Code(subset))]))];

fn subset(at: &At<'_>, errors: &mut Errors) {
    let lists = [at.get("addresses"), at.get("notReadyAddresses")];
    if lists.iter().all(At::is_empty) {
        at.required("must specify `addresses` or `notReadyAddresses`", errors);
    }
    for address in lists.iter().flat_map(At::items) {
        let ip = address.get("ip");
        ip.obey(names::ip, errors);
        address.get("hostname").name(names::label, errors);
        address.get("nodeName").name(names::subdomain, errors);
        if ip.text().parse::<IpAddr>().is_err() {
            ip.invalid_text("must be a valid IP address", errors);
        }
        ordinary_ip(&ip, errors);
    }
    let ports = at.get("ports");
    for port in ports.items() {
        let name = port.get("name");
        if name.is_empty() && ports.len() > 1 {
            name.required("", errors);
        }
        name.name(names::label, errors);
        port.get("port").port(errors);
        port.get("protocol").choice(&PROTOCOLS, errors);
        if port.get("appProtocol").is_set() {
            port.get("appProtocol").obey(names::qualified, errors);
        }
    }
}

pub static ENDPOINT_SLICE: &[Row] = &[
    Row("addressType", Rule::Choice(&["FQDN", "IPv4", "IPv6"])),
    Row("", Rule::Code(endpoints)),
    Row("ports", Rule::Code(slice_ports)),
];

pub static ENDPOINT_SLICE_CHANGES: &[Change] = &[Change::Immutable("addressType")];

fn endpoints(slice: &At<'_>, errors: &mut Errors) {
    let list = slice.get("endpoints");
    if list.len() > 1000 {
        return errors.too_many(&list.path, list.len(), 1000);
    }
    let family = slice.get("addressType").text();
    for endpoint in list.items() {
        let addresses = endpoint.get("addresses");
        match addresses.len() {
            0 => addresses.required("must contain at least 1 address", errors),
            count if count > 100 => errors.too_many(&addresses.path, count, 100),
            _ => {}
        }
        for address in addresses.items() {
            slice_address(&address, family, errors);
        }
        endpoint.get("nodeName").name(names::subdomain, errors);
        let topology = endpoint.get("deprecatedTopology");
        meta::labels(&topology, errors);
        endpoint.get("hostname").name(names::label, errors);
        let mut zones = BTreeSet::new();
        for zone in endpoint.at("hints.forZones").items().map(|zone| zone.get("name")) {
            zone.obey(names::label_value, errors);
            if !zones.insert(zone.text()) {
                zone.duplicate(errors);
            }
        }
    }
}

fn slice_address(address: &At<'_>, family: &str, errors: &mut Errors) {
    let parsed = address.text().parse::<IpAddr>();
    match (family, parsed) {
        ("IPv4", Ok(IpAddr::V4(_))) | ("IPv6", Ok(IpAddr::V6(_))) => ordinary_ip(address, errors),
        ("IPv4", _) => address.invalid("must be an IPv4 address", errors),
        ("IPv6", _) => address.invalid("must be an IPv6 address", errors),
        ("FQDN", _) => address.obey(names::subdomain, errors),
        _ => {}
    }
}

fn slice_ports(list: &At<'_>, errors: &mut Errors) {
    if list.len() > 20_000 {
        return errors.too_many(&list.path, list.len(), 20_000);
    }
    let mut seen = BTreeSet::new();
    for port in list.items() {
        let name = port.get("name");
        name.name(names::label, errors);
        if !seen.insert(name.text()) {
            errors.duplicate(&name.path, &name.text().into());
        }
        port.get("protocol").choice(&PROTOCOLS, errors);
        if port.get("port").is_set() {
            port.get("port").port(errors);
        }
        if port.get("appProtocol").is_set() {
            port.get("appProtocol").obey(names::qualified, errors);
        }
    }
}
