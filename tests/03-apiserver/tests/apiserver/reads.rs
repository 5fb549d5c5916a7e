//! The edges of HTTP: options, negotiation, bodies, deletes. The words are upstream's.

use crate::common::{now, refused, resource, stored};
use crate::heart::bodies;
use crate::heart::delete::{DeleteOptions, Deletion, Propagation, prepare_delete};
use crate::heart::kind::Kind;
use crate::heart::negotiation::{View, Writing};
use crate::heart::paging::{self, Token};
use crate::heart::query::{ListOptions, Query, VersionMatch, WriteOptions};
use crate::heart::render;
use crate::heart::request::{RequestInfo, Route, Verb};
use crate::heart::selection::Selection;
use crate::heart::strict;
use crate::heart::tables::Include;
use crate::heart::watch_cache::{Change, Cursor, EventType, Interest, WatchCache};
use objects::resources;
use serde_json::{Value, json};
use std::sync::Arc;

fn list(query: &str) -> Result<ListOptions, crate::heart::status::ApiError> {
    ListOptions::parse(&Query::parse(query), false)
}

fn watch(query: &str) -> Result<ListOptions, crate::heart::status::ApiError> {
    ListOptions::parse(&Query::parse(query), true)
}

#[test]
fn a_version_means_what_it_means_upstream() {
    use VersionMatch::{Any, Exact, Newest, NotOlderThan};
    for (query, meant) in [
        ("", Newest),
        ("resourceVersion=", Newest),
        ("limit=5", Newest),
        ("resourceVersion=0", Any),
        ("resourceVersion=0&limit=5", Any),
        ("resourceVersion=7", NotOlderThan(7)),
        ("resourceVersion=7&limit=0", NotOlderThan(7)),
        ("resourceVersion=7&limit=5", Exact(7)),
        ("resourceVersion=7&resourceVersionMatch=Exact", Exact(7)),
        ("resourceVersion=7&limit=5&resourceVersionMatch=NotOlderThan", NotOlderThan(7)),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan", Any),
        ("resourceVersion=18446744073709551615", NotOlderThan(i64::MAX)),
        ("resourceVersion=0&continue=x", Any),
    ] {
        assert_eq!(list(query).expect("options").version, meant, "list {query}");
    }
    for (query, meant) in [
        ("", Newest),
        ("resourceVersion=0", Any),
        ("resourceVersion=7&limit=5", NotOlderThan(7)),
        ("sendInitialEvents=true&resourceVersionMatch=NotOlderThan", Newest),
        ("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=7", NotOlderThan(7)),
    ] {
        assert_eq!(watch(query).expect("options").version, meant, "watch {query}");
    }
    let get = |query: &str| VersionMatch::of_get(&Query::parse(query));
    assert_eq!(get("resourceVersion=9"), Ok(NotOlderThan(9)));
    assert_eq!(get("resourceVersionMatch=Exact"), Ok(Newest), "a get has no match");
}

#[test]
fn options_that_contradict_themselves_are_refused_in_upstreams_words() {
    let lists = [
        "resourceVersion=abc",
        "resourceVersion=-1",
        "limit=many",
        "limit=99999999999999999999",
        "timeoutSeconds=",
        "resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=5&resourceVersionMatch=Perhaps",
        "resourceVersion=5&resourceVersionMatch=Exact&continue=x",
        "resourceVersion=5&continue=x",
        "sendInitialEvents=false",
        "resourceVersionMatch=Perhaps&sendInitialEvents=1",
    ];
    let watches = [
        "resourceVersionMatch=NotOlderThan",
        "resourceVersion=5&resourceVersionMatch=Exact",
        "sendInitialEvents=true",
        "sendInitialEvents=true&resourceVersionMatch=Exact",
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x",
    ];
    let line = |what: &str, query: &str, said: String| format!("{what} {query}\n    {said}\n");
    let mut all: Vec<String> = lists.iter().map(|q| line("list", q, refused(list(q)))).collect();
    all.extend(watches.iter().map(|q| line("watch", q, refused(watch(q)))));
    for query in [
        "dryRun=Some",
        "dryRun=",
        "dryRun=All&dryRun=x",
        "fieldValidation=Hard",
        "fieldValidation=x&dryRun=y",
    ] {
        all.push(line("create", query, refused(WriteOptions::parse("CreateOptions", &Query::parse(query)))));
    }
    insta::assert_snapshot!(all.concat());
}

