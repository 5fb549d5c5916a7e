//! The client and the informer against a small API server in this process: plain HTTP,
//! ConfigMaps only, with a history that can be forgotten and connections that can break.

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use informer::{Client, Config, Event, EventRecorder, Informer, ListOptions, Patch, Query};
use informer::{RateLimit, WorkQueue, object_reference};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

type Body = BoxBody<Bytes, std::io::Error>;
type Chunk = Result<Frame<Bytes>, std::io::Error>;

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<String, Value>,
    history: Vec<(u64, String)>,
    compacted: u64,
    watches: Vec<mpsc::UnboundedSender<Chunk>>,
    /// Every request's method and path, in order.
    asked: Vec<String>,
    /// Answers 503 so many times before it works.
    starting: u32,
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

impl Server {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        self.serve(listener);
        format!("http://{address}")
    }

    fn serve(&self, listener: TcpListener) {
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let server = server.clone();
                let service = service_fn(move |request| {
                    let server = server.clone();
                    async move { Ok::<_, Infallible>(server.answer(request).await) }
                });
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // A client that goes away is not this server's trouble.
                    let _ = builder.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the lock")
    }

    /// Writes an object and tells the watches; in two pieces, as a network would.
    fn write(&self, name: &str, delete: bool) -> u64 {
        let mut state = self.state();
        state.version += 1;
        let version = state.version;
        let known = state.objects.contains_key(name);
        let object = json!({
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": version.to_string()},
        });
        let type_ = match (known, delete) {
            (false, _) => "ADDED",
            (true, false) => "MODIFIED",
            (true, true) => "DELETED",
        };
        if delete {
            state.objects.remove(name);
        } else {
            state.objects.insert(name.to_owned(), object.clone());
        }
        let line = format!("{}\n", json!({"type": type_, "object": object}));
        state.history.push((version, line.clone()));
        let (head, tail) = line.split_at(line.len() / 2);
        state.watches.retain(|watch| {
            let send = |text: &str| watch.send(Ok(Frame::data(Bytes::from(text.to_owned()))));
            send(head).and_then(|()| send(tail)).is_ok()
        });
        version
    }

    /// Ends every watch, politely or by breaking the connection.
    fn end_watches(&self, break_: bool) {
        for watch in std::mem::take(&mut self.state().watches) {
            if break_ {
                let _ = watch.send(Err(std::io::Error::other("broken on purpose")));
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let path = head.uri.path().to_owned();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let mut state = self.state();
        let watch = if query.contains("watch=true") { "?watch" } else { "" };
        state.asked.push(format!("{} {path}{watch}", head.method));
        if state.starting > 0 {
            state.starting -= 1;
            return status(503, "ServiceUnavailable", "not ready yet");
        }
        let value = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let name = path.strip_prefix("/api/v1/namespaces/default/configmaps/").map(str::to_owned);
        match path.as_str() {
            "/apis" => {
                let group = |name: &str| {
                    let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
                    json!({"name": name, "versions": [version], "preferredVersion": version})
                };
                let groups = ["away.example.com", "gone.example.com", "here.example.com"].map(group);
                return ok(&json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}));
            }
            "/apis/away.example.com/v1" => return status(503, "ServiceUnavailable", "nobody answers"),
            "/apis/gone.example.com/v1" => return status(404, "NotFound", "there is no such group"),
            "/api/v1" | "/apis/here.example.com/v1" => {
                let resource = |name: &str| json!({"name": name, "singularName": "", "kind": "Thing", "namespaced": true, "verbs": ["list"]});
                let resources = ["things", "things/status"].map(resource);
                return ok(&json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": resources}));
            }
            _ => {}
        }
        match (&head.method, name) {
            (&Method::GET, None) if query.contains("watch=true") => {
                let from: u64 = value("resourceVersion").and_then(|v| v.parse().ok()).unwrap_or(0);
                assert!(value("timeoutSeconds").is_some() && value("allowWatchBookmarks").is_some());
                if from < state.compacted {
                    return status(410, "Expired", "too old resource version");
                }
                let (sender, mut receiver) = mpsc::unbounded_channel();
                for (_, line) in state.history.iter().filter(|(version, _)| *version > from) {
                    let _ = sender.send(Ok(Frame::data(Bytes::from(line.clone()))));
                }
                state.watches.push(sender);
                let frames = stream::poll_fn(move |context| receiver.poll_recv(context));
                Response::new(StreamBody::new(frames).boxed())
            }
            (&Method::GET, None) => {
                let from: usize = value("continue").and_then(|v| v.parse().ok()).unwrap_or(0);
                let limit: usize = value("limit").and_then(|v| v.parse().ok()).unwrap_or(usize::MAX);
                let items: Vec<_> = state.objects.values().skip(from).take(limit.min(3)).cloned().collect();
                let end = from + items.len();
                let mut meta = json!({"resourceVersion": state.version.to_string()});
                if end < state.objects.len() {
                    meta["continue"] = end.to_string().into();
                }
                ok(&json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": meta, "items": items}))
            }
            (&Method::GET, Some(name)) => match state.objects.get(&name) {
                Some(object) => ok(object),
                None => status(404, "NotFound", &format!("configmaps {name:?} not found")),
            },
            (method, name) => {
                // Echoes what it was sent, for the tests of the other verbs.
                let type_ = head.headers.get("content-type").and_then(|v| v.to_str().ok());
                let sent = String::from_utf8_lossy(&body).into_owned();
                let data = json!({"method": method.as_str(), "path": path, "query": query, "type": type_, "body": sent});
                let data = data.as_object().cloned().unwrap_or_default();
                let data: BTreeMap<_, _> =
                    data.into_iter().map(|(k, v)| (k, v.as_str().unwrap_or("").to_owned())).collect();
                ok(
                    &json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": data}),
                )
            }
        }
    }
}

fn ok(value: &Value) -> Response<Body> {
    Response::new(Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}).boxed())
}

