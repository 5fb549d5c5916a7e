//! kube-rs, the client library that operators in Rust are made of: client and runtime.

use e2e::Cluster;
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{
    Api, AttachParams, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams,
    PropagationPolicy,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::crd::CustomResourceExt as _;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector;
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, CustomResource, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn cluster() -> &'static Cluster {
    Cluster::shared(&["--nodes", "1"])
}

/// Run a test's body with a client, within the suite's patience.
fn with_client<F: Future<Output = ()>>(body: impl FnOnce(Client) -> F) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(cluster().kubeconfig()).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a config");
        let client = Client::try_from(config).expect("a client");
        tokio::time::timeout(e2e::PATIENCE * 2, body(client)).await.expect("in time");
    });
}

fn map(name: &str) -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some(name.into()), ..Default::default() }, ..Default::default() }
}

/// It says "hello from the pod" to whoever asks on port 8080.
fn pod(name: &str) -> Pod {
    let serve = "mkdir /www; echo hello from the pod > /www/index.html; exec httpd -f -p 8080 -h /www";
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "c", "image": "busybox:1", "command": ["sh", "-c", serve],
                "readinessProbe": { "httpGet": { "port": 8080 }, "periodSeconds": 1 },
            }],
        },
    }))
    .expect("a pod")
}

#[test]
fn objects_are_made_patched_applied_listed_and_deleted() {
    let namespace = cluster().namespace("kube-rs-objects");
    with_client(|client| async move {
        let version = client.apiserver_version().await.expect("a version");
        assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "32"));
        let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
        let made = maps.create(&PostParams::default(), &map("a")).await.expect("is made");
        assert!(made.uid().is_some());
        let patch = Patch::Merge(json!({ "data": { "k": "v" } }));
        let patched = maps.patch("a", &PatchParams::default(), &patch).await.expect("is patched");
        assert_eq!(patched.data.expect("data")["k"], "v");
        // Server-side apply: two owners, a conflict, and force.
        let apply = |value: &str| {
            Patch::Apply(json!({
                "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": "b" }, "data": { "k": value },
            }))
        };
        maps.patch("b", &PatchParams::apply("one"), &apply("1")).await.expect("is made by apply");
        let refused = maps.patch("b", &PatchParams::apply("two"), &apply("2")).await.expect_err("a conflict");
        assert!(matches!(&refused, kube::Error::Api(status) if status.code == 409), "{refused}");
        let forced =
            maps.patch("b", &PatchParams::apply("two").force(), &apply("2")).await.expect("by force");
        let owners: Vec<String> = forced.managed_fields().iter().filter_map(|e| e.manager.clone()).collect();
        assert_eq!(owners, ["two"], "the one field has one owner");
        let pages = ListParams::default().limit(1);
        let first = maps.list(&pages).await.expect("a page");
        assert_eq!(first.items.len(), 1);
        let token = first.metadata.continue_.expect("there is more");
        maps.list(&pages.continue_token(&token)).await.expect("the next page");
        let metadata = maps.list_metadata(&ListParams::default()).await.expect("metadata alone");
        assert!(metadata.items.iter().any(|item| item.name_any() == "b"));
        maps.delete("a", &DeleteParams::default()).await.expect("is deleted");
        let gone = maps.get_opt("a").await.expect("an answer");
        assert!(gone.is_none());
    });
}

#[test]
fn a_watcher_and_a_reflector_follow_what_happens() {
    let namespace = cluster().namespace("kube-rs-watch");
    with_client(|client| async move {
        let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
        maps.create(&PostParams::default(), &map("before")).await.expect("is made");
        for streaming in [false, true] {
            let config = watcher::Config::default();
            let config = if streaming { config.streaming_lists() } else { config };
            let (reader, writer) = reflector::store();
            let mut events = std::pin::pin!(
                reflector::reflector(writer, watcher(maps.clone(), config))
                    .default_backoff()
                    .touched_objects()
            );
            let name = format!("after-{streaming}");
            let mut seen = Vec::new();
            while !seen.contains(&name) {
                let object = events.try_next().await.expect("no error").expect("a stream without end");
                seen.push(object.name_any());
                if seen.last().map(String::as_str) == Some("before") {
                    maps.create(&PostParams::default(), &map(&name)).await.expect("is made");
                }
            }
            assert!(reader.state().iter().any(|object| object.name_any() == name));
        }
    });
}

