//! Requests that are passed on: to a pod's kubelet (logs, exec, attach, port-forward), and by
//! `/proxy/` to pods, services and nodes. Here it is decided where they go; the shell carries them.
//!
//! Upstream: `pkg/registry/core/{pod,node}/strategy.go`, `pkg/registry/core/service/storage`,
//! `apimachinery/pkg/util/proxy`.

use crate::meta;
use crate::query::Query;
use crate::status::{ApiError, Reason};
use serde_json::Value;
use std::net::IpAddr;

/// How a connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Http,
    /// With whatever certificate is shown: nobody here knows the authorities of pods.
    Https,
    /// With this server's certificate for kubelets, and only to those.
    Kubelet,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub via: Via,
    pub host: String,
    pub port: u16,
}

impl Place {
    /// `10.244.1.7:8080`, as in URLs.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// `[SCHEME:]NAME[:PORT]`, the name of what `/proxy/` leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address<'a> {
    scheme: &'a str,
    pub name: &'a str,
    pub port: &'a str,
}

impl<'a> Address<'a> {
    /// `what` is the kind, for the message.
    pub fn parse(what: &str, id: &'a str) -> Result<Address<'a>, ApiError> {
        let parts: Vec<&str> = id.split(':').collect();
        let (scheme, name, port) = match *parts.as_slice() {
            [name] => ("", name, ""),
            [name, port] => ("", name, port),
            [scheme, name, port] => (scheme, name, port),
            _ => ("", "", ""),
        };
        if name.is_empty() || !matches!(scheme, "" | "http" | "https") {
            return Err(ApiError::bad_request(format!("invalid {what} request {id:?}")));
        }
        Ok(Address { scheme, name, port })
    }

    fn place(&self, host: &str, port: &str) -> Result<Place, ApiError> {
        let via = if self.scheme == "https" { Via::Https } else { Via::Http };
        let port = match (port, via) {
            ("", Via::Https) => 443,
            ("", _) => 80,
            (text, _) => {
                let unknown = || unreachable(&format!("dial tcp: address {text}: invalid port"));
                text.parse().map_err(|_| unknown())?
            }
        };
        // A way to this server's own machine would be a way around its locks.
        let proxyable = host.parse::<IpAddr>().is_ok_and(|ip| {
            let local = match ip {
                IpAddr::V4(ip) => ip.is_link_local(),
                IpAddr::V6(ip) => ip.is_unicast_link_local(),
            };
            !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || local)
        });
        if !proxyable {
            return Err(ApiError::bad_request("address not allowed"));
        }
        Ok(Place { via, host: host.into(), port })
    }
}

/// What a proxy says when nobody answers.
pub fn unreachable(why: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(Reason::ServiceUnavailable, format!("error trying to reach service: {why}"))
}

/// A pod's own address, at the port that is asked for, or else the first that it declares.
pub fn pod_place(pod: &Value, address: &Address<'_>) -> Result<Place, ApiError> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let declared = containers.filter_map(|c| c["ports"][0]["containerPort"].as_u64()).next();
    let port = match address.port {
        "" => declared.map(|port| port.to_string()).unwrap_or_default(),
        port => port.to_string(),
    };
    let ip = match pod["status"]["podIPs"][0]["ip"].as_str() {
        Some(ip) => ip,
        None => meta::text(pod, &["status", "podIP"]),
    };
    address.place(ip, &port)
}

/// The name of a service's port that is asked for by number. `service` is needed only then.
pub fn port_name(service: &Value, address: &Address<'_>) -> Result<String, ApiError> {
    let Ok(number) = address.port.parse::<u64>() else { return Ok(address.port.to_string()) };
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    match ports.find(|port| port["port"].as_u64() == Some(number)) {
        Some(port) => Ok(port["name"].as_str().unwrap_or_default().to_string()),
        None => {
            let message = format!("no service port {number} found for service {:?}", address.name);
            Err(ApiError::new(Reason::ServiceUnavailable, message))
        }
    }
}

/// One of a service's ready endpoints: the `seed`th, round and round.
pub fn service_place(
    endpoints: &Value,
    id: &str,
    address: &Address<'_>,
    port_name: &str,
    seed: u64,
) -> Result<Place, ApiError> {
    let subsets = endpoints["subsets"].as_array().into_iter().flatten();
    let ready: Vec<(&str, u64)> = subsets
        .flat_map(|subset| {
            let ports = subset["ports"].as_array().into_iter().flatten();
            let port = ports
                .filter(|port| port["name"].as_str().unwrap_or_default() == port_name)
                .find_map(|port| port["port"].as_u64());
            let addresses = subset["addresses"].as_array().into_iter().flatten();
            addresses.filter_map(move |address| Some((address["ip"].as_str()?, port?)))
        })
        .collect();
    match ready.get((seed % ready.len().max(1) as u64) as usize) {
        Some((ip, port)) => address.place(ip, &port.to_string()),
        None => {
            let message = format!("no endpoints available for service {id:?}");
            Err(ApiError::new(Reason::ServiceUnavailable, message))
        }
    }
}

