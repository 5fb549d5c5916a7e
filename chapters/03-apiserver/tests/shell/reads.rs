//! Lists and watches over real sockets and a real store: forms of answers, old tokens, streamed
//! lists, and watchers that live through whatever happens to the store.

use crate::MAPS;
use crate::cluster::{Client, Cluster, PATIENCE};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

fn map(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_has_the_form_that_was_asked_for() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let large = json!({ "metadata": { "name": "large" }, "data": { "a": "x".repeat(200_000), "b": "yes" } });
    assert_eq!(admin.post(MAPS, large).await.0, 201);
    let url = format!("{MAPS}/large");
    let (_, plain) = admin.get(&url).await;
    let (status, headers, yaml) = admin.exchange("GET", &url, &[("accept", "application/yaml")], "").await;
    assert_eq!((status, headers["content-type"].as_bytes()), (200, &b"application/yaml"[..]));
    let yaml = String::from_utf8_lossy(&yaml);
    assert!(yaml.starts_with("apiVersion: v1\ndata:\n  a: xxx") && yaml.contains("  b: \"yes\"\n"));
    let asked = [("accept-encoding", "deflate, gzip;q=0.5"), ("audit-id", "mine")];
    let (_, headers, packed) = admin.exchange("GET", &url, &asked, "").await;
    assert_eq!(
        (&headers["content-encoding"], &headers["vary"]),
        (&"gzip".parse().unwrap(), &"Accept-Encoding".parse().unwrap())
    );
    assert_eq!(
        (&headers["audit-id"], &headers["cache-control"]),
        (&"mine".parse().unwrap(), &"no-cache, private".parse().unwrap())
    );
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut unpacked).expect("gzip");
    assert_eq!(serde_json::from_str::<Value>(&unpacked).expect("JSON"), plain);
    let (_, headers, pretty) = admin.exchange("GET", &format!("{MAPS}/none?pretty=1"), &[], "").await;
    assert!(pretty.starts_with(b"{\n  \"kind\": \"Status\"") && headers.contains_key("audit-id"));
    let (status, headers, nothing) = admin.exchange("HEAD", "/version", &[], "").await;
    assert_eq!((status, nothing.len()), (200, 0));
    assert!(headers["content-length"].to_str().unwrap().parse::<usize>().unwrap() > 100);
    let (status, _, refused) = admin.exchange("GET", &url, &[("accept", "text/html")], "").await;
    let refused: Value = serde_json::from_slice(&refused).expect("a Status");
    assert_eq!((status, &refused["reason"]), (406, &json!("NotAcceptable")));
}