#[test]
fn a_lease_keeps_its_microseconds() {
    let namespace = cluster().namespace("kube-rs-leases");
    with_client(|client| async move {
        let leases: Api<Lease> = Api::namespaced(client, &namespace);
        let time = "2026-01-02T03:04:05.678901Z";
        let lease: Lease = serde_json::from_value(json!({
            "metadata": { "name": "leader" },
            "spec": { "holderIdentity": "me", "leaseDurationSeconds": 15, "acquireTime": time, "renewTime": time },
        }))
        .expect("a lease");
        let mut made = leases.create(&PostParams::default(), &lease).await.expect("is made");
        let shown: MicroTime = made.spec.clone().and_then(|spec| spec.renew_time).expect("a time");
        assert_eq!(serde_json::to_value(shown).expect("JSON"), time);
        let stale = made.clone();
        made.spec.as_mut().expect("a spec").holder_identity = Some("you".into());
        leases.replace("leader", &PostParams::default(), &made).await.expect("is taken over");
        let late = leases.replace("leader", &PostParams::default(), &stale).await.expect_err("too late");
        assert!(matches!(&late, kube::Error::Api(status) if status.is_conflict()), "{late}");
    });
}

/// How many lamps a street has, and how bright.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "lights.example.com", version = "v1", kind = "Lamp", namespaced, status = "LampStatus")]
#[kube(shortname = "lp", printcolumn = r#"{"name":"Watts","type":"integer","jsonPath":".spec.watts"}"#)]
struct LampSpec {
    #[schemars(range(min = 1))]
    watts: i32,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
struct LampStatus {
    lit: bool,
}

#[derive(Debug)]
struct Never;

impl std::fmt::Display for Never {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("never")
    }
}

impl std::error::Error for Never {}

/// An operator: every lamp is lit, and has a ConfigMap of its own.
async fn light(lamp: Arc<Lamp>, client: Arc<Client>) -> Result<Action, Never> {
    let namespace = lamp.namespace().unwrap_or_default();
    let lamps: Api<Lamp> = Api::namespaced((*client).clone(), &namespace);
    let maps: Api<ConfigMap> = Api::namespaced((*client).clone(), &namespace);
    let name = lamp.name_any();
    let owner = kube::Resource::controller_owner_ref(&*lamp, &()).expect("it is stored");
    let child = json!({
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": { "name": name, "ownerReferences": [owner] },
        "data": { "watts": lamp.spec.watts.to_string() },
    });
    maps.patch(&name, &PatchParams::apply("lamps").force(), &Patch::Apply(child)).await.map_err(|_| Never)?;
    let status = Patch::Merge(json!({ "status": { "lit": true } }));
    lamps.patch_status(&name, &PatchParams::default(), &status).await.map_err(|_| Never)?;
    Ok(Action::await_change())
}

#[test]
fn a_controller_reconciles_custom_resources() {
    let namespace = cluster().namespace("kube-rs-controller");
    with_client(|client| async move {
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let name = Lamp::crd_name();
        let apply = PatchParams::apply("tests").force();
        definitions.patch(name, &apply, &Patch::Apply(Lamp::crd())).await.expect("is defined");
        await_condition(definitions, name, conditions::is_crd_established()).await.expect("is established");
        let lamps: Api<Lamp> = Api::namespaced(client.clone(), &namespace);
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
        let dark = lamps.create(&PostParams::default(), &Lamp::new("dark", LampSpec { watts: 0 })).await;
        let dark = dark.expect_err("no lamp has no watts");
        assert!(matches!(&dark, kube::Error::Api(status) if status.code == 422), "{dark}");
        let controller = Controller::new(lamps.clone(), watcher::Config::default())
            .owns(maps.clone(), watcher::Config::default())
            .run(light, |_, _: &Never, _| Action::requeue(Duration::from_secs(1)), Arc::new(client))
            .for_each(|_| async {});
        let controller = tokio::spawn(controller);
        lamps
            .create(&PostParams::default(), &Lamp::new("hall", LampSpec { watts: 40 }))
            .await
            .expect("is made");
        let lit = |lamp: Option<&Lamp>| lamp.is_some_and(|l| l.status.as_ref().is_some_and(|s| s.lit));
        await_condition(lamps.clone(), "hall", lit).await.expect("is lit");
        let of = |watts: &'static str| {
            move |map: Option<&ConfigMap>| {
                map.and_then(|m| m.data.as_ref()).is_some_and(|d| d.get("watts").is_some_and(|w| w == watts))
            }
        };
        await_condition(maps.clone(), "hall", of("40")).await.expect("has a map");
        let brighter = Patch::Merge(json!({ "spec": { "watts": 60 } }));
        let lamp = lamps.patch("hall", &PatchParams::default(), &brighter).await.expect("is changed");
        assert_eq!(lamp.metadata.generation, Some(2));
        await_condition(maps.clone(), "hall", of("60")).await.expect("follows");
        let uid = maps.get("hall").await.expect("is there").uid().expect("a uid");
        maps.delete("hall", &DeleteParams::default()).await.expect("is deleted");
        let anew = |map: Option<&ConfigMap>| map.is_some_and(|m| m.uid().is_some_and(|u| u != uid));
        await_condition(maps.clone(), "hall", anew).await.expect("comes back");
        let foreground =
            DeleteParams { propagation_policy: Some(PropagationPolicy::Foreground), ..Default::default() };
        controller.abort();
        lamps.delete("hall", &foreground).await.expect("is deleted");
        let none = |map: Option<&ConfigMap>| map.is_none();
        await_condition(maps, "hall", none).await.expect("goes with its owner");
    });
}

