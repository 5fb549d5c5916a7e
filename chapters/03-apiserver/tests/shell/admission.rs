//! Webhooks and policies, asked by a real server over real TLS.

use crate::backend::{Backend, Seen, data_encoding};
use crate::cluster::{Client, Cluster};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const HOOKS: &str = "/apis/admissionregistration.k8s.io/v1";

fn map(name: &str, data: Value) -> Value {
    json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": name }, "data": data })
}

/// An answer to a review.
fn answer(seen: &Seen, response: Value) -> Option<(u16, Value)> {
    let mut response = response;
    response["uid"] = seen.body["request"]["uid"].clone();
    Some((
        200,
        json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response }),
    ))
}

fn patched(seen: &Seen, patch: Value) -> Option<(u16, Value)> {
    let patch = data_encoding(patch.to_string().as_bytes());
    answer(seen, json!({ "allowed": true, "patchType": "JSONPatch", "patch": patch }))
}

/// A webhook for config maps at a path of the backend.
fn hook(backend: &Backend, name: &str, path: &str) -> Value {
    json!({
        "name": name,
        "clientConfig": { "url": format!("https://127.0.0.1:{}/{path}", backend.port), "caBundle": backend.ca_bundle },
        "rules": [{ "operations": ["CREATE", "UPDATE", "DELETE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"] }],
        // What the server makes itself is not asked about.
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "default" } },
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 5,
    })
}

async fn install(admin: &Client, kind: &str, name: &str, webhooks: Value) {
    let plural = format!("{}s", kind.to_lowercase());
    let configuration = json!({
        "kind": kind, "apiVersion": "admissionregistration.k8s.io/v1", "metadata": { "name": name }, "webhooks": webhooks,
    });
    let (status, made) = admin.post(&format!("{HOOKS}/{plural}"), configuration).await;
    assert_eq!(status, 201, "{made}");
    // A list waits until the server has seen what was written.
    assert_eq!(admin.get(&format!("{HOOKS}/{plural}")).await.0, 200);
}

