//! Every kind that is served, from its creation to its end, and every command of kubectl that makes
//! one.

use crate::cluster::Cluster;
use objects::resources::{self, Resource};
use serde_json::{Value, json};

/// A template for pods labelled `app: a`.
fn template() -> Value {
    json!({
        "metadata": { "labels": { "app": "a" } },
        "spec": { "containers": [{ "name": "c", "image": "registry.example/c:1" }] },
    })
}

fn selector() -> Value {
    json!({ "matchLabels": { "app": "a" } })
}

/// What an object of a kind cannot be without.
fn minimal(resource: &Resource) -> Value {
    let never = || {
        let mut job = template();
        job["spec"]["restartPolicy"] = json!("Never");
        job
    };
    let rules = json!([{ "apiGroups": ["example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["none"] }]);
    match (resource.group, resource.kind) {
        ("", "Event") => {
            json!({ "involvedObject": { "kind": "Pod", "name": "p", "namespace": "default" }, "reason": "R" })
        }
        ("events.k8s.io", _) => json!({
            "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "example.com/c",
            "reportingInstance": "i", "action": "A", "reason": "R", "type": "Normal",
            "regarding": { "kind": "Pod", "name": "p", "namespace": "default" },
        }),
        ("", "LimitRange") => {
            json!({ "spec": { "limits": [{ "type": "Container", "max": { "cpu": "1" } }] } })
        }
        ("", "PersistentVolumeClaim") => json!({
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        }),
        ("", "PersistentVolume") => json!({
            "spec": {
                "accessModes": ["ReadWriteOnce"], "capacity": { "storage": "1Gi" }, "hostPath": { "path": "/x" },
            },
        }),
        ("", "Pod") => json!({ "spec": template()["spec"] }),
        ("", "PodTemplate") => json!({ "template": template() }),
        ("", "ReplicationController") => {
            json!({ "spec": { "selector": { "app": "a" }, "template": template() } })
        }
        ("", "ResourceQuota") => json!({ "spec": { "hard": { "pods": "5" } } }),
        ("", "Service") => json!({ "spec": { "ports": [{ "port": 80 }] } }),
        ("apiregistration.k8s.io", _) => json!({
            "metadata": { "name": "v1.none.example.com" },
            "spec": {
                "group": "none.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
                "service": { "namespace": "default", "name": "s" }, "insecureSkipTLSVerify": true,
            },
        }),
        ("apps", "ControllerRevision") => json!({ "revision": 1, "data": { "any": ["thing", null] } }),
        ("apps", "StatefulSet") => {
            json!({ "spec": { "serviceName": "s", "selector": selector(), "template": template() } })
        }
        ("apps", _) => json!({ "spec": { "selector": selector(), "template": template() } }),
        ("autoscaling", _) => json!({
            "spec": {
                "maxReplicas": 3, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "d" },
            },
        }),
        ("batch", "CronJob") => {
            json!({ "spec": { "schedule": "* * * * *", "jobTemplate": { "spec": { "template": never() } } } })
        }
        ("batch", "Job") => json!({ "spec": { "template": never() } }),
        ("certificates.k8s.io", _) => {
            let key = rcgen::KeyPair::generate().expect("a key");
            let request = rcgen::CertificateParams::default().serialize_request(&key).expect("a request");
            let pem = base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD,
                request.pem().expect("a text"),
            );
            let usages = ["digital signature", "client auth"];
            json!({ "spec": { "request": pem, "signerName": "example.com/signer", "usages": usages } })
        }
        ("networking.k8s.io", "Ingress") => {
            json!({ "spec": { "defaultBackend": { "service": { "name": "s", "port": { "number": 80 } } } } })
        }
        ("networking.k8s.io", "IngressClass") => json!({ "spec": { "controller": "example.com/c" } }),
        ("networking.k8s.io", _) => json!({ "spec": { "podSelector": {} } }),
        ("policy", _) => json!({ "spec": { "minAvailable": 1, "selector": selector() } }),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => json!({ "rules": [] }),
        ("rbac.authorization.k8s.io", kind) => {
            let role = kind.trim_end_matches("Binding");
            json!({ "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": "r" } })
        }
        ("storage.k8s.io", "CSIDriver") => json!({ "spec": {} }),
        ("storage.k8s.io", "CSINode") => json!({ "spec": { "drivers": [] } }),
        ("storage.k8s.io", "CSIStorageCapacity") => json!({ "storageClassName": "s" }),
        ("storage.k8s.io", "StorageClass") => json!({ "provisioner": "example.com/p" }),
        ("storage.k8s.io", _) => json!({
            "spec": { "attacher": "example.com", "nodeName": "n", "source": { "persistentVolumeName": "p" } },
        }),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => json!({
            "spec": {
                "matchConstraints": { "resourceRules": rules }, "validations": [{ "expression": "true" }],
            },
        }),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => {
            json!({ "spec": { "policyName": "p", "validationActions": ["Deny"] } })
        }
        ("apiextensions.k8s.io", _) => json!({
            "metadata": { "name": "widgets.life.example.com" },
            "spec": {
                "group": "life.example.com", "scope": "Namespaced",
                "names": { "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList" },
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": { "type": "object" } },
                }],
            },
        }),
        ("scheduling.k8s.io", _) => json!({ "value": 5 }),
        ("node.k8s.io", _) => json!({ "handler": "h" }),
        ("discovery.k8s.io", _) => json!({ "addressType": "IPv4", "endpoints": [] }),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => {
            json!({ "spec": { "matchingPrecedence": 900, "priorityLevelConfiguration": { "name": "p" } } })
        }
        ("flowcontrol.apiserver.k8s.io", _) => json!({
            "spec": {
                "type": "Limited",
                "limited": { "nominalConcurrencyShares": 5, "limitResponse": { "type": "Reject" } },
            },
        }),
        _ => json!({}),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_lives_a_whole_life() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    for resource in resources::all() {
        let api = if resource.group.is_empty() { "api" } else { "apis" };
        let namespace = if resource.namespaced { "/namespaces/default" } else { "" };
        let all = format!("/{api}/{}{namespace}/{}", resource.api_version(), resource.plural);
        let mut object = minimal(resource);
        object["kind"] = json!(resource.kind);
        object["apiVersion"] = json!(resource.api_version());
        if object["metadata"]["name"].is_null() {
            object["metadata"]["name"] = json!("life");
        }
        let one = format!("{all}/{}", object["metadata"]["name"].as_str().expect("a name"));

        let (status, created) = admin.post(&format!("{all}?fieldValidation=Strict"), object.clone()).await;
        assert_eq!(status, 201, "{all}: {created}");
        assert_within(&object, &created, &all);
        assert_eq!(admin.get(&one).await.0, 200, "{one}");
        let (status, table) = admin.get_as(&all, "application/json;as=Table;v=v1;g=meta.k8s.io").await;
        assert_eq!((status, &table["kind"]), (200, &json!("Table")), "{all}");
        let columns = table["columnDefinitions"].as_array().expect("columns").len();
        assert!(table["rows"][0]["cells"].as_array().is_some_and(|cells| cells.len() == columns), "{table}");

        // The server itself may write at the same time, a definition's status for one.
        let (status, updated) = loop {
            let (_, mut now) = admin.get(&one).await;
            now["metadata"]["labels"]["seen"] = json!("yes");
            match admin.put(&one, now).await {
                (409, _) => {}
                answer => break answer,
            }
        };
        assert_eq!(
            (status, &updated["metadata"]["labels"]["seen"]),
            (200, &json!("yes")),
            "{one}: {updated}"
        );
        assert_eq!(admin.delete(&format!("{one}?propagationPolicy=Background")).await.0, 200, "{one}");
        // Some have a finalizer whose controller is not here.
        let (status, left) = admin.get(&one).await;
        assert!(status == 404 || left["metadata"]["deletionTimestamp"].is_string(), "{one}: {left}");
    }
}

