//! What the lab gives: what needs no rules, and the pace of syncs.

use std::time::Duration;

use serde_json::json;

use crate::heart::{self, Pace, Snapshot, balance, build};
use crate::world::{self, service};

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

#[test]
fn the_empty_cluster_has_the_fixed_chains_alone() {
    insta::assert_snapshot!(build(&Snapshot::default(), &world::config()));
}

#[test]
fn headless_external_name_and_foreign_services_get_no_rules() {
    let headless = service(json!({"clusterIP": "None"}));
    let external = service(json!({"type": "ExternalName", "externalName": "example.org", "clusterIP": ""}));
    let pending = service(json!({"clusterIP": null}));
    let mut foreign = service(json!({}));
    foreign.metadata.labels =
        Some([("service.kubernetes.io/service-proxy-name".to_owned(), "other".to_owned())].into());
    for service in [headless, external, pending, foreign] {
        assert_eq!(heart::model::service_ports(&service), []);
    }
}

#[test]
fn a_name_that_is_no_dns_name_never_reaches_a_rule() {
    let mut evil = service(json!({}));
    evil.metadata.name = Some("web\n-A KUBE-SERVICES -j DROP".to_owned());
    assert_eq!(heart::model::service_ports(&evil), []);
}

#[test]
fn probabilities_are_printed_with_ten_digits() {
    let printed: Vec<String> = (2..=4).map(balance::probability).collect();
    assert_eq!(printed, ["0.5000000000", "0.3333333333", "0.2500000000"]);
}