/// Many write much at once, so that the caches have enough to do to be late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_was_told_is_in_the_caches() {
    let cluster = Cluster::start().await;
    let one = |writer: usize| {
        let admin = cluster.admin();
        async move {
            for round in 0..10 {
                let url = format!("{MAPS}/m-{writer}-{round}");
                let cached = format!("{url}?resourceVersion=0");
                let large = json!({ "large": "x".repeat(100_000) });
                let object = json!({ "metadata": { "name": format!("m-{writer}-{round}") }, "data": large });
                assert_eq!(admin.post(MAPS, object).await.0, 201);
                assert_eq!(admin.get(&cached).await.0, 200, "{url} was created");
                let patch = json!({ "data": { "round": "now" } });
                let merge = "application/merge-patch+json";
                assert_eq!(admin.patch(&url, merge, patch).await.0, 200);
                assert_eq!(admin.get(&cached).await.1["data"]["round"], "now", "{url} was changed");
                assert_eq!(admin.delete(&url).await.0, 200);
                assert_eq!(admin.get(&cached).await.0, 404, "{url} was deleted");
            }
        }
    };
    join_all((0..16).map(one)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_says_a_thing_twice_is_refused_or_warned_of() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let twice = r#"{"metadata":{"name":"c"},"data":{"a":"1","a":"2"}}"#;
    let (status, _, said) =
        admin.exchange("POST", &format!("{MAPS}?fieldValidation=Strict"), &[], twice).await;
    let said: Value = serde_json::from_slice(&said).expect("a Status");
    let message = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \"data.a\"";
    assert_eq!((status, &said["message"]), (400, &json!(message)));
    let (status, headers, made) = admin.exchange("POST", MAPS, &[], twice).await;
    let warnings: Vec<&[u8]> = headers.get_all("warning").iter().map(|w| w.as_bytes()).collect();
    assert_eq!((status, warnings), (201, vec![&br#"299 - "duplicate field \"data.a\"""#[..]]));
    assert_eq!(serde_json::from_slice::<Value>(&made).expect("JSON")["data"], json!({ "a": "2" }));
    let yaml = [("content-type", "application/yaml")];
    let twice = "metadata: {name: d}\ndata:\n  a: x\n  a: z\n";
    let (status, headers, _) = admin.exchange("POST", MAPS, &yaml, twice).await;
    assert_eq!(
        (status, headers["warning"].as_bytes()),
        (201, &br#"299 - "line 4: key \"a\" already set in map""#[..])
    );
    let (status, ..) = admin.exchange("POST", MAPS, &[("content-type", "text/plain")], "{}").await;
    assert_eq!(status, 415);
    let large = "x".repeat(3 * 1024 * 1024 + 1);
    let (status, _, said) =
        admin.exchange("POST", MAPS, &[], &format!("{{\"data\":{{\"a\":\"{large}\"}}}}")).await;
    assert_eq!(status, 413, "{}", String::from_utf8_lossy(&said));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_can_be_finished_after_its_revision_is_forgotten() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    for name in ["a", "b", "c", "d", "e"] {
        admin.post(MAPS, map(name)).await;
    }
    let (_, first) = admin.get(&format!("{MAPS}?limit=2")).await;
    let meta = &first["metadata"];
    assert_eq!(meta["remainingItemCount"], 3);
    let (token, version) =
        (meta["continue"].as_str().expect("more"), meta["resourceVersion"].as_str().expect("one"));
    admin.post(MAPS, map("ca")).await;
    cluster.compact_store().await;
    let (status, expired) = admin.get(&format!("{MAPS}?limit=2&continue={token}")).await;
    assert_eq!((status, &expired["reason"]), (410, &json!("Expired")));
    let fresh = expired["metadata"]["continue"].as_str().expect("a token to go on with");
    let (status, rest) = admin.get(&format!("{MAPS}?limit=9&continue={fresh}")).await;
    let names: Vec<&Value> =
        rest["items"].as_array().expect("items").iter().map(|i| &i["metadata"]["name"]).collect();
    assert_eq!((status, names), (200, vec![&json!("c"), &json!("ca"), &json!("d"), &json!("e")]));
    let exact = format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
    let (status, old) = admin.get(&exact).await;
    assert_eq!(
        (status, &old["message"]),
        (410, &json!("The resourceVersion for the provided list is too old."))
    );
    let (status, future) = admin.get(&format!("{MAPS}?resourceVersion=999999")).await;
    assert_eq!((status, &future["details"]["causes"][0]["reason"]), (504, &json!("ResourceVersionTooLarge")));
    assert_eq!(future["details"]["retryAfterSeconds"], 1);
    let (status, bad) = admin.get(&format!("{MAPS}?continue=bad")).await;
    assert!(
        status == 400 && bad["message"].as_str().is_some_and(|m| m.contains("continue key is not valid"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamed_list_ends_with_a_bookmark_and_goes_on() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    admin.post(MAPS, map("a")).await;
    let (_, made) = admin.post(MAPS, map("b")).await;
    let streamed = format!(
        "{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    for accept in ["application/json", TABLE] {
        let mut watch = admin.watch_as(&streamed, accept).await;
        let events =
            [watch.event().await, watch.event().await, watch.event().await].map(|e| e.expect("an event"));
        assert_eq!(
            events.each_ref().map(|e| e["type"].as_str()),
            [Some("ADDED"), Some("ADDED"), Some("BOOKMARK")]
        );
        let whole = |event: &Value| match accept {
            TABLE => event["object"]["rows"][0]["object"].clone(),
            _ => event["object"].clone(),
        };
        let bookmark = whole(&events[2])["metadata"].clone();
        assert_eq!(bookmark["annotations"]["k8s.io/initial-events-end"], "true");
        let number = |v: &Value| v.as_str().and_then(|v| v.parse::<i64>().ok()).expect("a version");
        assert!(number(&bookmark["resourceVersion"]) >= number(&made["metadata"]["resourceVersion"]));
        if accept == TABLE {
            let columns = events.each_ref().map(|e| e["object"]["columnDefinitions"].is_array());
            assert_eq!(columns, [true, false, false], "they are told once");
        }
        admin.post(MAPS, json!({ "metadata": { "generateName": "later-" } })).await;
        let later = watch.event().await.expect("an event");
        assert!(whole(&later)["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("later-")));
        admin.delete(&format!("{MAPS}/{}", whole(&later)["metadata"]["name"].as_str().unwrap_or("?"))).await;
    }
    let mut one = admin.watch("/api/v1/watch/namespaces/default/configmaps/b").await;
    assert_eq!(one.next().await, "ADDED b");
    let mut short = admin.watch(&format!("{MAPS}?watch=1&timeoutSeconds=3&allowWatchBookmarks=1&resourceVersion=1&fieldSelector=metadata.name%3Dnone")).await;
    assert_eq!(short.next().await, "BOOKMARK ?", "shortly before it ends");
    assert!(short.event().await.is_none());
}

/// What was written and answered: version, name, and whether it is there since.
type Log = Arc<Mutex<BTreeMap<i64, (String, bool)>>>;

fn version(object: &Value) -> i64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse().ok()).expect("a version")
}

/// Write this and that until the time is over; then everybody is told by one last object.
async fn write(admin: Client, log: Log, writer: usize, until: Instant) {
    for i in 0.. {
        if Instant::now() > until {
            break;
        }
        let name = format!("w{writer}-{}", i % 7);
        let url = format!("{MAPS}/{name}");
        let label = json!({ "on": if i % 3 == 0 { "yes" } else { "no" } });
        let (status, answer) = match i % 5 {
            4 => {
                admin.delete(&url).await;
                continue;
            }
            _ if i % 2 == 0 => {
                admin.post(MAPS, json!({ "metadata": { "name": name, "labels": label } })).await
            }
            _ => {
                let patch = json!({ "metadata": { "labels": label }, "data": { "i": i.to_string() } });
                admin.patch(&url, "application/merge-patch+json", patch).await
            }
        };
        if matches!(status, 200 | 201) {
            log.lock().unwrap().insert(version(&answer), (name, label["on"] == "yes"));
        }
    }
}

/// Follow until the last object comes. What was told must make sense by itself; in the end the
/// state must be the server's.
async fn follow(admin: Client, selector: &str, pause: Duration, log: Log) -> (usize, usize) {
    let (mut state, mut from, mut told, mut lists) = (BTreeMap::<String, i64>::new(), 0, Vec::new(), 0);
    'listing: loop {
        let (status, list) = admin.get(&format!("{MAPS}?labelSelector={selector}")).await;
        if status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        lists += 1;
        state.clear();
        for item in list["items"].as_array().expect("items") {
            state.insert(item["metadata"]["name"].as_str().expect("a name").into(), version(item));
        }
        from = from.max(version(&list));
        let (began, mut last) = (told.len(), from);
        loop {
            let url =
                format!("{MAPS}?watch=1&timeoutSeconds=1&labelSelector={selector}&resourceVersion={last}");
            let Some(mut watch) = admin.try_watch(&url).await else { continue };
            while let Some(event) = watch.event().await {
                let (what, object) = (event["type"].as_str().expect("a type"), &event["object"]);
                if what == "ERROR" {
                    assert_eq!(object["code"], 410, "{event}");
                    continue 'listing;
                }
                let (name, at) =
                    (object["metadata"]["name"].as_str().expect("a name").to_string(), version(object));
                assert!(at > last, "{what} {name}: {at} came after {last}");
                last = at;
                let known = state.contains_key(&name);
                assert_eq!(known, what != "ADDED", "{what} {name} {at}");
                if what == "DELETED" {
                    state.remove(&name)
                } else {
                    state.insert(name.clone(), at)
                };
                told.push((at, name.clone()));
                if name == "zz-end" {
                    let seen: Vec<i64> = told[began..].iter().map(|(at, _)| *at).collect();
                    let log = log.lock().unwrap().clone();
                    for (at, (name, on)) in log.range(from + 1..=last) {
                        let wanted = selector.is_empty() || *on;
                        assert!(!wanted || seen.contains(at), "{name} at {at} was not told");
                    }
                    let (_, now) =
                        admin.get(&format!("{MAPS}?resourceVersion=0&labelSelector={selector}")).await;
                    let now = now["items"].as_array().expect("items").iter();
                    let now = now
                        .map(|i| (i["metadata"]["name"].as_str().expect("a name").to_string(), version(i)));
                    assert_eq!(state, now.collect());
                    return (told.len(), lists);
                }
                tokio::time::sleep(pause).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_live_through_compactions_and_a_restart_of_the_store() {
    let mut cluster = Cluster::start().await;
    let length = if std::env::var_os("CORACLE_LONG").is_some() { 20 } else { 4 };
    let until = Instant::now() + Duration::from_secs(length);
    let (admin, log) = (cluster.admin(), Log::default());
    let watchers: Vec<_> = [("", 0), ("", 2), ("on%3Dyes", 0), ("on%3Dyes", 5), ("on%21%3Dno", 1)]
        .into_iter()
        .map(|(selector, ms)| {
            let following = follow(admin.clone(), selector, Duration::from_millis(ms), log.clone());
            tokio::spawn(following)
        })
        .collect();
    let writers: Vec<_> = (0..2).map(|w| tokio::spawn(write(admin.clone(), log.clone(), w, until))).collect();
    let mut round = 0;
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cluster.compact_store().await;
        round += 1;
        if round % 4 == 2 {
            cluster.kill_store();
            cluster.start_store();
        }
    }
    for writer in writers {
        writer.await.expect("writes");
    }
    admin
        .post_until_accepted(MAPS, json!({ "metadata": { "name": "zz-end", "labels": { "on": "yes" } } }))
        .await;
    let mut told = Vec::new();
    for watcher in watchers {
        let watcher = tokio::time::timeout(PATIENCE, watcher).await.expect("the last event comes");
        told.push(watcher.expect("a watcher that was told everything"));
    }
    println!("{} writes; events and lists of each watcher: {told:?}", log.lock().unwrap().len());
    assert!(told.iter().all(|(events, _)| *events > 10), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_stored_has_tables_too() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let template = json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    let spec = json!({ "replicas": 3, "selector": { "matchLabels": { "a": "b" } }, "template": template });
    admin
        .post(
            "/apis/apps/v1/namespaces/default/deployments",
            json!({ "metadata": { "name": "web" }, "spec": spec }),
        )
        .await;
    let words = |table: &str| {
        let line = |line: &str| line.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        table.lines().map(line).collect::<Vec<_>>()
    };
    let scale = words(&cluster.kubectl(&["get", "deployment", "web", "--subresource=scale"]).await);
    assert_eq!(scale[0], ["NAME", "DESIRED", "AVAILABLE", "AGE"]);
    assert_eq!(scale[1][..3], ["web", "3", "0"]);
    let health = words(&cluster.kubectl(&["get", "componentstatuses"]).await);
    assert_eq!(health, [vec!["NAME", "STATUS", "MESSAGE", "ERROR"], vec!["etcd-0", "Healthy", "ok"]]);
    assert_eq!(words(&cluster.kubectl(&["get", "cs", "etcd-0"]).await), health);
    let (_, answer) = admin.get("/api/v1/componentstatuses").await;
    assert_eq!(answer["kind"], "ComponentStatusList");
    let scale = "/apis/apps/v1/namespaces/default/deployments/web/scale";
    let (status, partial) =
        admin.get_as(scale, "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io").await;
    assert_eq!((status, &partial["kind"]), (200, &json!("PartialObjectMetadata")), "{partial}");
    assert_eq!(admin.get_as(scale, "text/html").await.0, 406);
}