#[test]
fn a_refusal_names_each_field_in_its_causes() {
    let error = list("resourceVersionMatch=Perhaps&sendInitialEvents=1").expect_err("is refused");
    insta::assert_snapshot!(serde_json::to_string_pretty(&error.to_status()).expect("JSON"));
}

#[test]
fn delete_options_are_checked_before_anything_is_deleted() {
    let parse = |body: Value, query: &str| DeleteOptions::parse(&body, &Query::parse(query));
    let both = json!({ "orphanDependents": true, "propagationPolicy": "Orphan" });
    let all = [
        (both, ""),
        (json!({ "propagationPolicy": "Perhaps" }), ""),
        (json!({ "dryRun": ["All", "None"] }), ""),
        (json!({ "gracePeriodSeconds": "5" }), ""),
        (json!({ "gracePeriodSeconds": 1.5 }), ""),
        (json!({ "orphanDependents": "yes" }), ""),
        (json!({ "preconditions": [] }), ""),
        (json!({ "preconditions": { "uid": 5 } }), ""),
        (json!({ "kind": "Pod", "apiVersion": "v1" }), ""),
        (json!([]), ""),
        (json!(null), "dryRun="),
        (json!(null), "propagationPolicy=Perhaps"),
        (json!(null), "gracePeriodSeconds=soon"),
        (json!(null), "orphanDependents=true&propagationPolicy=Foreground"),
    ];
    let lines =
        all.map(|(body, query)| format!("{body} {query}\n    {}\n", refused(parse(body.clone(), query))));
    insta::assert_snapshot!(lines.concat());
    let options =
        parse(json!({}), "gracePeriodSeconds=7&propagationPolicy=Perhaps&dryRun=All").expect("options");
    assert_eq!(options, DeleteOptions::default(), "where there is a body the query says nothing");
    let options = parse(json!({ "orphanDependents": false }), "").expect("options");
    assert!(options.cascades && options.propagation == Some(Propagation::Background));
    let whole = DeleteOptions {
        grace_seconds: Some(3),
        propagation: Some(Propagation::Foreground),
        cascades: false,
        uid: Some("u".into()),
        resource_version: Some("7".into()),
        dry_run: true,
    };
    assert_eq!(parse(whole.to_value(), ""), Ok(whole), "what is printed is read back");
}

/// The kubelet waits for its grace, and the collector for its finalizer: a second delete may hurry
/// the first, and may not change what becomes of the dependents.
#[test]
fn a_graceful_delete_keeps_its_policy() {
    let going = json!({
        "metadata": {
            "name": "p", "deletionTimestamp": "2026-01-02T03:04:35Z", "deletionGracePeriodSeconds": 30,
            "finalizers": ["example.com/mine"],
        },
        "spec": { "nodeName": "n1" }, "status": { "phase": "Running" },
    });
    let delete = |grace, policy| {
        let options = DeleteOptions { grace_seconds: grace, propagation: policy, ..Default::default() };
        prepare_delete(resource("Pod"), &going, 8, &options, now()).expect("is allowed")
    };
    assert_eq!(delete(None, Some(Propagation::Foreground)), Deletion::Pending);
    assert_eq!(delete(Some(30), Some(Propagation::Orphan)), Deletion::Pending);
    let Deletion::Mark(hurried) = delete(Some(1), None) else { panic!("less time is given") };
    assert_eq!(hurried["metadata"]["deletionTimestamp"], "2026-01-02T03:04:06Z");
    let Deletion::Mark(forced) = delete(Some(0), None) else { panic!("its finalizer holds it") };
    assert_eq!(forced["metadata"]["deletionGracePeriodSeconds"], 0);
}