fn status(code: u16, reason: &str, message: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code});
    let mut response = ok(&status);
    *response.status_mut() = StatusCode::from_u16(code).expect("a code");
    response
}

fn client(server: &str) -> Client {
    let config = Config { server: server.to_owned(), ..Config::default() };
    Client::from_config(&config).expect("a client")
}

fn line(event: &Event<ConfigMap>) -> String {
    let show = |object: &ConfigMap| {
        let meta = &object.metadata;
        format!("{}@{}", meta.name.as_deref().unwrap_or(""), meta.resource_version.as_deref().unwrap_or(""))
    };
    match event {
        Event::Added(new) => format!("+{}", show(new)),
        Event::Updated { old, new } => format!("{}~{}", show(old), show(new)),
        Event::Deleted(old) => format!("-{}", show(old)),
        Event::Synced => "synced".to_owned(),
    }
}

/// The next event, which must come soon.
async fn next(events: &mut mpsc::Receiver<Event<ConfigMap>>) -> String {
    let event = tokio::time::timeout(Duration::from_secs(20), events.recv()).await;
    line(&event.expect("an event in time").expect("the informer lives"))
}

#[tokio::test]
async fn an_informer_lists_watches_and_survives_disconnects_without_loss_or_repeat() {
    let server = Server::default();
    server.write("a", false);
    server.write("b", false);
    let client = client(&server.start().await);
    let informer = Informer::<ConfigMap>::start(&client, Query::default());
    let mut events = informer.subscribe();
    assert_eq!(
        [next(&mut events).await, next(&mut events).await, next(&mut events).await],
        ["+a@1", "+b@2", "synced"]
    );
    let mut expected = Vec::new();
    let mut heard = Vec::new();
    for round in 0..30u64 {
        let delete = round % 7 == 6;
        let version = server.write("a", delete);
        expected.push(version.to_string());
        // Sometimes the watch ends while events are under way, sometimes before.
        match round % 5 {
            1 => server.end_watches(false),
            3 => server.end_watches(true),
            _ => {}
        }
        if round % 2 == 0 {
            heard.push(next(&mut events).await);
        }
    }
    while heard.len() < 30 {
        heard.push(next(&mut events).await);
    }
    let versions: Vec<_> =
        heard.iter().map(|line| line.rsplit('@').next().unwrap_or("").to_owned()).collect();
    assert_eq!(versions, expected, "every change, in order, once: {heard:?}");
    let asked = server.state().asked.clone();
    let lists = asked.iter().filter(|path| path.as_str() == "GET /api/v1/configmaps").count();
    assert_eq!(lists, 1, "one list is enough: {asked:?}");
    assert!(events.try_recv().is_err(), "and nothing more");
}

