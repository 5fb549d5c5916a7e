//! Endpoints: which pods, which ports, which state, and as few writes as possible.

use graded::graded;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use proptest::prelude::*;

use crate::heart::endpoints::{
    MAX_PER_SLICE, SlicePlan, Target, plan_endpoints, plan_slices, target, target_port,
};
use crate::{Value, json, merge, object, pod, text};

pub fn service(more: Value) -> Service {
    let mut value = json!({
        "metadata": { "name": "web", "namespace": "default", "uid": "svc", "labels": { "team": "a" } },
        "spec": {
            "clusterIP": "10.96.0.7",
            "selector": { "app": "web" },
            "ports": [{ "name": "http", "port": 80, "targetPort": "http" }, { "name": "raw", "port": 9000 }],
        },
    });
    merge(&mut value, &more);
    object(value)
}

fn web_pod(name: &str, ip: &str, more: Value) -> Arc<Pod> {
    let mut value = json!({
        "spec": { "containers": [{ "name": "c", "ports": [{ "name": "http", "containerPort": 8080 }] }] },
        "status": { "podIP": ip, "podIPs": [{ "ip": ip }] },
    });
    merge(&mut value, &more);
    pod(name, value)
}

fn targets(service: &Service, pods: &[Arc<Pod>]) -> Vec<Target> {
    let zones = BTreeMap::from([("n1".to_owned(), "zone-a".to_owned())]);
    pods.iter().filter_map(|pod| target(service, pod, &zones)).collect()
}

/// (ready, serving, terminating), or nothing.
fn state(service: &Service, pod: &Arc<Pod>) -> Option<(bool, bool, bool)> {
    let target = target(service, pod, &BTreeMap::new())?;
    let conditions = target.endpoint.conditions.expect("conditions");
    Some((
        conditions.ready.expect("ready"),
        conditions.serving.expect("serving"),
        conditions.terminating.expect("terminating"),
    ))
}

/// A pod that is going away may finish what it has, and gets nothing new.
#[graded]
fn ready_means_serving_and_not_terminating_unless_the_service_publishes_all() {
    let unready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    let going = json!({ "metadata": { "deletionTimestamp": text(0) } });
    let (up, down, leaving) = (
        web_pod("a", "1.1.1.1", json!({})),
        web_pod("b", "1.1.1.2", unready),
        web_pod("c", "1.1.1.3", going),
    );
    let plain = service(json!({}));
    assert_eq!(state(&plain, &up), Some((true, true, false)));
    assert_eq!(state(&plain, &down), Some((false, false, false)));
    assert_eq!(state(&plain, &leaving), Some((false, true, true)));
    let publishes = service(json!({ "spec": { "publishNotReadyAddresses": true } }));
    assert_eq!(state(&publishes, &down), Some((true, false, false)));
    assert_eq!(state(&publishes, &leaving), Some((true, true, true)));
}

/// Its address may be given to another pod the next moment.
#[graded]
fn a_pod_without_an_address_or_that_has_ended_is_no_endpoint() {
    assert_eq!(state(&service(json!({})), &web_pod("a", "", json!({}))), None);
    let ended = web_pod("b", "1.1.1.1", json!({ "status": { "phase": "Succeeded" } }));
    assert_eq!(state(&service(json!({})), &ended), None);
}

/// So that a new version may listen elsewhere under the old name.
#[graded]
fn a_target_port_is_a_number_or_a_name_that_each_pod_resolves_for_itself() {
    let one = web_pod("a", "1.1.1.1", json!({}));
    let port = |more: Value| {
        let mut value = json!({ "port": 80 });
        merge(&mut value, &more);
        target_port(&object(value), &one)
    };
    assert_eq!(port(json!({})), Some(80), "no target port: the port itself");
    assert_eq!(port(json!({ "targetPort": 9090 })), Some(9090));
    assert_eq!(port(json!({ "targetPort": "http" })), Some(8080));
    assert_eq!(port(json!({ "targetPort": "metrics" })), None);
    assert_eq!(port(json!({ "targetPort": "http", "protocol": "UDP" })), None, "the name of a TCP port");
}