#[test]
fn a_job_keeps_its_pods_unless_it_is_said() {
    let job = json!({ "metadata": { "name": "j", "generation": 1 }, "spec": {} });
    let delete = |propagation| {
        let options = DeleteOptions { propagation, ..Default::default() };
        let warned = crate::heart::delete::warning(resource("Job"), &options).is_some();
        (prepare_delete(resource("Job"), &job, 8, &options, now()).expect("is allowed"), warned)
    };
    let (Deletion::Mark(marked), true) = delete(None) else { panic!("its pods must be let go first") };
    assert_eq!(marked["metadata"]["finalizers"], json!(["orphan"]));
    assert_eq!(delete(Some(Propagation::Background)), (Deletion::Remove, false));
}

#[test]
fn an_offer_is_chosen_by_quality_and_then_by_how_exact_it_is() {
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const PARTIAL: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let table = View::Table(Include::Metadata);
    let view = |accept: &str| View::negotiate(accept, &Query::default());
    for (accept, expected) in [
        ("", View::Object),
        ("*/*", View::Object),
        ("application/json", View::Object),
        ("application/json; charset=utf-8", View::Object),
        ("application/yaml", View::Object),
        ("application/vnd.kubernetes.protobuf,application/json", View::Object),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", View::Object),
        (TABLE, table),
        (&format!("{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"), table),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", View::Object),
        ("application/json;as=Table;v=v1,application/json", View::Object),
        (PARTIAL, View::PartialMetadata),
        (&format!("application/json;q=0.5,{TABLE};q=0.9"), table),
        (&format!("*/*,{TABLE}"), table),
        (&format!("{TABLE};q=0,application/json"), View::Object),
    ] {
        assert_eq!(view(accept), Ok(expected), "{accept}");
    }
    for accept in
        ["application/vnd.kubernetes.protobuf", "text/html", "application/json;as=Chair;g=meta.k8s.io;v=v1"]
    {
        insta::allow_duplicates!(insta::assert_snapshot!(
            refused(view(accept)),
            @"406 NotAcceptable: only the following media types are accepted: application/json, application/yaml"
        ));
    }
    let stream = |accept: &str| View::negotiate_stream(accept, &Query::default());
    assert_eq!(stream("application/json;stream=watch"), Ok(View::Object));
    assert_eq!(stream(&format!("{TABLE},application/json")), Ok(table));
    insta::assert_snapshot!(
        refused(stream("application/yaml")),
        @"406 NotAcceptable: only the following media types are accepted: application/json;stream=watch"
    );
    let include = View::negotiate(TABLE, &Query::parse("includeObject=Some"));
    insta::assert_snapshot!(
        refused(include),
        @r#"400 BadRequest: Unable to convert to Table as requested: includeObject: Invalid value: "Some": must be 'Metadata', 'Object', 'None', or empty"#
    );
}

#[test]
fn people_get_line_ends_and_yaml_is_sorted() {
    let how =
        |accept: &str, query: &str, agent: &str| Writing::negotiate(accept, &Query::parse(query), agent);
    assert_eq!(how("*/*", "", "kubectl/v1.32.0"), Writing::Compact);
    assert_eq!(how("*/*", "", "curl/8.5.0"), Writing::Pretty);
    assert_eq!(how("*/*", "pretty=false", "curl/8.5.0"), Writing::Compact);
    assert_eq!(how("*/*", "pretty=true", "kubectl/v1.32.0"), Writing::Pretty);
    assert_eq!(how("application/yaml", "pretty=true", "curl/8.5.0"), Writing::Yaml);
    let json = br#"{"kind":"ConfigMap","data":{"b":"yes","a":"1"}}"#;
    let (_, pretty) = Writing::Pretty.rewrite(json).expect("is rewritten");
    let (_, yaml) = Writing::Yaml.rewrite(json).expect("is rewritten");
    insta::assert_snapshot!(format!(
        "{}{}",
        String::from_utf8_lossy(&pretty),
        String::from_utf8_lossy(&yaml)
    ));
}

