//! Endpoints: from "pods with these labels" to "these addresses and ports".
//!
//! A Service selects pods; what kube-proxy and DNS need is addresses. The same facts are
//! published twice: as EndpointSlices (at most 100 addresses each, so that one pod's
//! change is one small write), and as one Endpoints object, the older form that people
//! and tools still read.
//!
//! ```text
//!   Service + pods ──► one Target per pod ──grouped by ports──► slices  (plan_slices)
//!                                                       └─────► subsets (plan_endpoints)
//! ```
//!
//! Upstream: `pkg/controller/endpoint`, `k8s.io/endpointslice`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort as SubsetPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service,
    ServicePort,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::labels::Selector;
use objects::meta;

pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub const CONTROLLER: &str = "endpointslice-controller.k8s.io";
pub const HEADLESS: &str = "service.kubernetes.io/headless";
/// As upstream's `--max-endpoints-per-slice`.
pub const MAX_PER_SLICE: usize = 100;

/// A port as the endpoint serves it: (name, protocol, number, appProtocol).
pub type Port = (String, String, i32, Option<String>);

/// One pod as an endpoint of a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub ports: Vec<Port>,
    pub endpoint: Endpoint,
}

/// The selector, unless the Service's endpoints are somebody else's business: it has no
/// selector (as `default/kubernetes`), or is a mere name (ExternalName).
pub fn selector(service: &Service) -> Option<Selector> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let labels = spec.selector.as_ref().filter(|labels| !labels.is_empty())?;
    Selector::from_labels(labels).ok()
}

pub fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// `IPv4` or `IPv6`: the first family of the Service.
pub fn address_type(service: &Service) -> &str {
    let spec = service.spec.as_ref();
    let families = spec.and_then(|spec| spec.ip_families.as_ref());
    match families.and_then(|families| families.first()) {
        Some(family) => family,
        None if spec.and_then(|s| s.cluster_ip.as_ref()).is_some_and(|ip| ip.contains(':')) => "IPv6",
        None => "IPv4",
    }
}

/// The number behind `targetPort` on this pod; `None` if the pod has no port of that name.
pub fn target_port(port: &ServicePort, pod: &Pod) -> Option<i32> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let _ = (&pod, &protocol);
    todo!(
        "lab 06.3: none or 0 means the port itself; a number is a number; a name is looked up in the pod, for the same protocol"
    )
}

/// The Service's ports on this pod. A port whose name the pod lacks is left out.
pub fn ports_of(service: &Service, pod: &Pod) -> Vec<Port> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    let mut resolved = Vec::new();
    for port in ports.into_iter().flatten() {
        if let Some(number) = target_port(port, pod) {
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            let name = port.name.clone().unwrap_or_default();
            resolved.push((name, protocol, number, port.app_protocol.clone()));
        }
    }
    resolved.sort();
    resolved
}

/// The pod as an endpoint, if it has an address and has not ended.
///
/// * `serving`: the pod is ready.
/// * `terminating`: the pod is going away.
/// * `ready`: serving and not terminating, or the Service says `publishNotReadyAddresses`.
pub fn target(service: &Service, pod: &Pod, zones: &BTreeMap<String, String>) -> Option<Target> {
    let spec = service.spec.as_ref()?;
    let address = address_of(service, pod)?;
    let (name, namespace) = (meta::name(&service.metadata), meta::namespace(&service.metadata));
    let _ = (&zones, &spec, &address, &name, &namespace);
    todo!(
        "lab 06.3: conditions, host name, node, its zone, and the reference to the pod; nothing for a pod that has ended"
    )
}

fn address_of(service: &Service, pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let six = address_type(service) == "IPv6";
    let many = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let mut all = many.chain(status.pod_ip.as_deref());
    all.find(|ip| !ip.is_empty() && ip.contains(':') == six).map(str::to_owned)
}

pub fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// What must be written so that the slices say what is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlicePlan {
    pub create: Vec<EndpointSlice>,
    pub update: Vec<EndpointSlice>,
    pub delete: Vec<EndpointSlice>,
}

impl SlicePlan {
    pub fn is_empty(&self) -> bool {
        self.create.is_empty() && self.update.is_empty() && self.delete.is_empty()
    }
}

/// Few writes matter more than full slices: what stands in a slice stays in it, new
/// endpoints go where a slice is written anyway, then where there is room, then into new
/// slices. A Service without endpoints keeps one empty slice, as a sign that it was seen.
pub fn plan_slices(service: &Service, targets: &[Target], existing: &[Arc<EndpointSlice>]) -> SlicePlan {
    let mut plan = SlicePlan::default();
    let mut groups: BTreeMap<Vec<Port>, BTreeMap<String, Endpoint>> = BTreeMap::new();
    for target in targets {
        let group = groups.entry(target.ports.clone()).or_default();
        group.insert(identity(&target.endpoint), target.endpoint.clone());
    }
    if groups.is_empty() {
        groups.insert(Vec::new(), BTreeMap::new());
    }
    let family = address_type(service);
    let mut unused: Vec<&Arc<EndpointSlice>> = existing.iter().collect();
    let empty_service = targets.is_empty();
    for (ports, mut missing) in groups {
        let fits = |slice: &&Arc<EndpointSlice>| slice.address_type == family && slice_ports(slice) == ports;
        let (same, others) = unused.into_iter().partition(|slice| fits(slice));
        unused = others;
        let mut same: Vec<(EndpointSlice, bool)> = same
            .into_iter()
            .map(|slice: &Arc<EndpointSlice>| {
                let mut desired = EndpointSlice::clone(slice);
                desired.metadata = slice_meta(service, &slice.metadata);
                desired.endpoints =
                    slice.endpoints.iter().filter_map(|e| missing.remove(&identity(e))).collect();
                let changed = desired != **slice;
                (desired, changed)
            })
            .collect();
        let mut chunks = fill(&mut same, missing.into_values().collect());
        let mut kept = 0;
        for (slice, changed) in same {
            if slice.endpoints.is_empty() && !(empty_service && kept == 0) {
                plan.delete.push(slice);
            } else {
                kept += 1;
                if changed {
                    plan.update.push(slice);
                }
            }
        }
        if empty_service && kept == 0 && chunks.is_empty() {
            chunks.push(Vec::new());
        }
        plan.create.extend(chunks.into_iter().map(|chunk| new_slice(service, family, &ports, chunk)));
    }
    plan.delete.extend(unused.into_iter().map(|slice| EndpointSlice::clone(slice)));
    plan
}