/// Proxies read slices; people and old tools read Endpoints.
#[graded]
fn a_service_and_its_pods_become_one_slice_and_one_endpoints_object() {
    let headless = service(json!({ "spec": { "clusterIP": "None" } }));
    let unready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    let named = json!({ "spec": { "hostname": "zero", "subdomain": "web" } });
    let pods = [web_pod("a", "10.244.0.2", named), web_pod("b", "10.244.0.3", unready)];
    let targets = targets(&headless, &pods);
    let plan = plan_slices(&headless, &targets, &[]);
    insta::assert_json_snapshot!("slice", plan.create);
    insta::assert_json_snapshot!("endpoints", plan_endpoints(&headless, &targets, None));
}

/// A slice says its ports once, for all its endpoints.
#[graded]
fn pods_that_resolve_a_port_differently_need_slices_of_their_own() {
    let other = json!({ "spec": { "containers": [{ "name": "c", "ports": [{ "name": "http", "containerPort": 81 }] }] } });
    let pods = [web_pod("a", "10.244.0.2", json!({})), web_pod("b", "10.244.0.3", other)];
    let web = service(json!({}));
    assert_eq!(plan_slices(&web, &targets(&web, &pods), &[]).create.len(), 2);
}

/// A sign that the Service was seen, and has no endpoints: not the same as no news.
#[graded]
fn a_service_without_pods_keeps_one_empty_slice() {
    let web = service(json!({}));
    let plan = plan_slices(&web, &[], &[]);
    assert_eq!(plan.create.len(), 1);
    assert!(plan.create[0].endpoints.is_empty(), "nobody is behind the Service");
    let stored = store(&plan, &mut 0);
    assert!(plan_slices(&web, &[], &stored).is_empty());
}

/// In a cluster of a thousand nodes each slice written is sent a thousand times.
#[graded]
fn one_pods_change_writes_one_slice_and_leaves_the_others_alone() {
    let web = service(json!({}));
    let mut pods = fleet(0, 250);
    let first = plan_slices(&web, &targets(&web, &pods), &[]);
    let full: Vec<usize> = first.create.iter().map(|slice| slice.endpoints.len()).collect();
    assert_eq!(full, [100, 100, 50]);
    let stored = store(&first, &mut 0);
    pods.remove(0);
    let second = plan_slices(&web, &targets(&web, &pods), &stored);
    assert_eq!((second.create.len(), second.update.len(), second.delete.len()), (0, 1, 0));
}

/// `count` ready pods of the Service, the first of them with this number.
fn fleet(first: usize, count: usize) -> Vec<Arc<Pod>> {
    let pod = |n: usize| web_pod(&format!("p{n}"), &format!("10.244.{}.{}", n / 200, n % 200 + 2), json!({}));
    (first..first + count).map(pod).collect()
}

/// Slices that hold so many pods each, and those pods.
fn partly_filled(sizes: &[usize]) -> (Vec<Arc<EndpointSlice>>, Vec<Arc<Pod>>) {
    let web = service(json!({}));
    let (mut slices, mut pods, mut made) = (Vec::new(), Vec::new(), 0);
    for size in sizes {
        let own = fleet(pods.len(), *size);
        slices.extend(store(&plan_slices(&web, &targets(&web, &own), &[]), &mut made));
        pods.extend(own);
    }
    (slices, pods)
}

/// Every write of a slice goes to every node of the cluster: a second one for the same news is waste.
#[graded]
fn a_new_pod_goes_into_a_slice_that_is_written_anyway() {
    let web = service(json!({}));
    let (stored, mut pods) = partly_filled(&[40, 90, 60]);
    pods.remove(0);
    pods.extend(fleet(500, 3));
    let plan = plan_slices(&web, &targets(&web, &pods), &stored);
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 1, 0));
    assert_eq!(
        plan.update[0].metadata.name.as_deref(),
        Some("web-1"),
        "it lost a pod, and is written for that"
    );
    assert_eq!(plan.update[0].endpoints.len(), 42);
}