#[test]
fn what_is_no_body_is_said_as_go_says_it() {
    let json = "application/json";
    let deep = "[".repeat(200);
    let bodies: [(&str, &[u8]); 22] = [
        (json, b""),
        ("", b"{"),
        (json, b"{\"a\" 1}"),
        (json, b"{\"a\":1 \"b\":2}"),
        (json, b"{a:1}"),
        (json, b"{\"a\":1,}"),
        (json, b"[1 2]"),
        (json, b"{}x"),
        (json, b"{\"a\":\"\n\"}"),
        (json, b"{\"a\":\"\\x\"}"),
        (json, b"nil"),
        (json, b"{\"a\":1e999}"),
        (json, deep.as_bytes()),
        (json, b"[]"),
        (json, b"\"text\""),
        (json, b"{\"metadata\":{\"name\":\"a name that is long\"}"),
        ("application/yaml", b"a: b: c"),
        ("application/yaml", b"a: [1"),
        ("application/yaml", b"a: 1\n---\nb: 2\n"),
        ("application/yaml", b"a: .nan"),
        ("application/yaml", b"- 1"),
        ("text/plain", b"{}"),
    ];
    let line = |(content_type, bytes): &(&str, &[u8])| {
        let shown: String = String::from_utf8_lossy(bytes).escape_debug().take(40).collect();
        format!("{content_type} {shown}\n    {}\n", refused(bodies::read("ConfigMap", content_type, bytes)))
    };
    insta::assert_snapshot!(bodies.iter().map(line).collect::<String>());
}