/// Finds room for new endpoints in slices of their ports. Each slice comes with a flag: it is
/// written anyway. Such slices are filled first, then the others, the fullest before emptier ones,
/// so that as few as possible are written; no slice gets more than [`MAX_PER_SLICE`]. A slice that
/// was given something has its flag set. What found no room is returned, cut for new slices.
fn fill(slices: &mut [(EndpointSlice, bool)], new: Vec<Endpoint>) -> Vec<Vec<Endpoint>> {
    let _ = (&slices, &new);
    todo!("lab 06.3: fill what is written anyway, then the fullest, and cut the rest into new slices")
}

/// The same pod at the same address is the same endpoint.
fn identity(endpoint: &Endpoint) -> String {
    let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref());
    format!("{}/{}", uid.unwrap_or_default(), endpoint.addresses.join(","))
}

fn slice_ports(slice: &EndpointSlice) -> Vec<Port> {
    let port = |port: &EndpointPort| {
        let name = port.name.clone().unwrap_or_default();
        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
        (name, protocol, port.port.unwrap_or(0), port.app_protocol.clone())
    };
    let mut ports: Vec<Port> = slice.ports.iter().flatten().map(port).collect();
    ports.sort();
    ports
}

/// The Service's labels go along, with the two by which slices are found.
fn slice_meta(service: &Service, current: &ObjectMeta) -> ObjectMeta {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), meta::name(&service.metadata).to_owned());
    labels.insert(MANAGED_BY.to_owned(), CONTROLLER.to_owned());
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    ObjectMeta {
        labels: Some(labels),
        owner_references: Some(vec![meta::owner_reference(service)]),
        ..current.clone()
    }
}

fn new_slice(service: &Service, family: &str, ports: &[Port], endpoints: Vec<Endpoint>) -> EndpointSlice {
    let named = ObjectMeta {
        generate_name: Some(format!("{}-", meta::name(&service.metadata))),
        namespace: service.metadata.namespace.clone(),
        ..ObjectMeta::default()
    };
    let port = |(name, protocol, number, app_protocol): &Port| EndpointPort {
        name: Some(name.clone()),
        protocol: Some(protocol.clone()),
        port: Some(*number),
        app_protocol: app_protocol.clone(),
    };
    EndpointSlice {
        metadata: slice_meta(service, &named),
        address_type: family.to_owned(),
        endpoints,
        ports: (!ports.is_empty()).then(|| ports.iter().map(port).collect()),
    }
}

/// The Endpoints object as it should be, or `None` if it is. Terminating pods are not
/// listed, and pods that are not ready stand apart, as the older form knows no conditions.
pub fn plan_endpoints(
    service: &Service,
    targets: &[Target],
    existing: Option<&Endpoints>,
) -> Option<Endpoints> {
    type Addresses = (BTreeSet<String>, Vec<EndpointAddress>, Vec<EndpointAddress>);
    let mut groups: BTreeMap<&[Port], Addresses> = BTreeMap::new();
    for target in targets {
        let conditions = target.endpoint.conditions.clone().unwrap_or_default();
        if conditions.terminating == Some(true) && conditions.ready != Some(true) {
            continue;
        }
        let (seen, ready, not_ready) = groups.entry(&target.ports).or_default();
        let ip = target.endpoint.addresses.first().cloned().unwrap_or_default();
        if !seen.insert(ip.clone()) {
            continue;
        }
        let address = EndpointAddress {
            ip,
            hostname: target.endpoint.hostname.clone(),
            node_name: target.endpoint.node_name.clone(),
            target_ref: target.endpoint.target_ref.clone(),
        };
        if conditions.ready == Some(true) { ready } else { not_ready }.push(address);
    }
    let subsets = groups.into_iter().map(|(ports, (_, ready, not_ready))| {
        let sorted = |mut addresses: Vec<EndpointAddress>| {
            addresses.sort_by(|a, b| a.ip.cmp(&b.ip));
            (!addresses.is_empty()).then_some(addresses)
        };
        let port = |(name, protocol, number, app_protocol): &Port| SubsetPort {
            name: Some(name.clone()).filter(|name| !name.is_empty()),
            protocol: Some(protocol.clone()),
            port: *number,
            app_protocol: app_protocol.clone(),
        };
        let ports: Vec<SubsetPort> = ports.iter().map(port).collect();
        EndpointSubset {
            addresses: sorted(ready),
            not_ready_addresses: sorted(not_ready),
            ports: (!ports.is_empty()).then_some(ports),
        }
    });
    let subsets: Vec<EndpointSubset> = subsets.collect();
    let mut desired = existing.cloned().unwrap_or_default();
    desired.metadata.name.clone_from(&service.metadata.name);
    desired.metadata.namespace.clone_from(&service.metadata.namespace);
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    desired.metadata.labels = (!labels.is_empty()).then_some(labels);
    desired.subsets = (!subsets.is_empty()).then_some(subsets);
    (existing != Some(&desired)).then_some(desired)
}