/// Where a node's kubelet listens.
pub fn kubelet(node: &Value) -> Result<Place, ApiError> {
    let status = &node["status"];
    let known = || status["addresses"].as_array().into_iter().flatten();
    let address = |kind: &str| known().filter(|a| a["type"] == kind).find_map(|a| a["address"].as_str());
    let host = ["InternalIP", "ExternalIP", "Hostname"].into_iter().find_map(address);
    let port = &status["daemonEndpoints"]["kubeletEndpoint"]["Port"];
    let port = port.as_u64().and_then(|p| u16::try_from(p).ok()).unwrap_or(10250);
    match host {
        Some(host) => Ok(Place { via: Via::Kubelet, host: host.to_string(), port }),
        None => {
            let known: Vec<&str> = known().filter_map(|a| a["type"].as_str()).collect();
            let why = format!("no preferred addresses found; known addresses: [{}]", known.join(" "));
            Err(ApiError::internal(why))
        }
    }
}

/// A node is its kubelet, unless another port is asked for.
pub fn node_place(node: &Value, address: &Address<'_>) -> Result<Place, ApiError> {
    let kubelet = kubelet(node)?;
    match address.port {
        "" => Ok(kubelet),
        port if port == kubelet.port.to_string() => Ok(kubelet),
        port => address.place(&kubelet.host, port),
    }
}

/// A path up to and with `/proxy`, and what follows it, both as they were sent.
pub fn split_at_proxy(path: &str, namespaced: bool) -> (&str, &str) {
    let parts = if namespaced { 7 } else { 5 };
    let end = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).nth(parts - 1);
    path.split_at(end.unwrap_or(path.len()))
}

/// A `Location` that a proxied server answered with, as the client must ask for it: below `prefix`
/// (`/api/v1/namespaces/default/services/web/proxy`) if it is the same server's. `own` is this
/// server as the client called it.
pub fn rewrite_location(location: &str, prefix: &str, own: &str, place: &Place) -> String {
    let (host, path) = match location.split_once("://") {
        Some((_, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (host, path) = rest.split_at(end);
            (Some(host), path)
        }
        None => (None, location),
    };
    let theirs = host.is_none_or(|host| host == own || host == place.authority() || host == place.host);
    if !theirs || (host.is_none() && !path.starts_with('/')) {
        return location.to_string();
    }
    let prefix = if path.starts_with(prefix) { "" } else { prefix };
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("https://{own}{prefix}{slash}{path}")
}

/// The container that is meant: the one that is named, or the only one.
pub fn container<'a>(pod: &'a Value, asked: Option<&'a str>) -> Result<&'a str, ApiError> {
    let names = |list: &str| -> Vec<&'a str> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.filter_map(|c| c["name"].as_str()).collect()
    };
    let (main, init) = (names("containers"), names("initContainers"));
    let name = meta::name(pod);
    if let Some(asked) = asked.filter(|name| !name.is_empty()) {
        if main.contains(&asked) || init.contains(&asked) || names("ephemeralContainers").contains(&asked) {
            return Ok(asked);
        }
        return Err(ApiError::bad_request(format!("container {asked} is not valid for pod {name}")));
    }
    if let [only] = main.as_slice() {
        return Ok(only);
    }
    let mut message =
        format!("a container name must be specified for pod {name}, choose one of: [{}]", main.join(" "));
    if !init.is_empty() {
        message += &format!(" or one of the init containers: [{}]", init.join(" "));
    }
    Err(ApiError::bad_request(message))
}

/// The node of a pod that is to be talked to.
pub fn node_of(pod: &Value) -> Result<&str, ApiError> {
    match meta::text(pod, &["spec", "nodeName"]) {
        "" => Err(ApiError::bad_request(format!("pod {} does not have a host assigned", meta::name(pod)))),
        node => Ok(node),
    }
}

/// The kubelet's query for an exec or an attach: it calls some parameters otherwise.
pub fn command_query(query: &Query) -> String {
    let mut pairs = Vec::new();
    for (key, theirs) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
        if query.flag(key) {
            pairs.push(format!("{theirs}=1"));
        }
    }
    pairs.extend(query.all("command").map(|word| format!("command={}", Query::encode(word))));
    pairs.join("&")
}

/// The kubelet's query for a port-forward: ports, one by one or in one list.
pub fn ports_query(query: &Query) -> Result<String, ApiError> {
    let mut pairs = Vec::new();
    for text in query.all("ports").chain(query.all("port")).flat_map(|list| list.split(',')) {
        let port: u16 = text.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            ApiError::bad_request(format!("unable to parse {text:?} as a port: must be between 1 and 65535"))
        })?;
        pairs.push(format!("port={port}"));
    }
    Ok(pairs.join("&"))
}