#[test]
fn what_is_said_twice_is_noted_where_it_stands() {
    let read =
        |content_type: &str, text: &str| bodies::read("X", content_type, text.as_bytes()).expect("a body");
    let body = read("application/json; charset=utf-8", r#"{"spec":{"a":[{"n":1,"n":2}],"r":1,"r":3}}"#);
    assert_eq!(body.value, json!({ "spec": { "a": [{ "n": 2 }], "r": 3 } }), "the last one counts");
    assert_eq!(body.duplicates, ["duplicate field \"spec.a[0].n\"", "duplicate field \"spec.r\""]);
    let body = read("application/yaml", "data:\n  a: 1\n  b: 2\n  a: 3\nkind: X\nkind: Y\n1: one\ntrue: t\n");
    assert_eq!(body.value, json!({ "data": { "a": 3, "b": 2 }, "kind": "Y", "1": "one", "true": "t" }));
    let said = "yaml: unmarshal errors:\n  line 4: key \"a\" already set in map\n  line 6: key \"kind\" already set in map";
    assert_eq!(body.duplicates, [said]);
    assert_eq!(
        bodies::warnings(&body.duplicates),
        ["line 4: key \"a\" already set in map", "line 6: key \"kind\" already set in map"]
    );
    insta::assert_snapshot!(
        strict::unreadable(resource("Deployment"), &strict::message(&["duplicate field \"spec.replicas\"".into()])).message,
        @r#"Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: duplicate field "spec.replicas""#
    );
    assert_eq!(read("", "null").value, json!({}));
    assert_eq!(read("application/yaml", "# nothing\n").value, json!({}));
    let replaced = bodies::read("X", "", b"{\"a\":\"\xff\"}").expect("a body");
    assert_eq!(replaced.value, json!({ "a": "\u{fffd}" }), "as Go reads bytes that are no UTF-8");
}

/// Ten lines of YAML can mean a billion words.
#[test]
fn a_text_that_means_more_than_it_says_is_refused() {
    let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for i in 1..12 {
        let before = format!("*a{}", i - 1);
        let list = vec![before; 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{list}]\n"));
    }
    let said = refused(bodies::read("X", "application/yaml", text.as_bytes()));
    assert!(said.starts_with("400 BadRequest"), "{said}");
    let word = "x".repeat(1 << 20);
    let aliases = "*w, ".repeat(1000);
    let said =
        refused(bodies::read("X", "application/yaml", format!("w: &w {word}\nl: [{aliases}]").as_bytes()));
    assert!(said.contains("excessive aliasing"), "{said}");
    let fair = bodies::read("X", "application/yaml", b"a: &a {x: 1}\nb: *a\n").expect("a body");
    assert_eq!(fair.value, json!({ "a": { "x": 1 }, "b": { "x": 1 } }));
}

#[test]
fn a_watch_may_be_of_one_name() {
    let parse = |method: &str, url: &str| RequestInfo::parse(method, url).expect("a request");
    let info = parse("GET", "/api/v1/watch/namespaces/dev/pods/web");
    let Route::Resource(path) = &info.route else { panic!("it is about a resource") };
    assert_eq!((info.verb, path.name.as_deref()), (Verb::Watch, Some("web")));
    assert_eq!(parse("GET", "/api/v1/namespaces/dev/pods/web?watch=1").verb, Verb::Get);
    let Route::Resource(path) = parse("DELETE", "/api/v1/watch/namespaces/dev/pods/web").route else {
        panic!("it is about a resource")
    };
    assert_eq!(path.resource, "watch", "nothing can be deleted by a path that watches");
    assert_eq!(parse("GET", "/openapi/v3/x/watch/y").route, Route::Plain("/openapi/v3/x/watch/y".into()));
    let named =
        |query: &str| Selection::parse(resource("Pod"), &Query::parse(query)).expect("one").of_name("web");
    let fields = |name: &str| {
        let pod = json!({ "metadata": { "name": name, "namespace": "dev" } });
        crate::heart::selection::fields_of(resource("Pod"), &pod)
    };
    let selection = named("").expect("is allowed");
    assert!(selection.matches(&Default::default(), &fields("web")));
    assert!(!selection.matches(&Default::default(), &fields("web-2")));
    assert!(named("fieldSelector=metadata.name%3Dweb").is_ok());
    insta::assert_snapshot!(
        refused(named("fieldSelector=metadata.name%3Ddb")),
        @"400 BadRequest: fieldSelector metadata.name doesn't match requested name"
    );
}

#[test]
fn an_expired_token_brings_the_next_one_with_it() {
    let status = paging::expired(&Token::new(7, "dev/web\0")).to_status();
    insta::assert_snapshot!(serde_json::to_string_pretty(&status).expect("JSON"));
    insta::assert_snapshot!(
        refused(Token::decode("bad token")),
        @"400 BadRequest: invalid continue token: continue key is not valid: Invalid symbol 32, offset 3."
    );
}

/// Upstream's words for what is wrong with a token that nobody has given out.
#[test]
fn a_token_that_is_refused_hears_why() {
    let mut all = String::new();
    for token in [
        "invalid",
        "{}",
        r#"{"v":"meta.k8s.io/v2","rv":5,"start":"a"}"#,
        r#"{"v":"meta.k8s.io/v1","start":"a"}"#,
        r#"{"v":"meta.k8s.io/v1","rv":5,"start":""}"#,
        r#"{"v":"meta.k8s.io/v1","rv":5,"start":"../../x"}"#,
        r#"{"v":"meta.k8s.io/v1","rv":5,"start":"/x"}"#,
    ] {
        let text = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, token);
        all += &format!("{token}: {}\n", refused(paging::read_token(&text)));
    }
    for text in ["%%%", "YWJj*", "YWJjZ"] {
        all += &format!("{text}: {}\n", refused(paging::read_token(text)));
    }
    insta::assert_snapshot!(all);
}