#[test]
fn a_deployment_is_rolled_out_and_scaled() {
    let namespace = cluster().namespace("kube-rs-deployments");
    with_client(|client| async move {
        let deployments: Api<Deployment> = Api::namespaced(client, &namespace);
        let deployment = json!({
            "kind": "Deployment", "apiVersion": "apps/v1", "metadata": { "name": "web" },
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{ "name": "web", "image": "coracle/web:1" }] },
                },
            },
        });
        let apply = PatchParams::apply("tests");
        deployments.patch("web", &apply, &Patch::Apply(deployment)).await.expect("is applied");
        let ready = |wanted: i32| {
            move |d: Option<&Deployment>| {
                d.and_then(|d| d.status.as_ref()).is_some_and(|s| s.ready_replicas == Some(wanted))
            }
        };
        await_condition(deployments.clone(), "web", ready(1)).await.expect("is ready");
        let scale = Patch::Merge(json!({ "spec": { "replicas": 2 } }));
        let scaled =
            deployments.patch_scale("web", &PatchParams::default(), &scale).await.expect("is scaled");
        assert_eq!(scaled.spec.and_then(|s| s.replicas), Some(2));
        await_condition(deployments, "web", ready(2)).await.expect("has two");
    });
}

#[test]
fn commands_run_in_containers_and_ports_are_forwarded() {
    let namespace = cluster().namespace("kube-rs-streams");
    with_client(|client| async move {
        let pods: Api<Pod> = Api::namespaced(client, &namespace);
        pods.create(&PostParams::default(), &pod("p")).await.expect("is made");
        await_condition(pods.clone(), "p", conditions::is_pod_running()).await.expect("runs");
        let ready = |pod: Option<&Pod>| {
            let status = pod.and_then(|pod| pod.status.as_ref());
            let mut conditions = status.into_iter().flat_map(|status| status.conditions.iter().flatten());
            conditions.any(|c| c.type_ == "Ready" && c.status == "True")
        };
        await_condition(pods.clone(), "p", ready).await.expect("is ready");
        let params = AttachParams::default().stdin(true).stderr(false);
        let mut process =
            pods.exec("p", ["sh", "-c", "read line; echo \"got $line\"; exit 3"], &params).await;
        let process = process.as_mut().expect("runs");
        let mut stdin = process.stdin().expect("an input");
        stdin.write_all(b"a word\n").await.expect("is read");
        let mut said = String::new();
        process.stdout().expect("an output").read_to_string(&mut said).await.expect("is text");
        assert_eq!(said, "got a word\n");
        let status = process.take_status().expect("a status").await.expect("it ends");
        assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
        let mut forward = pods.portforward("p", &[8080]).await.expect("is forwarded");
        let mut stream = forward.take_stream(8080).expect("a stream");
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("is sent");
        let mut page = String::new();
        stream.read_to_string(&mut page).await.expect("is text");
        assert!(page.ends_with("hello from the pod\n"), "{page}");
        let mut logs = pods.log_stream("p", &Default::default()).await.expect("logs");
        let mut text = String::new();
        futures_util::AsyncReadExt::read_to_string(&mut logs, &mut text).await.expect("is text");
        pods.evict("p", &Default::default()).await.expect("is evicted");
        await_condition(pods, "p", |pod: Option<&Pod>| pod.is_none()).await.expect("goes");
    });
}
