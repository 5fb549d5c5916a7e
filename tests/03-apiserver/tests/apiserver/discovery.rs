//! What clients learn of a server that they know nothing of. Given to students; tested here, graded
//! nowhere.

use crate::common::crontabs;
use crate::heart::aggregation::Aggregated;
use crate::heart::catalog::Catalog;
use crate::heart::{custom, discovery};
use objects::resources;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cmp::Ordering;

fn builtin() -> Catalog {
    Catalog::default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn discovery_says_what_is_served() {
    let mut out = String::new();
    for core in [true, false] {
        let found = discovery::aggregated(&builtin(), core, "v2");
        for group in list(&found["items"]) {
            for version in list(&group["versions"]) {
                for resource in list(&version["resources"]) {
                    let subresources = list(&resource["subresources"]).iter();
                    let subresources: Vec<&str> =
                        subresources.filter_map(|s| s["subresource"].as_str()).collect();
                    out += &format!(
                        "{}/{} {} {}\n",
                        group["metadata"]["name"].as_str().unwrap_or("core"),
                        version["version"].as_str().unwrap_or("?"),
                        resource["resource"].as_str().unwrap_or("?"),
                        subresources.join(",")
                    );
                }
            }
        }
    }
    insta::assert_snapshot!(out);
}

/// A line for each resource and subresource, whichever form it was told in.
fn told_at_once(catalog: &Catalog) -> Vec<String> {
    let mut out = Vec::new();
    for core in [true, false] {
        let found = discovery::aggregated(catalog, core, "v2");
        for group in list(&found["items"]) {
            let name = group["metadata"]["name"].as_str().unwrap_or_default();
            for version in list(&group["versions"]) {
                for r in list(&version["resources"]) {
                    let namespaced = r["scope"] == "Namespaced";
                    let line = |path: String, of: &Value| {
                        format!(
                            "{name} {} {path} {namespaced} {} {}",
                            version["version"], of["responseKind"]["kind"], of["verbs"]
                        )
                    };
                    let plural = r["resource"].as_str().unwrap_or_default();
                    out.push(line(plural.to_owned(), r));
                    for s in list(&r["subresources"]) {
                        out.push(line(
                            format!("{plural}/{}", s["subresource"].as_str().unwrap_or_default()),
                            s,
                        ));
                    }
                }
            }
        }
    }
    out.sort();
    out
}

fn told_step_by_step(catalog: &Catalog) -> Vec<String> {
    let get = |path: &str| discovery::legacy(catalog, path, "x").expect("discovery").expect("is served");
    let mut group_versions = vec![(String::new(), get("/api")["versions"][0].clone())];
    for group in list(&get("/apis")["groups"]) {
        let name = group["name"].as_str().unwrap_or_default();
        assert_eq!(get(&format!("/apis/{name}"))["preferredVersion"], group["versions"][0]);
        group_versions
            .extend(list(&group["versions"]).iter().map(|v| (name.to_owned(), v["version"].clone())));
    }
    let mut out = Vec::new();
    for (group, version) in group_versions {
        let v = version.as_str().unwrap_or_default();
        let path = if group.is_empty() { format!("/api/{v}") } else { format!("/apis/{group}/{v}") };
        for r in list(&get(&path)["resources"]) {
            let path = r["name"].as_str().unwrap_or_default();
            out.push(format!("{group} {version} {path} {} {} {}", r["namespaced"], r["kind"], r["verbs"]));
        }
    }
    out.sort();
    out
}

#[test]
fn both_forms_of_discovery_agree() {
    let told = told_at_once(&builtin());
    assert_eq!(told, told_step_by_step(&builtin()));
    assert!(told.len() > resources::served().len());
}

#[test]
fn the_storage_version_has_upstreams_hash() {
    // As `kubectl get --raw /api/v1` of any cluster says.
    let found = discovery::legacy(&builtin(), "/api/v1", "x").expect("discovery").expect("is served");
    let pods = list(&found["resources"]).iter().find(|r| r["name"] == "pods").expect("pods");
    assert_eq!(pods["storageVersionHash"], "xPOwRZ+Yhw8=");
    assert_eq!(pods["shortNames"], json!(["po"]));
}

#[test]
fn a_path_that_is_no_step_of_discovery_is_somebody_elses() {
    assert!(discovery::legacy(&builtin(), "/healthz", "x").is_none());
    for path in ["/api/v2", "/apis/nothing.example.com", "/apis/apps/v7"] {
        assert!(discovery::legacy(&builtin(), path, "x").is_some_and(|found| found.is_err()), "{path}");
    }
}

#[test]
fn custom_kinds_are_told_as_built_in_ones_are() {
    let catalog = crontabs();
    assert_eq!(told_at_once(&catalog), told_step_by_step(&catalog));
    let group =
        discovery::legacy(&catalog, "/apis/stable.example.com", "x").expect("discovery").expect("is served");
    assert_eq!(group["preferredVersion"]["version"], "v1", "{group}");
    let path = "/apis/stable.example.com/v1beta1";
    let found = discovery::legacy(&catalog, path, "x").expect("discovery").expect("is served");
    insta::assert_snapshot!(serde_json::to_string_pretty(&found).expect("JSON"));
}

#[test]
fn other_servers_versions_are_listed_as_they_describe_them() {
    let resources = json!({ "resources": [{ "name": "nodes", "kind": "NodeMetrics", "namespaced": false, "verbs": ["get"] }] });
    let found =
        Aggregated { group: "metrics.k8s.io".into(), version: "v1beta1".into(), resources, fresh: true };
    let away = Aggregated { version: "v1".into(), resources: Value::Null, fresh: false, ..found.clone() };
    let catalog = Catalog { aggregated: vec![found, away], ..Catalog::default() };
    let found = discovery::aggregated(&catalog, false, "v2");
    let last = list(&found["items"]).last().expect("a group");
    assert_eq!(last["metadata"]["name"], "metrics.k8s.io");
    let stale = json!({ "version": "v1", "resources": [], "freshness": "Stale" });
    assert_eq!(last["versions"][0], stale, "its server has never answered");
    assert_eq!(last["versions"][1]["freshness"], "Current");
    assert_eq!(last["versions"][1]["resources"][0]["responseKind"]["kind"], "NodeMetrics");
    assert!(discovery::legacy(&catalog, "/apis/metrics.k8s.io/v1beta1", "x").is_some_and(|f| f.is_err()));
    assert!(discovery::legacy(&catalog, "/apis/metrics.k8s.io", "x").is_some_and(|f| f.is_ok()));
}

#[test]
fn the_media_type_chooses_the_form() {
    let form = |accept: &str| discovery::negotiate(accept).map(|(version, _)| version);
    let [v2, v2beta1] = discovery::AGGREGATED.map(|(_, media)| media);
    assert_eq!(form(&format!("{v2},{v2beta1},application/json")), Some("v2"));
    assert_eq!(form(&format!("{v2beta1},application/json")), Some("v2beta1"), "kubectl 1.27 to 1.29");
    assert_eq!(form(&format!("application/json, {v2}")), None);
    assert_eq!(form("application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io"), Some("v2"));
    for plain in [
        "",
        "*/*",
        "application/json",
        "application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList",
    ] {
        assert_eq!(form(plain), None, "{plain}");
    }
}

#[test]
fn stable_versions_come_before_betas_and_newer_before_older() {
    let mut versions = ["foo10", "v1", "v10", "v11alpha2", "foo1", "v3beta1", "v12alpha1", "v11beta2", "v2"];
    versions.sort_by(|a, b| custom::by_priority(a, b));
    assert_eq!(
        versions,
        ["v10", "v2", "v1", "v11beta2", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]
    );
}

proptest! {
    #[test]
    fn any_two_versions_have_an_order(a in "v?[0-9]{0,2}(alpha|beta)?[0-9]{0,2}", b in "v?[0-9]{0,2}(alpha|beta)?[0-9]{0,2}") {
        let order = custom::by_priority(&a, &b);
        prop_assert_eq!(order.reverse(), custom::by_priority(&b, &a));
        prop_assert_eq!(custom::by_priority(&a, &a), Ordering::Equal);
    }

    #[test]
    fn any_accept_header_has_an_answer(accept in "[a-z/*;,=. ]{0,60}") {
        let _ = discovery::negotiate(&accept);
    }

    #[test]
    fn any_path_has_an_answer(path in "/?(api|apis)?/{0,2}[a-zA-Z0-9./%]{0,30}") {
        let _ = discovery::legacy(&builtin(), &path, "x");
    }
}