#[tokio::test]
async fn a_version_that_is_too_old_leads_to_a_new_list_that_tells_only_the_difference() {
    let server = Server::default();
    for name in ["a", "b", "c", "d"] {
        server.write(name, false);
    }
    let client = client(&server.start().await);
    let informer = Informer::<ConfigMap>::start(&client, Query::default());
    informer.synced().await;
    let mut events = informer.subscribe();
    for expected in ["+a@1", "+b@2", "+c@3", "+d@4", "synced"] {
        assert_eq!(next(&mut events).await, expected, "late subscribers are told what exists");
    }
    {
        // The connections break, and while nobody watches things change and are forgotten.
        let watches = std::mem::take(&mut server.state().watches);
        server.write("b", false);
        server.write("c", true);
        server.write("e", false);
        let version = server.state().version;
        server.state().compacted = version;
        drop(watches);
    }
    let mut heard = vec![next(&mut events).await, next(&mut events).await, next(&mut events).await];
    heard.sort();
    assert_eq!(heard, ["+e@7", "-c@3", "b@2~b@5"]);
    let names: Vec<_> = informer.list().iter().filter_map(|o| o.metadata.name.clone()).collect();
    assert_eq!(names, ["a", "b", "d", "e"]);
    server.write("a", false);
    assert_eq!(next(&mut events).await, "a@1~a@8", "and it watches again");
}

#[tokio::test]
async fn a_server_that_starts_late_and_slowly_is_waited_for() {
    // Another address of this machine than all other tests': nobody takes the port in between.
    let reserved = TcpListener::bind("127.0.0.2:0").await.expect("a port");
    let address = reserved.local_addr().expect("an address");
    drop(reserved);
    let client = client(&format!("http://{address}"));
    let informer = Informer::<ConfigMap>::start(&client, Query::default());
    let refused = client.get::<ConfigMap>("default", "a").await.expect_err("nobody listens");
    assert!(refused.is_retriable(), "{refused}");
    assert!(!informer.has_synced());
    let server = Server::default();
    server.write("a", false);
    server.state().starting = 2;
    server.serve(TcpListener::bind(address).await.expect("the port is free again"));
    tokio::time::timeout(Duration::from_secs(20), informer.synced()).await.expect("in time");
    assert!(informer.get("default", "a").is_some());
}

#[tokio::test]
async fn a_subscriber_who_does_not_read_loses_nothing_and_syncing_does_not_wait_for_him() {
    let server = Server::default();
    for n in 0..2000 {
        server.write(&format!("n{n:04}"), false);
    }
    let client = client(&server.start().await);
    let informer = Informer::<ConfigMap>::start(&client, Query::default());
    let mut events = informer.subscribe();
    tokio::time::timeout(Duration::from_secs(20), informer.synced()).await.expect("in time");
    for n in 0..1000 {
        server.write(&format!("n{n:04}"), true);
    }
    for n in 0..2000 {
        assert_eq!(next(&mut events).await, format!("+n{n:04}@{}", n + 1));
    }
    assert_eq!(next(&mut events).await, "synced");
    for n in 0..1000 {
        assert_eq!(next(&mut events).await, format!("-n{n:04}@{}", 2001 + n));
    }
}