const MUTATING: &str = "MutatingWebhookConfiguration";
const VALIDATING: &str = "ValidatingWebhookConfiguration";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutating_webhooks_change_what_is_written_one_after_the_other() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let backend = Backend::start(|seen| {
        let data = seen.body["request"]["object"]["data"].clone();
        match seen.url.split('?').next() {
            // Counts what it sees; asks to be asked again.
            Some("/count") => {
                let count = data.as_object().map_or(0, |d| d.len()).to_string();
                patched(seen, json!([{ "op": "add", "path": "/data/count", "value": count }]))
            }
            Some("/sidecar") if data["sidecar"].is_null() => {
                patched(seen, json!([{ "op": "add", "path": "/data/sidecar", "value": "here" }]))
            }
            _ => answer(seen, json!({ "allowed": true })),
        }
    })
    .await;
    let mut again = hook(&backend, "count.example.com", "count");
    again["reinvocationPolicy"] = json!("IfNeeded");
    install(&admin, MUTATING, "b", json!([hook(&backend, "sidecar.example.com", "sidecar")])).await;
    install(&admin, MUTATING, "a", json!([again])).await;
    let (status, made) = admin.post(MAPS, map("c", json!({ "own": "1" }))).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["data"], json!({ "own": "1", "count": "3", "sidecar": "here" }));
    let seen = backend.take();
    let paths: Vec<&str> = seen.iter().filter_map(|s| s.url.split('?').next()).collect();
    assert_eq!(paths, ["/count", "/sidecar", "/count"], "by the names of configurations, and once more");
    assert!(seen.iter().all(|s| s.url.ends_with("?timeout=5s")), "{}", seen[0].url);
    let request = &seen[0].body["request"];
    assert_eq!(request["operation"], "CREATE");
    assert_eq!(request["kind"], json!({ "group": "", "version": "v1", "kind": "ConfigMap" }));
    assert_eq!(request["resource"], json!({ "group": "", "version": "v1", "resource": "configmaps" }));
    assert_eq!((&request["name"], &request["namespace"]), (&json!("c"), &json!("default")));
    assert_eq!(request["userInfo"]["username"], "admin");
    assert_eq!((&request["oldObject"], &request["dryRun"]), (&Value::Null, &json!(false)));
    assert_eq!(backend.connections(), 1, "a connection is used again");
    // Nothing that was not asked for is changed.
    let (_, secret) = admin
        .post(
            "/api/v1/namespaces/default/secrets",
            json!({ "metadata": { "name": "s" }, "stringData": { "a": "b" } }),
        )
        .await;
    assert_eq!((secret["data"]["count"].is_null(), backend.take().len()), (true, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_webhook_adds_is_nobodys_and_it_cannot_spoil_who_owns_what() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let backend = Backend::start(|seen| {
        let spoil = seen.body["request"]["name"] == "spoilt";
        let broken = json!([{ "manager": "m", "operation": "Rename" }]);
        let owners = json!({ "op": "replace", "path": "/metadata/managedFields", "value": broken });
        let data = json!({ "op": "add", "path": "/data/added", "value": "1" });
        patched(seen, if spoil { json!([data, owners]) } else { json!([data]) })
    })
    .await;
    install(&admin, MUTATING, "m", json!([hook(&backend, "m.example.com", "")])).await;
    for name in ["whole", "spoilt"] {
        let warnings = admin.warnings("POST", MAPS, map(name, json!({ "own": "1" }))).await;
        let (_, made) = admin.get(&format!("{MAPS}/{name}")).await;
        assert_eq!(made["data"], json!({ "own": "1", "added": "1" }));
        let owners = made["metadata"]["managedFields"].as_array().expect("a list");
        assert_eq!(owners.len(), 1, "{owners:?}");
        assert_eq!(owners[0]["fieldsV1"], json!({ "f:data": { ".": {}, "f:own": {} } }));
        match name {
            "spoilt" => assert_eq!(
                warnings,
                [
                    "299 - \".metadata.managedFields was in an invalid state after admission; this could be caused \
                  by an outdated mutating admission controller; please fix your requests: operation must be \
                  `Apply` or `Update`\""
                ]
            ),
            _ => assert_eq!(warnings, Vec::<String>::new()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validating_webhooks_refuse_in_their_own_words() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let backend = Backend::start(|seen| {
        let request = &seen.body["request"];
        match (request["operation"].as_str(), request["name"].as_str()) {
            (Some("DELETE"), _) => answer(seen, json!({ "allowed": false, "status": { "message": "it stays", "code": 403, "reason": "Forbidden" } })),
            (_, Some("mute")) => answer(seen, json!({ "allowed": false })),
            (_, Some("bad")) => answer(seen, json!({ "allowed": false, "status": { "message": "why not", "code": 418 } })),
            (_, Some("stranger")) => Some((200, json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": { "uid": "?", "allowed": true } }))),
            (_, Some("patched")) => patched(seen, json!([])),
            (_, Some("broken")) => Some((500, json!({ "oh": "no" }))),
            _ => answer(seen, json!({ "allowed": true, "warnings": ["mind the \"gap\""] })),
        }
    })
    .await;
    install(&admin, VALIDATING, "v", json!([hook(&backend, "v.example.com", "")])).await;
    let post = |name: &'static str| admin.post(MAPS, map(name, json!({})));
    let (status, refused) = post("mute").await;
    assert_eq!((status, &refused["reason"]), (400, &Value::Null));
    assert_eq!(
        refused["message"],
        "admission webhook \"v.example.com\" denied the request without explanation"
    );
    let (status, refused) = post("bad").await;
    assert_eq!((status, &refused["code"]), (418, &json!(418)));
    assert_eq!(refused["message"], "admission webhook \"v.example.com\" denied the request: why not");
    for (name, why) in [
        ("stranger", "received invalid webhook response: expected response.uid="),
        ("patched", "received invalid webhook response: validating webhook may not return response.patch"),
        (
            "broken",
            "failed to call webhook: an error on the server (\"{\\\"oh\\\":\\\"no\\\"}\") has prevented the request from succeeding",
        ),
    ] {
        let (status, refused) = post(name).await;
        let told = format!("Internal error occurred: failed calling webhook \"v.example.com\": {why}");
        let message = refused["message"].as_str().unwrap_or_default();
        assert!(status == 500 && message.starts_with(&told), "{message}");
    }
    assert_eq!(admin.get(&format!("{MAPS}/bad")).await.0, 404, "what was refused is not there");
    let warnings = admin.warnings("POST", MAPS, map("good", json!({}))).await;
    assert_eq!(warnings, ["299 - \"mind the \\\"gap\\\"\""]);
    backend.take();
    let (status, refused) = admin.delete(&format!("{MAPS}/good")).await;
    assert_eq!((status, &refused["reason"]), (403, &json!("Forbidden")), "{refused}");
    let request = backend.take().remove(0).body["request"].clone();
    assert_eq!(
        (&request["object"], &request["oldObject"]["metadata"]["name"]),
        (&Value::Null, &json!("good"))
    );
    assert_eq!(request["options"]["kind"], "DeleteOptions");
    // Nobody is asked about the one who asks.
    assert_eq!(admin.delete(&format!("{HOOKS}/validatingwebhookconfigurations/v")).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_fails_is_waited_for_no_longer_than_it_says() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let backend = Backend::start(|_| None).await;
    let mut slow = hook(&backend, "slow.example.com", "slow");
    slow["timeoutSeconds"] = json!(1);
    install(&admin, VALIDATING, "v", json!([slow])).await;
    let (status, refused) = admin.post(MAPS, map("c", json!({}))).await;
    let told = format!(
        "Internal error occurred: failed calling webhook \"slow.example.com\": failed to call webhook: Post \"https://127.0.0.1:{}/slow?timeout=1s\": context deadline exceeded",
        backend.port
    );
    assert_eq!((status, refused["message"].as_str()), (500, Some(told.as_str())));
    let configuration = format!("{HOOKS}/validatingwebhookconfigurations/v");
    let open = json!([{ "op": "add", "path": "/webhooks/0/failurePolicy", "value": "Ignore" }]);
    assert_eq!(admin.patch(&configuration, "application/json-patch+json", open).await.0, 200);
    assert_eq!(admin.get(&format!("{HOOKS}/validatingwebhookconfigurations")).await.0, 200);
    assert_eq!(admin.post(MAPS, map("c", json!({}))).await.0, 201, "done without");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_believed_without_a_certificate() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let (one, other) = (Backend::start(|_| None).await, Backend::start(|_| None).await);
    let mut stranger = hook(&one, "v.example.com", "");
    stranger["clientConfig"]["caBundle"] = json!(other.ca_bundle);
    install(&admin, VALIDATING, "v", json!([stranger])).await;
    let (status, refused) = admin.post(MAPS, map("c", json!({}))).await;
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(status == 500 && message.ends_with("x509: certificate signed by unknown authority"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_run_asks_only_those_who_bear_it() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let backend = Backend::start(|seen| answer(seen, json!({ "allowed": true }))).await;
    let mut acting = hook(&backend, "acts.example.com", "");
    acting["sideEffects"] = json!("Some");
    install(&admin, MUTATING, "m", json!([hook(&backend, "quiet.example.com", "")])).await;
    let (status, made) = admin.post(&format!("{MAPS}?dryRun=All"), map("c", json!({}))).await;
    assert_eq!((status, &backend.take()[0].body["request"]["dryRun"]), (201, &json!(true)), "{made}");
    let plural = format!("{HOOKS}/mutatingwebhookconfigurations");
    // Old configurations may say `Some`; new ones may not.
    acting["sideEffects"] = json!("NoneOnDryRun");
    install(&admin, MUTATING, "n", json!([acting])).await;
    assert_eq!(admin.post(&format!("{MAPS}?dryRun=All"), map("c", json!({}))).await.0, 201);
    assert_eq!(backend.take().len(), 2);
    assert_eq!(admin.get(&plural).await.1["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_may_stand_behind_a_service() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let backend = Backend::start(move |seen| {
        count.fetch_add(1, Ordering::SeqCst);
        answer(seen, json!({ "allowed": true }))
    })
    .await;
    let mut behind = hook(&backend, "v.example.com", "");
    behind["clientConfig"] = json!({ "caBundle": backend.ca_bundle, "service": { "namespace": "default", "name": "hook", "path": "/check" } });
    install(&admin, VALIDATING, "v", json!([behind])).await;
    let told = |why: &str| {
        format!(
            "Internal error occurred: failed calling webhook \"v.example.com\": failed to call webhook: Post \"https://hook.default.svc:443/check?timeout=5s\": {why}"
        )
    };
    let (_, refused) = admin.post(MAPS, map("c", json!({}))).await;
    assert_eq!(refused["message"], told("service \"hook\" not found"));
    let service = json!({ "metadata": { "name": "hook" }, "spec": { "selector": { "a": "b" }, "ports": [{ "port": 443, "targetPort": backend.port }] } });
    assert_eq!(admin.post("/api/v1/namespaces/default/services", service).await.0, 201);
    let (_, refused) = admin.post(MAPS, map("c", json!({}))).await;
    assert_eq!(refused["message"], told("no endpoints available for service \"hook\""));
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let slice = json!({
        "metadata": { "name": "hook-1", "labels": { "kubernetes.io/service-name": "hook" } },
        // An address may not be a loopback's; a name may.
        "addressType": "FQDN",
        "endpoints": [{ "addresses": ["localhost"], "conditions": { "ready": true } }],
        "ports": [{ "port": backend.port }],
    });
    let (status, made) = admin.post(slices, slice).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(admin.get(slices).await.0, 200);
    let (status, made) = admin.post(MAPS, map("c", json!({}))).await;
    assert_eq!((status, asked.load(Ordering::SeqCst)), (201, 1), "{made}");
    assert_eq!(backend.take()[0].url, "/check?timeout=5s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_are_asked_here() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let make = |plural: &'static str, object: Value| {
        let admin = admin.clone();
        async move {
            let (status, made) = admin.post(&format!("{HOOKS}/{plural}"), object).await;
            assert_eq!(status, 201, "{made}");
            assert_eq!(admin.get(&format!("{HOOKS}/{plural}")).await.0, 200);
        }
    };
    let policy = json!({
        "metadata": { "name": "limits" },
        "spec": {
            "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
            "matchConstraints": { "resourceRules": [{ "operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"] }] },
            "matchConditions": [{ "name": "no-params", "expression": "!object.metadata.name.startsWith('param')" }],
            "variables": [{ "name": "size", "expression": "has(object.data) ? object.data.size() : 0" }],
            "validations": [
                { "expression": "variables.size <= int(params.data.most)", "messageExpression": "'at most ' + params.data.most + ', not ' + string(variables.size)", "reason": "Forbidden" },
                { "expression": "request.operation != 'UPDATE' || !('frozen' in oldObject.data)" },
                { "expression": "namespaceObject.metadata.name == 'default'", "message": "only here" },
            ],
        },
    });
    assert_eq!(admin.post(MAPS, map("param", json!({ "most": "1" }))).await.0, 201);
    make("validatingadmissionpolicies", policy).await;
    let binding = |name: &str, actions: Value, params: &str| json!({ "metadata": { "name": name }, "spec": { "policyName": "limits", "validationActions": actions, "paramRef": { "name": params, "parameterNotFoundAction": "Deny" }, "matchResources": { "namespaceSelector": { "matchExpressions": [{ "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"] }] } } } });
    make("validatingadmissionpolicybindings", binding("here", json!(["Deny"]), "nowhere")).await;
    let (status, refused) = admin.post(MAPS, map("c", json!({ "a": "1" }))).await;
    assert_eq!((status, &refused["reason"]), (422, &json!("Invalid")));
    assert_eq!(
        refused["message"],
        "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'here' denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    );
    let found = json!([{ "op": "replace", "path": "/spec/paramRef/name", "value": "param" }]);
    let url = format!("{HOOKS}/validatingadmissionpolicybindings/here");
    assert_eq!(admin.patch(&url, "application/json-patch+json", found).await.0, 200);
    assert_eq!(admin.get(&format!("{HOOKS}/validatingadmissionpolicybindings")).await.0, 200);
    assert_eq!(admin.post(MAPS, map("c", json!({ "frozen": "1" }))).await.0, 201);
    let (status, refused) = admin.post(MAPS, map("d", json!({ "a": "1", "b": "2" }))).await;
    assert_eq!((status, &refused["reason"]), (403, &json!("Forbidden")));
    let told = "ValidatingAdmissionPolicy 'limits' with binding 'here' denied request: at most 1, not 2";
    assert_eq!(refused["details"]["causes"][0]["message"], told, "{refused}");
    let (_, refused) = admin.put(&format!("{MAPS}/c"), map("c", json!({ "a": "1" }))).await;
    let told = "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'here' denied request: failed expression: request.operation != 'UPDATE' || !('frozen' in oldObject.data)";
    assert_eq!(refused["message"], told);
    // A binding that only warns.
    assert_eq!(admin.delete(&format!("{HOOKS}/validatingadmissionpolicybindings/here")).await.0, 200);
    make("validatingadmissionpolicybindings", binding("aloud", json!(["Warn", "Audit"]), "param")).await;
    let warnings = admin.warnings("POST", MAPS, map("d", json!({ "a": "1", "b": "2" }))).await;
    assert_eq!(
        warnings,
        [
            "299 - \"Validation failed for ValidatingAdmissionPolicy 'limits' with binding 'aloud': at most 1, not 2\""
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cluster_knows_two_priorities_and_its_default_classes() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let pods = "/api/v1/namespaces/kube-system/pods";
    let pod = |name: &str, class: &str| json!({ "metadata": { "name": name }, "spec": { "priorityClassName": class, "containers": [{ "name": "c", "image": "x" }] } });
    let (status, made) = admin.post(pods, pod("a", "system-node-critical")).await;
    assert_eq!((status, &made["spec"]["priority"]), (201, &json!(2_000_001_000)), "{made}");
    assert_eq!(made["spec"]["preemptionPolicy"], "PreemptLowerPriority");
    let (status, refused) = admin.post(pods, pod("b", "nowhere")).await;
    assert_eq!(
        (status, &refused["message"]),
        (403, &json!("pods \"b\" is forbidden: no PriorityClass with name nowhere was found"))
    );
    let class = json!({ "metadata": { "name": "fast", "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } }, "provisioner": "x" });
    assert_eq!(admin.post("/apis/storage.k8s.io/v1/storageclasses", class).await.0, 201);
    assert_eq!(admin.get("/apis/storage.k8s.io/v1/storageclasses").await.0, 200);
    let claim = json!({ "metadata": { "name": "c" }, "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    let (status, made) = admin.post("/api/v1/namespaces/default/persistentvolumeclaims", claim).await;
    assert_eq!((status, &made["spec"]["storageClassName"]), (201, &json!("fast")), "{made}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_bindings_are_asked_about_too() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let backend = Backend::start(|seen| {
        let told = json!({ "message": "hands off", "code": 403, "reason": "Forbidden" });
        answer(seen, json!({ "allowed": false, "status": told }))
    })
    .await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod =
        json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "x" }] } });
    assert_eq!(admin.post(pods, pod).await.0, 201);
    let mut about = hook(&backend, "v.example.com", "");
    about["rules"] = json!([{ "operations": ["CONNECT", "CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/exec", "pods/binding", "pods/proxy"] }]);
    install(&admin, VALIDATING, "v", json!([about])).await;
    let binding = json!({ "metadata": { "name": "p" }, "target": { "kind": "Node", "name": "n1" } });
    for (url, body, kind) in [
        (format!("{pods}/p/exec?command=sh&command=-c&stdin=true"), json!({}), "PodExecOptions"),
        (format!("{pods}/p/proxy/a/b"), json!({}), "PodProxyOptions"),
        (format!("{pods}/p/binding"), binding, "Binding"),
    ] {
        let (status, refused) = admin.post(&url, body).await;
        let told = "admission webhook \"v.example.com\" denied the request: hands off";
        assert_eq!((status, &refused["message"]), (403, &json!(told)), "{url}");
        let request = backend.take().remove(0).body["request"].clone();
        assert_eq!(request["kind"]["kind"], kind);
        if kind == "PodExecOptions" {
            assert_eq!(request["operation"], "CONNECT");
            assert_eq!(request["object"]["command"], json!(["sh", "-c"]));
            assert_eq!(request["object"]["stdin"], true);
        }
    }
    let (_, pod) = admin.get(&format!("{pods}/p")).await;
    assert!(pod["spec"]["nodeName"].is_null(), "it is bound to nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expressions_are_compiled_before_they_are_kept() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let policies = format!("{HOOKS}/validatingadmissionpolicies");
    let policy = |expression: &str| {
        let rules = json!([{ "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"] }]);
        json!({ "metadata": { "name": "p" }, "spec": { "matchConstraints": { "resourceRules": rules }, "validations": [{ "expression": expression }] } })
    };
    let (status, refused) = admin.post(&policies, policy("object.data.size() <")).await;
    let told = "ValidatingAdmissionPolicy.admissionregistration.k8s.io \"p\" is invalid: spec.validations[0].expression: Invalid value: \"object.data.size() <\": compilation failed: ERROR: <input>:1:21: Syntax error: mismatched input '<EOF>' expecting expression\n | object.data.size() <\n | ....................^";
    assert_eq!((status, refused["message"].as_str()), (422, Some(told)));
    assert_eq!(admin.post(&policies, policy("object.data.size() < 3")).await.0, 201);
    let seen = async {
        loop {
            let (_, found) = admin.get(&format!("{policies}/p")).await;
            if found["status"]["observedGeneration"] == found["metadata"]["generation"] {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(crate::cluster::PATIENCE, seen).await.expect("its status is written");
    assert_eq!(found["status"]["typeChecking"], json!({}));
}
