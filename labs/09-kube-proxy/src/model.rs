//! What kube-proxy knows about the cluster, parsed at the edge: names that are safe to print into a
//! rule, addresses that are addresses. A port that cannot be parsed is left out, as upstream does;
//! the API server has validated it, so this only guards against a foreign or broken server.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointSlice};

/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// A Service with this label is left to another proxy.
const SERVICE_PROXY_NAME_LABEL: &str = "service.kubernetes.io/service-proxy-name";
/// How long ClientIP affinity lasts where the Service does not say (three hours).
const DEFAULT_AFFINITY_SECONDS: u32 = 10_800;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// Reads the API's spelling; absent means TCP.
    pub fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("" | "TCP") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some("SCTP") => Some(Self::Sctp),
            Some(_) => None,
        }
    }

    /// iptables' spelling, which is also the one that chain names are made of.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// One port of one Service: what upstream calls a `ServicePortName`, and the unit that has chains.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePortName {
    pub namespace: String,
    pub name: String,
    /// Empty for the only port of a Service that does not name it.
    pub port: String,
    pub protocol: Protocol,
}

impl fmt::Display for ServicePortName {
    /// `ns/name:port`, or `ns/name` for an unnamed port (old releases wrote `ns/name:`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)?;
        if self.port.is_empty() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    pub name: ServicePortName,
    pub cluster_ip: Ipv4Addr,
    pub port: u16,
    pub node_port: Option<u16>,
    pub external_ips: Vec<Ipv4Addr>,
    pub load_balancer_ips: Vec<Ipv4Addr>,
    /// Who may use the load balancer's addresses; empty means everybody.
    pub load_balancer_source_ranges: Vec<Cidr>,
    /// `sessionAffinity: ClientIP`, and for how long a client stays with its endpoint.
    pub affinity_seconds: Option<u32>,
    pub internal_policy_local: bool,
    pub external_policy_local: bool,
}

impl ServicePort {
    pub fn externally_accessible(&self) -> bool {
        self.node_port.is_some() || !self.external_ips.is_empty() || !self.load_balancer_ips.is_empty()
    }

    /// Whether any traffic may go to endpoints of every node. External traffic from a pod or from
    /// the node itself does so even under `externalTrafficPolicy: Local`.
    pub fn uses_cluster_endpoints(&self) -> bool {
        !self.internal_policy_local || self.externally_accessible()
    }

    /// Whether any traffic is bound to the endpoints of this node.
    pub fn uses_local_endpoints(&self) -> bool {
        self.internal_policy_local || (self.external_policy_local && self.externally_accessible())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub address: SocketAddrV4,
    pub ready: bool,
    /// Passes its readiness probe, even if it is going away.
    pub serving: bool,
    pub terminating: bool,
    /// Runs on this node.
    pub local: bool,
}

/// Everything that rules are made of, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub services: BTreeMap<ServicePortName, ServicePort>,
    /// Sorted by address, each address once. Only of service ports that exist in slices; a missing
    /// key means none.
    pub endpoints: BTreeMap<ServicePortName, Vec<Endpoint>>,
}

impl Snapshot {
    pub fn collect<'a>(
        services: impl IntoIterator<Item = &'a Service>,
        slices: impl IntoIterator<Item = &'a EndpointSlice>,
        node_name: &str,
    ) -> Self {
        let services = services.into_iter().flat_map(service_ports);
        Self {
            services: services.map(|port| (port.name.clone(), port)).collect(),
            endpoints: merge_slices(slices, node_name),
        }
    }

    pub fn endpoints_of(&self, name: &ServicePortName) -> &[Endpoint] {
        self.endpoints.get(name).map_or(&[], Vec::as_slice)
    }
}

/// The ports of a Service that need rules: none for a headless Service (its clients talk to the
/// pods themselves) and none for an ExternalName (it lives in DNS alone).
pub fn service_ports(service: &Service) -> Vec<ServicePort> {
    let (Some(namespace), Some(name), Some(spec)) =
        (&service.metadata.namespace, &service.metadata.name, &service.spec)
    else {
        return Vec::new();
    };
    let left_to_another =
        service.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(SERVICE_PROXY_NAME_LABEL));
    let Some(cluster_ip) = spec.cluster_ip.as_deref().and_then(|ip| ip.parse().ok()) else {
        return Vec::new();
    };
    if left_to_another || spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let load_balancer_ips = load_balancer_ips(service);
    let ports = spec.ports.iter().flatten();
    ports
        .filter_map(|port| {
            Some(ServicePort {
                name: service_port_name(
                    namespace,
                    name,
                    port.name.as_deref(),
                    Protocol::parse(port.protocol.as_deref())?,
                )?,
                cluster_ip,
                port: port_number(port.port)?,
                node_port: port.node_port.and_then(port_number),
                external_ips: parse_all(&spec.external_ips),
                load_balancer_ips: load_balancer_ips.clone(),
                load_balancer_source_ranges: parse_all(&spec.load_balancer_source_ranges),
                affinity_seconds: affinity_seconds(spec),
                internal_policy_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
                external_policy_local: spec.external_traffic_policy.as_deref() == Some("Local"),
            })
        })
        .collect()
}