/// Few full slices are less to watch than many that are half empty.
#[graded]
fn a_new_pod_goes_into_the_fullest_slice_that_has_room() {
    let web = service(json!({}));
    let (stored, mut pods) = partly_filled(&[40, 90, 60, 100]);
    pods.extend(fleet(500, 12));
    let plan = plan_slices(&web, &targets(&web, &pods), &stored);
    let mut sizes: Vec<(String, usize)> = Vec::new();
    for slice in &plan.update {
        sizes.push((slice.metadata.name.clone().expect("a name"), slice.endpoints.len()));
    }
    assert_eq!(sizes, [("web-2".to_owned(), 100), ("web-3".to_owned(), 62)]);
    assert!(plan.create.is_empty() && plan.delete.is_empty(), "two slices had room enough");
}

/// Gives new slices names, as the server does.
fn store(plan: &SlicePlan, made: &mut usize) -> Vec<Arc<EndpointSlice>> {
    let named = plan.create.iter().map(|slice| {
        *made += 1;
        let mut slice = slice.clone();
        slice.metadata.name = Some(format!("web-{made}"));
        Arc::new(slice)
    });
    named.collect()
}

fn apply(slices: &mut BTreeMap<String, Arc<EndpointSlice>>, plan: &SlicePlan, made: &mut usize) {
    let name = |slice: &EndpointSlice| slice.metadata.name.clone().expect("a name");
    for slice in &plan.delete {
        slices.remove(&name(slice));
    }
    for slice in &plan.update {
        slices.insert(name(slice), Arc::new(slice.clone()));
    }
    for slice in store(plan, made) {
        slices.insert(name(&slice), slice);
    }
}

proptest! {
    /// The pods come and go; the second opinion is the plain set of addresses.
    #[graded]
    fn the_slices_hold_exactly_the_pods_and_a_second_plan_is_empty(
        rounds in prop::collection::vec(prop::collection::btree_map(0..260u16, 0..2u8, 0..150), 1..4),
    ) {
        let web = service(json!({}));
        let (mut slices, mut made) = (BTreeMap::new(), 0);
        for round in rounds {
            let pods: Vec<Arc<Pod>> = round.iter().map(|(index, port)| {
                let ports = json!([{ "name": "http", "containerPort": 8000 + u16::from(*port) }]);
                let ip = format!("10.244.{}.{}", index / 200, index % 200 + 2);
                web_pod(&format!("p{index}"), &ip, json!({ "spec": { "containers": [{ "name": "c", "ports": ports }] } }))
            }).collect();
            let targets = targets(&web, &pods);
            let existing: Vec<Arc<EndpointSlice>> = slices.values().cloned().collect();
            let plan = plan_slices(&web, &targets, &existing);
            for slice in &plan.update {
                let before = slices[slice.metadata.name.as_deref().expect("a name")].as_ref();
                prop_assert_ne!(before, slice, "an update must change something");
            }
            apply(&mut slices, &plan, &mut made);
            let mut published = BTreeSet::new();
            for slice in slices.values() {
                prop_assert!(slice.endpoints.len() <= MAX_PER_SLICE, "{} in one slice", slice.endpoints.len());
                let http = slice.ports.iter().flatten().find(|port| port.name.as_deref() == Some("http"));
                for endpoint in &slice.endpoints {
                    let port = http.and_then(|port| port.port).expect("a port");
                    prop_assert!(published.insert((endpoint.addresses[0].clone(), port)), "published twice");
                }
            }
            let expected: BTreeSet<(String, i32)> = round.iter().map(|(index, port)| {
                (format!("10.244.{}.{}", index / 200, index % 200 + 2), 8000 + i32::from(*port))
            }).collect();
            prop_assert_eq!(published, expected);
            let existing: Vec<Arc<EndpointSlice>> = slices.values().cloned().collect();
            prop_assert!(plan_slices(&web, &targets, &existing).is_empty(), "a second plan has nothing to do");
            let endpoints: Option<Endpoints> = plan_endpoints(&web, &targets, None);
            prop_assert_eq!(plan_endpoints(&web, &targets, endpoints.as_ref()), None);
        }
    }
}