/// Watchers of a Table are told the columns once, and share the rows.
#[test]
fn lines_of_tables_and_of_metadata_are_made_once() {
    let kind = Kind::named("", "v1", "ConfigMap").expect("a kind");
    let object = stored("ConfigMap", 5, crate::common::config_map("a", &[]));
    let mut cache = WatchCache::new(10);
    cache.replace(1, Vec::new());
    assert!(cache.is_empty());
    cache.apply(vec![Change { key: object.key.clone(), revision: 5, object: Some(Arc::new(object)) }]);
    assert_eq!((cache.is_empty(), cache.len()), (false, 1));
    let interest = Interest { prefix: "/registry/configmaps/".into(), selection: Selection::everything() };
    let events = Cursor { interest, revision: 1 }.poll(&cache, 10).expect("still in the window");
    let line =
        |view, columns| render::watch_line(&kind, view, EventType::Added, &events[0].1, columns, now());
    let table = View::Table(Include::Metadata);
    assert_eq!(line(table, false).as_ptr(), line(table, false).as_ptr(), "one row for all");
    assert_eq!(line(View::PartialMetadata, false).as_ptr(), line(View::PartialMetadata, true).as_ptr());
    fn read(line: impl AsRef<[u8]>) -> Value {
        serde_json::from_slice(line.as_ref()).expect("JSON")
    }
    assert!(read(line(table, true))["object"]["columnDefinitions"].is_array());
    let later = read(line(table, false));
    assert_eq!(later["object"]["columnDefinitions"], Value::Null);
    assert_eq!(later["object"]["rows"][0]["object"]["metadata"]["name"], "a");
    assert_eq!(read(line(View::PartialMetadata, false))["object"]["kind"], "PartialObjectMetadata");
}

#[test]
fn what_is_not_stored_is_shown_in_every_view() {
    let scale = crate::heart::reading::kind_of_body(resource("Deployment"), "scale");
    let one = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": { "name": "web", "resourceVersion": "7", "creationTimestamp": "2026-01-02T03:03:05Z" },
        "spec": { "replicas": 3 }, "status": { "replicas": 2 },
    });
    let parts = resources::unstored().iter().find(|r| r.kind == "ComponentStatus").expect("a kind");
    let part =
        |name: &str, conditions: Value| json!({ "metadata": { "name": name }, "conditions": conditions });
    let list = json!({ "kind": "ComponentStatusList", "metadata": {}, "items": [
        part("etcd-0", json!([{ "type": "Healthy", "status": "True", "message": "ok" }])),
        part("etcd-1", json!([{ "type": "Healthy", "status": "False", "message": "away", "error": "gone" }])),
        part("etcd-2", json!([])),
    ] });
    let shown = |resource, view, answer: &Value| {
        let bytes = render::unstored(resource, view, answer, now());
        serde_json::from_slice::<Value>(&bytes).expect("JSON")
    };
    let cells = |table: &Value| {
        let names = table["columnDefinitions"].as_array().expect("columns").iter().map(|c| c["name"].clone());
        let rows = table["rows"].as_array().expect("rows").iter().map(|row| row["cells"].clone());
        std::iter::once(names.collect::<Value>()).chain(rows).collect::<Value>()
    };
    let table = shown(&scale, View::Table(Include::Nothing), &one);
    assert_eq!(cells(&table), json!([["Name", "Desired", "Available", "Age"], ["web", 3, 2, "60s"]]));
    assert_eq!(table["metadata"], json!({ "resourceVersion": "7" }));
    assert_eq!(
        cells(&shown(parts, View::Table(Include::Nothing), &list)),
        json!([
            ["Name", "Status", "Message", "Error"],
            ["etcd-0", "Healthy", "ok", ""],
            ["etcd-1", "Unhealthy", "away", "gone"],
            ["etcd-2", "Unknown", "", ""],
        ])
    );
    assert_eq!(shown(&scale, View::Object, &one), one);
    assert_eq!(shown(&scale, View::PartialMetadata, &one)["metadata"], one["metadata"]);
    assert_eq!(shown(parts, View::PartialMetadata, &list)["items"][1]["metadata"]["name"], "etcd-1");
}
