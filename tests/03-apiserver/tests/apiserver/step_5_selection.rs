use crate::common::{refused, resource};
use crate::heart::paging::{Token, expired, first_page};
use crate::heart::query::Query;
use crate::heart::selection::{Selection, fields_of, labels_of};
use graded::graded;
use objects::resources;
use proptest::prelude::*;
use serde_json::{Value, json};

fn selects(kind: &str, query: &str, object: &Value) -> bool {
    let resource = resource(kind);
    let selection = Selection::parse(resource, &Query::parse(query)).expect("a selection");
    selection.matches(&labels_of(object), &fields_of(resource, object))
}

fn pod(phase: &str, node: &str) -> Value {
    json!({
        "metadata": { "name": "p", "namespace": "dev", "labels": { "app": "web", "tier": "front" } },
        "spec": { "nodeName": node, "restartPolicy": "Always" },
        "status": { "phase": phase },
    })
}

/// Selectors narrow down, never widen.
#[graded]
fn labels_and_fields_must_both_agree() {
    let object = pod("Running", "n1");
    for (query, expected) in [
        ("", true),
        ("labelSelector=app%3Dweb", true),
        ("labelSelector=app%3Dweb,tier!%3Dfront", false),
        ("labelSelector=app+in+(web,db)&fieldSelector=spec.nodeName%3Dn1", true),
        ("labelSelector=app%3Dweb&fieldSelector=spec.nodeName%3Dn2", false),
        ("fieldSelector=status.phase!%3DRunning", false),
        ("fieldSelector=metadata.name%3Dp,metadata.namespace%3Ddev", true),
        ("fieldSelector=spec.hostNetwork%3Dfalse", true),
    ] {
        assert_eq!(selects("Pod", query, &object), expected, "{query}");
    }
}

/// Nobody writes `unschedulable: false`, and yet it is what one asks for.
#[graded]
fn what_is_not_set_has_the_value_that_stands_for_it() {
    let node = json!({ "metadata": { "name": "n1" } });
    assert!(selects("Node", "fieldSelector=spec.unschedulable%3Dfalse", &node));
    let cordoned = json!({ "metadata": { "name": "n1" }, "spec": { "unschedulable": true } });
    assert!(!selects("Node", "fieldSelector=spec.unschedulable%3Dfalse", &cordoned));
    assert!(selects("Pod", "fieldSelector=spec.nodeName%3D", &pod("Pending", "")));
}

/// `spec.nodeName` is why no pod is sent to a thousand kubelets.
#[graded]
fn the_scheduler_and_the_kubelet_divide_the_pods_by_one_field() {
    let mine = "fieldSelector=spec.nodeName%3Dn1";
    assert!(selects("Pod", mine, &pod("Running", "n1")) && !selects("Pod", mine, &pod("Pending", "")));
}

/// A selector is looked up in this list before anything is searched.
#[graded]
fn every_kind_says_which_fields_it_indexes() {
    let line = |r: &objects::resources::Resource| {
        let fields = fields_of(r, &json!({}));
        let names: Vec<&str> = fields.keys().copied().filter(|f| !f.starts_with("metadata.")).collect();
        if names.is_empty() {
            String::new()
        } else {
            format!("{}.{}: {}\n", r.plural, r.group, names.join(" "))
        }
    };
    let all: Vec<String> = resources::all().iter().map(line).collect();
    insta::assert_snapshot!(all.concat());
}

/// A long list can be finished, without the promise that it is one state.
#[graded]
fn a_token_that_is_too_old_comes_back_with_one_that_goes_on() {
    let error = expired(&Token::new(7, "dev/web-3"));
    assert_eq!(error.reason.code(), 410);
    let token = Token::decode(error.continue_token.as_deref().expect("a token")).expect("it can be read");
    assert_eq!((token.revision, token.start.as_str()), (-1, "dev/web-3"));
}

/// It was ours, and comes back from a stranger.
#[graded]
fn a_token_is_believed_only_as_far_as_it_makes_sense() {
    use serde_json::json as j;
    for bad in [
        j!({}),
        j!({ "v": "x", "rv": 5, "start": "a" }),
        j!({ "v": "meta.k8s.io/v1", "rv": 0, "start": "a" }),
        j!({ "v": "meta.k8s.io/v1", "rv": 5, "start": "" }),
        j!({ "v": "meta.k8s.io/v1", "rv": 5, "start": "../../secrets/x" }),
        j!({ "v": "meta.k8s.io/v1", "rv": -7, "start": "a" }),
    ] {
        let text = base64(&bad.to_string());
        assert!(refused(Token::decode(&text)).starts_with("400 BadRequest"), "{bad}");
    }
    refused(Token::decode("%%%"));
}

/// URL-safe base64 without padding, spelled out: an oracle of its own.
fn base64(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits: String = text.bytes().map(|b| format!("{b:08b}")).collect();
    let chunks = bits.as_bytes().chunks(6).map(|c| {
        let padded = format!("{:0<6}", String::from_utf8_lossy(c));
        LETTERS[usize::from_str_radix(&padded, 2).expect("bits")] as char
    });
    chunks.collect()
}

proptest! {
    /// All pages together are one list.
    #[graded]
    fn pages_show_everything_once_and_in_order(
        keys in prop::collection::btree_set("[a-c]{1,3}/[a-c]{1,3}", 0..40),
        limit in 1..12usize,
    ) {
        let keys: Vec<String> = keys.into_iter().collect();
        let (mut shown, mut start, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let rest = keys.iter().filter(|k| **k >= start).map(|k| (k.clone(), k.clone()));
            let page = first_page(rest, limit, 42, true);
            prop_assert!(page.items.len() <= limit, "{} items, and a limit of {}", page.items.len(), limit);
            shown.extend(page.items);
            pages += 1;
            let Some(next) = page.next else { break };
            prop_assert_eq!(page.remaining, Some(keys.len() - shown.len()));
            prop_assert_eq!(next.revision, 42);
            let read = Token::decode(&next.encode()).expect("our own token");
            prop_assert_eq!(&read, &next);
            start = read.start;
        }
        prop_assert_eq!(&shown, &keys);
        prop_assert_eq!(pages, keys.len().div_ceil(limit).max(1));
    }

    /// A token is any text that somebody puts into a URL.
    #[graded]
    fn no_token_makes_it_panic(text in "\\PC{0,40}", rv in any::<i64>(), start in "\\PC{0,20}") {
        let _ = Token::decode(&text);
        let token = Token::new(rv, &start);
        if let Ok(read) = Token::decode(&token.encode()) {
            prop_assert_eq!(read, token);
        }
    }
}