fn affinity_seconds(spec: &ServiceSpec) -> Option<u32> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let client_ip = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let seconds = client_ip.and_then(|config| config.timeout_seconds).and_then(|s| u32::try_from(s).ok());
    Some(seconds.unwrap_or(DEFAULT_AFFINITY_SECONDS))
}

fn load_balancer_ips(service: &Service) -> Vec<Ipv4Addr> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    ingress
        // With ipMode Proxy the balancer wants to see even the traffic that starts inside.
        .filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"))
        .filter_map(|ingress| ingress.ip.as_deref()?.parse().ok())
        .collect()
}

/// What several slices together say: an endpoint may move from one slice to another, and be in both
/// for a moment. The more hopeful of two reports holds.
pub fn merge_slices<'a>(
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
    node_name: &str,
) -> BTreeMap<ServicePortName, Vec<Endpoint>> {
    let mut by_address: BTreeMap<ServicePortName, BTreeMap<SocketAddrV4, Endpoint>> = BTreeMap::new();
    for (port, endpoint) in slices.into_iter().flat_map(|slice| endpoints_in(slice, node_name)) {
        let merged = by_address.entry(port).or_default();
        let known = merged.entry(endpoint.address).or_insert_with(|| endpoint.clone());
        if endpoint.ready && !known.ready {
            *known = endpoint;
        }
    }
    by_address.into_iter().map(|(name, merged)| (name, merged.into_values().collect())).collect()
}

/// Every endpoint of a slice, once for every port of the slice. A slice belongs to the Service that
/// its label names; conditions that it does not state are the hopeful ones.
pub fn endpoints_in(slice: &EndpointSlice, node_name: &str) -> Vec<(ServicePortName, Endpoint)> {
    let labels = slice.metadata.labels.as_ref();
    let service = labels.and_then(|labels| labels.get(SERVICE_NAME_LABEL));
    let (Some(namespace), Some(service)) = (&slice.metadata.namespace, service) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for port in slice.ports.iter().flatten() {
        let Some(protocol) = Protocol::parse(port.protocol.as_deref()) else { continue };
        let Some(number) = port.port.and_then(port_number) else { continue };
        let Some(name) = service_port_name(namespace, service, port.name.as_deref(), protocol) else {
            continue;
        };
        let endpoints = slice.endpoints.iter();
        found.extend(endpoints.filter_map(|e| Some((name.clone(), endpoint(e, number, node_name)?))));
    }
    found
}

/// All addresses of one endpoint are the same pod: as upstream, we read the first alone.
fn endpoint(from: &SliceEndpoint, port: u16, node_name: &str) -> Option<Endpoint> {
    let ip: Ipv4Addr = from.addresses.first()?.parse().ok()?;
    let _ = (&port, &node_name, &ip);
    todo!("lab 09.1: ready unless it says otherwise, serving if ready, terminating only if it says so")
}

fn service_port_name(
    namespace: &str,
    name: &str,
    port: Option<&str>,
    protocol: Protocol,
) -> Option<ServicePortName> {
    // These are printed into rules: nothing but the letters of a DNS name may pass.
    let safe = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let port = port.unwrap_or_default();
    let valid = !namespace.is_empty() && !name.is_empty() && [namespace, name, port].into_iter().all(safe);
    valid.then(|| ServicePortName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        port: port.to_owned(),
        protocol,
    })
}

fn port_number(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|&port| port != 0)
}

fn parse_all<T: FromStr>(texts: &Option<Vec<String>>) -> Vec<T> {
    texts.iter().flatten().filter_map(|text| text.trim().parse().ok()).collect()
}

/// An IPv4 network such as `10.244.0.0/16`, with its host bits cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    network: Ipv4Addr,
    prefix: u8,
}

impl Cidr {
    pub fn contains(self, ip: Ipv4Addr) -> bool {
        mask(self.prefix) & u32::from(ip) == u32::from(self.network)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IPv4 network such as 10.244.0.0/16")]
pub struct InvalidCidr(String);

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let invalid = || InvalidCidr(text.to_owned());
        let (ip, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let ip: Ipv4Addr = ip.parse().map_err(|_| invalid())?;
        let prefix: u8 = prefix.parse().ok().filter(|&prefix| prefix <= 32).ok_or_else(invalid)?;
        Ok(Self { network: Ipv4Addr::from(u32::from(ip) & mask(prefix)), prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}