/// All that is in `part` is in `whole` too.
fn assert_within(part: &Value, whole: &Value, at: &str) {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            // A null is nothing, and so is what is empty.
            let empty = |v: &Value| v.is_null() || v == &json!({}) || v == &json!([]) || v == &json!("");
            for (key, value) in part.iter().filter(|(_, v)| !empty(v)) {
                let at = format!("{at}.{key}");
                assert_within(value, whole.get(key).unwrap_or_else(|| panic!("{at} is missing")), &at);
            }
        }
        (Value::Array(part), Value::Array(whole)) => {
            assert_eq!(part.len(), whole.len(), "{at}");
            part.iter().zip(whole).for_each(|(a, b)| assert_within(a, b, at));
        }
        _ => assert_eq!(part, whole, "{at}"),
    }
}

/// Each sends protobuf. What the server keeps must hold what kubectl says that it would send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kubectl_makes_arrives_whole() {
    let cluster = Cluster::start().await;
    let commands = [
        "create clusterrole r --verb=get,list --resource=pods,deployments.apps --resource-name=x",
        "create clusterrole s --verb=get --non-resource-url=/logs/*",
        "create clusterrole t --aggregation-rule=a=b",
        "create clusterrolebinding b --clusterrole=r --user=u --group=g --serviceaccount=default:s",
        "create configmap c --from-literal=a=b --from-literal=d=",
        "create cronjob j --image=i --schedule=*/5_*_*_*_* --restart=OnFailure -- sleep 1",
        "create deployment d --image=i --replicas=0 --port=80",
        "create ingress i --class=x --rule=a.b/c*=s:80,tls=t --default-backend=s:http --annotation=k=v",
        "create job k --image=i -- sleep 1",
        "create namespace n",
        "create poddisruptionbudget p --selector=a=b --min-available=50%",
        "create poddisruptionbudget q --selector=a=b --max-unavailable=0",
        "create priorityclass p --value=-7 --description=low --preemption-policy=Never",
        "create quota q --hard=pods=3,requests.cpu=0.5 --scopes=NotBestEffort",
        "create role r --verb=* --resource=secrets",
        "create rolebinding b --role=r --serviceaccount=default:s",
        "create secret generic s --from-literal=a=b --type=example.com/t",
        "create secret docker-registry r --docker-username=u --docker-password=p --docker-server=s",
        "create service clusterip a --tcp=80:8080",
        "create service clusterip h --clusterip=None --tcp=80",
        "create service nodeport b --tcp=80:web --node-port=30080",
        "create service loadbalancer l --tcp=443",
        "create service externalname e --external-name=example.com",
        "create serviceaccount s",
        "run p --image=i --port=80 --env=A=b --labels=x=y -- arg",
        "expose pod p --port=80 --name=exposed",
        "autoscale deployment d --min=1 --max=5 --cpu-percent=80",
    ];
    for command in commands {
        let words: Vec<String> = command.split(' ').map(|word| word.replace('_', " ")).collect();
        let run = async |extra: &[&str]| {
            let cut = words.iter().position(|word| word == "--").unwrap_or(words.len());
            let mut args: Vec<&str> = words[..cut].iter().map(String::as_str).collect();
            args.extend(extra);
            args.extend(words[cut..].iter().map(String::as_str));
            let printed = cluster.kubectl(&args).await;
            serde_json::from_str::<Value>(&printed).unwrap_or_else(|e| panic!("{command}: {e}: {printed}"))
        };
        let mut meant = run(&["--dry-run=client", "-o", "json"]).await;
        // An autoscaler is made in v1 and shown in v2, if the server prefers that.
        meant.as_object_mut().expect("an object").remove("apiVersion");
        let rehearsed = run(&["--dry-run=server", "-o", "json"]).await;
        assert_within(&meant, &rehearsed, command);
        assert_within(&meant, &run(&["-o", "json"]).await, command);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_going_away_is_warned_of_beside_the_answer() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let url = "/apis/apps/v1/namespaces/default/deployments";
    let mut web =
        json!({ "metadata": { "name": "web" }, "spec": { "selector": selector(), "template": template() } });
    web["spec"]["template"]["spec"]["nodeSelector"] = json!({ "beta.kubernetes.io/os": "linux" });
    let old = r#"299 - "spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead""#;
    assert_eq!(admin.warnings("POST", url, web.clone()).await, [old]);
    let (web_url, none) = (format!("{url}/web"), Vec::<String>::new());
    assert_eq!(admin.warnings("PUT", &web_url, web.clone()).await, none, "nothing changes");
    web["spec"]["replicas"] = json!(2);
    assert_eq!(admin.warnings("PUT", &web_url, web.clone()).await, [old]);
    web["status"] = json!({ "replicas": 1 });
    assert_eq!(admin.warnings("PUT", &format!("{web_url}/status"), web).await, none);
    let (status, _) = admin.get(&web_url).await;
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_judged_by_the_name_under_which_it_is_sent() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let (old, new) =
        ("/api/v1/namespaces/default/events", "/apis/events.k8s.io/v1/namespaces/default/events");
    let about = json!({ "kind": "Pod", "name": "p", "namespace": "default" });
    let counted = json!({ "metadata": { "name": "a" }, "involvedObject": about, "count": 1 });
    assert_eq!(admin.post(old, counted).await.0, 201);
    let (status, said) = admin.post(new, json!({ "metadata": { "name": "b" }, "regarding": about })).await;
    let message =
        "Event \"b\" is invalid: [eventTime: Required value, type: Invalid value: \"\": has invalid value: ]";
    assert_eq!((status, &said["message"]), (422, &json!(message)));
    let (_, mut event) = admin.get(&format!("{new}/a")).await;
    event["note"] = json!("otherwise");
    let (status, said) = admin.put(&format!("{new}/a"), event).await;
    let message = "Event \"a\" is invalid: message: Invalid value: \"otherwise\": field is immutable";
    assert_eq!((status, &said["message"]), (422, &json!(message)));
}
