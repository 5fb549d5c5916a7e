//! Pod Security Standards, as a namespace asks for them.

use crate::cluster::Cluster;
use serde_json::{Value, json};

const NAMESPACES: &str = "/api/v1/namespaces";

fn labelled(labels: Value) -> Value {
    json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": "strict", "labels": labels } })
}

fn pod(name: &str, own: Value, context: Value) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1", "metadata": { "name": name },
        "spec": { "securityContext": own, "containers": [{ "name": "c", "image": "i", "securityContext": context }] },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_refuses_bold_pods_and_warns_of_what_would_make_them() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let (enforce, warn) = ("pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/warn");
    let (status, refused) = admin.post(NAMESPACES, labelled(json!({ enforce: "nonsense" }))).await;
    assert_eq!((status, &refused["reason"]), (422, &json!("Invalid")));
    assert_eq!(
        refused["message"],
        "Namespace \"strict\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \
         \"nonsense\": must be one of privileged, baseline, restricted"
    );
    let (status, made) = admin.post(NAMESPACES, labelled(json!({ warn: "baseline" }))).await;
    assert_eq!(status, 201, "{made}");
    let pods = format!("{NAMESPACES}/strict/pods");

    let warned = admin.warnings("POST", &pods, pod("bold", json!({}), json!({ "privileged": true }))).await;
    let said = "299 - \"would violate PodSecurity \\\"baseline:latest\\\": privileged (container \\\"c\\\" must not \
                set securityContext.privileged=true)\"";
    assert_eq!(warned, [said]);

    // A list waits until the server has seen the pod.
    admin.get(&pods).await;
    let stricter = labelled(json!({ enforce: "restricted", warn: "restricted" }));
    let warned = admin.warnings("PUT", &format!("{NAMESPACES}/strict"), stricter).await;
    let reasons = "privileged, allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile";
    assert_eq!(
        warned,
        [
            "299 - \"existing pods in namespace \\\"strict\\\" violate the new PodSecurity enforce level \\\"restricted:latest\\\"\"".to_string(),
            format!("299 - \"bold: {reasons}\""),
        ]
    );

    admin.get(NAMESPACES).await;
    let (status, refused) = admin.post(&pods, pod("late", json!({}), json!({}))).await;
    assert_eq!(status, 403, "{refused}");
    assert_eq!(
        refused["message"],
        "pods \"late\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false \
         (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities \
         (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or \
         container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set \
         securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
    let own = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    let context = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    assert_eq!(admin.post(&pods, pod("careful", own, context)).await.0, 201);

    // Who is there already may be labelled, but gets no new image.
    let bold = format!("{pods}/bold");
    let (status, answer) = admin
        .patch(&bold, "application/merge-patch+json", json!({ "metadata": { "labels": { "a": "b" } } }))
        .await;
    assert_eq!(status, 200, "{answer}");
    let image = json!({ "spec": { "containers": [{ "name": "c", "image": "other" }] } });
    let (status, _) = admin.patch(&bold, "application/strategic-merge-patch+json", image).await;
    assert_eq!(status, 403);
    let look = json!({ "spec": { "ephemeralContainers": [{ "name": "look", "image": "i", "securityContext": { "privileged": true } }] } });
    let ephemeral = format!("{pods}/careful/ephemeralcontainers");
    let (status, refused) = admin.patch(&ephemeral, "application/strategic-merge-patch+json", look).await;
    assert_eq!(status, 403, "{refused}");

    let template = pod("x", json!({}), json!({}));
    let deployment = json!({
        "metadata": { "name": "web" },
        "spec": {
            "selector": { "matchLabels": { "a": "b" } },
            "template": { "metadata": { "labels": { "a": "b" } }, "spec": template["spec"] },
        },
    });
    let deployments = "/apis/apps/v1/namespaces/strict/deployments";
    let warned = admin.warnings("POST", deployments, deployment).await;
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("would violate PodSecurity"), "{warned:?}");
    assert_eq!(admin.get(&format!("{deployments}/web")).await.0, 200, "its pods are refused, it is not");
}