#[tokio::test]
async fn the_loop_ends_with_the_last_handle_and_subscription() {
    let server = Server::default();
    let client = client(&server.start().await);
    let informer = Informer::<ConfigMap>::start(&client, Query::default());
    let mut events = informer.subscribe();
    assert_eq!(next(&mut events).await, "synced");
    drop(informer);
    server.write("a", false);
    assert_eq!(next(&mut events).await, "+a@1", "a subscription keeps it alive");
    while server.state().watches.is_empty() {
        tokio::task::yield_now().await;
    }
    drop(events);
    // The watch's connection closes when its reader is gone.
    let closed = async {
        loop {
            if server.state().watches.iter().all(mpsc::UnboundedSender::is_closed) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.expect("the watch is given up");
}

#[tokio::test]
async fn errors_carry_the_servers_status() {
    let server = Server::default();
    let client = client(&server.start().await);
    let error = client.get::<ConfigMap>("default", "x").await.expect_err("there is none");
    assert!(error.is_not_found() && !error.is_conflict());
    assert_eq!(error.to_string(), "configmaps \"x\" not found");
}

#[tokio::test]
async fn each_verb_has_its_method_path_and_content_type() {
    let server = Server::default();
    let client = client(&server.start().await);
    let object = ConfigMap {
        metadata: ObjectMeta {
            name: Some("x".to_owned()),
            namespace: Some("default".to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    let show = |echo: ConfigMap| {
        let data = echo.data.expect("the echo");
        format!("{} {} {} {}", data["method"], data["path"], data["type"], data["body"])
    };
    let sent = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"default"}}"#;
    let collection = "/api/v1/namespaces/default/configmaps";
    assert_eq!(
        show(client.create(&object).await.expect("ok")),
        format!("POST {collection} application/json {sent}")
    );
    assert_eq!(
        show(client.replace(&object).await.expect("ok")),
        format!("PUT {collection}/x application/json {sent}")
    );
    assert_eq!(
        show(client.replace_status(&object).await.expect("ok")),
        format!("PUT {collection}/x/status application/json {sent}")
    );
    for (patch, kind) in [
        (Patch::Json(json!([])), "json-patch"),
        (Patch::Merge(json!([])), "merge-patch"),
        (Patch::Strategic(json!([])), "strategic-merge-patch"),
    ] {
        let echo = client.patch::<ConfigMap>("default", "x", &patch, None).await.expect("ok");
        assert_eq!(show(echo), format!("PATCH {collection}/x application/{kind}+json []"));
    }
    let echo = client.apply(&object, "a tool", true).await.expect("ok");
    assert_eq!(echo.data.as_ref().expect("the echo")["query"], "fieldManager=a%20tool&force=true");
    assert_eq!(show(echo), format!("PATCH {collection}/x application/apply-patch+yaml {sent}"));
    client.delete::<ConfigMap>("default", "x", &DeleteOptions::default()).await.expect("ok");
    client.bind("default", "pod", "node-1").await.expect("ok");
    let list = client.list::<ConfigMap>(&ListOptions::default()).await.expect("ok");
    assert!(list.items.is_empty() && list.continue_.is_none());
    let asked = server.state().asked.clone();
    assert_eq!(
        asked[asked.len() - 3..],
        [
            format!("DELETE {collection}/x"),
            "POST /api/v1/namespaces/default/pods/pod/binding".to_owned(),
            "GET /api/v1/configmaps".to_owned(),
        ]
    );
}

/// A server behind one group that is down must not hide what the others serve; and whoever must
/// know of everything is told that something is missing.
#[tokio::test]
async fn what_can_be_discovered_is_and_what_cannot_is_named() {
    let server = Server::default();
    let client = client(&server.start().await);
    let found = client.discover().await.expect("the list of groups");
    let groups: Vec<String> = found.resources.iter().map(|r| format!("{}/{}", r.group, r.plural)).collect();
    assert_eq!(groups, ["/things", "here.example.com/things"]);
    let failed: Vec<&str> = found.failed.iter().map(|(group_version, _)| group_version.as_str()).collect();
    assert_eq!(failed, ["away.example.com/v1"]);
    assert_eq!(client.discovery().await.expect_err("a group is missing").code(), Some(503));
}

#[tokio::test]
async fn an_event_is_created_once_and_then_counted() {
    let server = Server::default();
    let client = client(&server.start().await);
    let recorder = EventRecorder::new(client, "test", None);
    let about = object_reference(&ConfigMap {
        metadata: ObjectMeta {
            name: Some("x".to_owned()),
            namespace: Some("default".to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    });
    recorder.event(&about, "Normal", "Tested", "it was tested");
    recorder.event(&about, "Normal", "Tested", "it was tested");
    let written = async {
        while server.state().asked.len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), written).await.expect("in time");
    let asked = server.state().asked.clone();
    assert_eq!(asked[0], "POST /api/v1/namespaces/default/events");
    assert!(asked[1].starts_with("PATCH /api/v1/namespaces/default/events/x."), "{asked:?}");
}

#[tokio::test]
async fn a_work_queue_wakes_every_worker_and_waits_for_its_time() {
    let queue = WorkQueue::new(RateLimit::default_controller());
    let start = tokio::time::Instant::now();
    let (sender, mut worked) = mpsc::unbounded_channel();
    let workers = [queue.clone(), queue.clone()].map(|queue| {
        let sender = sender.clone();
        tokio::spawn(async move {
            while let Some(key) = queue.get().await {
                sender.send((key, start.elapsed())).expect("the test listens");
                queue.done(&key);
            }
        })
    });
    queue.add_after("later", Duration::from_millis(40));
    queue.add_rate_limited("failed");
    queue.add_rate_limited("failed");
    queue.add("now");
    assert_eq!(queue.retries(&"failed"), 2);
    for (expected, earliest) in [("now", 0), ("failed", 5), ("later", 40)] {
        let next = tokio::time::timeout(Duration::from_secs(20), worked.recv()).await;
        let (key, at) = next.expect("a key in time").expect("the workers live");
        assert_eq!(key, expected);
        assert!(at >= Duration::from_millis(earliest), "{key} came after {at:?}");
    }
    queue.shut_down();
    for worker in workers {
        worker.await.expect("a queue that is shut down lets its workers go");
    }
}
