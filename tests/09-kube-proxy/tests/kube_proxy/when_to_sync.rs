//! The rest of the core that is given: the pace of syncs, and the UDP flows that outlive endpoints.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::heart::{Pace, Snapshot, StaleFlow, stale_flows};
use crate::world::NODE;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn the_first_sync_is_due_at_once_and_a_burst_is_joined() {
    let mut pace = Pace::new(ms(1000), ms(30_000));
    assert!(pace.due() <= ms(0));
    synced(&mut pace, ms(5));
    assert_eq!(pace.due(), ms(30_005), "nothing happened: the periodic one is next");
    for _ in 0..10 {
        pace.handle_change();
    }
    assert_eq!(pace.due(), ms(1005));
    synced(&mut pace, ms(1010));
    assert_eq!(pace.due(), ms(31_010));
}

#[test]
fn after_a_quiet_time_a_change_is_synced_at_once() {
    let mut pace = Pace::new(ms(1000), ms(30_000));
    synced(&mut pace, ms(0));
    pace.handle_change();
    assert!(pace.due() <= ms(7000));
    assert!(!pace.is_periodic(ms(7000)));
    assert!(pace.is_periodic(ms(30_000)));
}

#[test]
fn failures_are_retried_with_growing_patience() {
    let mut pace = Pace::new(ms(0), ms(30_000));
    let mut now = ms(0);
    let mut waits = Vec::new();
    for _ in 0..8 {
        pace.handle_failed(now);
        waits.push((pace.due() - now).as_millis());
        now = pace.due();
    }
    assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    synced(&mut pace, now);
    pace.handle_failed(now);
    assert_eq!(pace.due() - now, ms(500));
}

fn synced(pace: &mut Pace, now: Duration) {
    pace.handle_started();
    pace.handle_synced(now);
}

#[test]
fn a_change_during_a_sync_is_owed_another() {
    let mut pace = Pace::new(ms(100), ms(30_000));
    pace.handle_started();
    pace.handle_change();
    pace.handle_synced(ms(20));
    assert_eq!(pace.due(), ms(120));
}

fn dns(pods: &[&str]) -> Snapshot {
    let service = json!({
        "metadata": {"namespace": "kube-system", "name": "kube-dns"},
        "spec": {"clusterIP": "10.96.0.10", "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
        ]},
    });
    let endpoints: Vec<_> = pods.iter().map(|ip| json!({"addresses": [ip]})).collect();
    let slice = json!({
        "metadata": {"namespace": "kube-system", "name": "x", "labels": {"kubernetes.io/service-name": "kube-dns"}},
        "addressType": "IPv4",
        "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}],
        "endpoints": endpoints,
    });
    let (service, slice) = (serde_json::from_value(service), serde_json::from_value(slice));
    Snapshot::collect([&service.expect("a Service")], [&slice.expect("a slice")], NODE)
}

fn commands(flows: BTreeSet<StaleFlow>) -> Vec<String> {
    flows.iter().map(|flow| flow.args().join(" ")).collect()
}

#[test]
fn udp_flows_to_an_endpoint_that_went_are_deleted() {
    let stale = stale_flows(&dns(&["10.244.0.5", "10.244.0.6"]), &dns(&["10.244.0.6"]));
    assert_eq!(
        commands(stale),
        [
            "-D --orig-dst 10.96.0.10 --dst-nat 10.244.0.5 -p udp",
            "-D -p udp --dport 30053 --dst-nat 10.244.0.5"
        ]
    );
}

#[test]
fn udp_flows_from_before_the_first_endpoint_are_deleted() {
    let stale = stale_flows(&dns(&[]), &dns(&["10.244.0.5"]));
    assert_eq!(commands(stale), ["-D --orig-dst 10.96.0.10 -p udp", "-D -p udp --dport 30053"]);
}

#[test]
fn a_deleted_service_takes_its_flows_along_and_an_unchanged_one_keeps_them() {
    let before = dns(&["10.244.0.5"]);
    assert_eq!(stale_flows(&before, &before), BTreeSet::new());
    assert_eq!(stale_flows(&before, &Snapshot::default()).len(), 2);
}
