//! Who asks: tokens, speaking for others, and what only some may decide.

use crate::cluster::{Client, Cluster};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_worth_what_its_account_and_its_pod_are() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let (_, account) = admin.post(ACCOUNTS, json!({ "metadata": { "name": "robot" } })).await;
    let uid = account["metadata"]["uid"].as_str().expect("a uid").to_string();
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({
        "metadata": { "name": "p" },
        "spec": { "serviceAccountName": "robot", "containers": [{ "name": "c", "image": "i" }] },
    });
    let (status, pod) = admin.post(pods, pod).await;
    assert_eq!(status, 201, "{pod}");
    let ask = json!({ "spec": { "boundObjectRef": { "kind": "Pod", "apiVersion": "v1", "name": "p" } } });
    let (status, answer) = admin.post(&format!("{ACCOUNTS}/robot/token"), ask).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["spec"]["expirationSeconds"], 3600);
    let token = answer["status"]["token"].as_str().expect("a token").to_string();
    let robot = cluster.stranger().with("authorization", &format!("Bearer {token}"));
    let (status, who) = robot.post(WHO, json!({})).await;
    assert_eq!(status, 201, "{who}");
    let user = &who["status"]["userInfo"];
    assert_eq!(user["username"], "system:serviceaccount:default:robot");
    assert_eq!(user["uid"], uid.as_str());
    let groups = ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"];
    assert_eq!(user["groups"], json!(groups));
    assert_eq!(user["extra"]["authentication.kubernetes.io/pod-name"], json!(["p"]));
    assert_eq!(robot.get(pods).await.0, 200);

    let review = json!({ "spec": { "token": token } });
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let (status, verdict) = admin.post(reviews, review.clone()).await;
    assert_eq!((status, &verdict["status"]["authenticated"]), (201, &json!(true)), "{verdict}");
    let (_, other) = admin.post(reviews, json!({ "spec": { "token": token, "audiences": ["vault"] } })).await;
    assert_eq!(other["status"]["authenticated"], json!(null), "it is for this server alone: {other}");

    // A token that was changed, and one whose pod is gone.
    let forged = cluster.stranger().with("authorization", &format!("Bearer {}x", &token[..token.len() - 1]));
    assert_eq!(forged.get(pods).await.0, 401);
    admin.delete(&format!("{pods}/p?gracePeriodSeconds=0")).await;
    let (_, verdict) = admin.post(reviews, review).await;
    assert_eq!(verdict["status"]["authenticated"], json!(null), "{verdict}");
    assert_eq!(robot.get(pods).await.0, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_request_that_cannot_be_is_refused() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    admin.post(ACCOUNTS, json!({ "metadata": { "name": "robot" } })).await;
    let url = format!("{ACCOUNTS}/robot/token");
    let (status, answer) = admin.post(&url, json!({ "spec": { "expirationSeconds": 60 } })).await;
    assert_eq!(status, 422);
    let message = "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 60: \
                   may not specify a duration less than 10 minutes";
    assert_eq!(answer["message"], message);
    let (status, answer) = admin.post(&format!("{ACCOUNTS}/nobody/token"), json!({})).await;
    assert_eq!((status, &answer["message"]), (404, &json!("serviceaccounts \"nobody\" not found")));
    let bound = json!({ "spec": { "boundObjectRef": { "kind": "Pod", "name": "none" } } });
    let (status, answer) = admin.post(&url, bound).await;
    assert_eq!((status, &answer["message"]), (404, &json!("pods \"none\" not found")));
    let made = cluster.kubectl(&["create", "token", "robot", "--duration=1h"]).await;
    assert_eq!(made.trim().split('.').count(), 3, "{made}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_may_speak_for_another() {
    let cluster = Cluster::start().await;
    let jane = cluster.admin().with("impersonate-user", "jane").with("impersonate-group", "dev");
    let (_, who) = jane.post(WHO, json!({})).await;
    let expected = json!({ "username": "jane", "groups": ["dev", "system:authenticated"] });
    assert_eq!(who["status"]["userInfo"], expected);
    let nobody = cluster.stranger().with("impersonate-user", "jane");
    assert_eq!(nobody.get("/api/v1/pods").await.0, 401, "a stranger speaks for nobody");
    let printed = cluster.kubectl(&["auth", "whoami", "--as=jane", "-o", "name"]).await;
    assert!(printed.contains("selfsubjectreview"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_refuses_evictions_and_pays_for_some() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let pods = "/api/v1/namespaces/default/pods";
    for name in ["a", "b"] {
        let pod = json!({
            "metadata": { "name": name, "labels": { "app": "web" } },
            "spec": { "nodeName": "n", "containers": [{ "name": "c", "image": "i" }] },
        });
        assert_eq!(admin.post(pods, pod).await.0, 201);
        let status = json!({ "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } });
        admin.patch(&format!("{pods}/{name}/status"), "application/merge-patch+json", status).await;
    }
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = json!({
        "metadata": { "name": "web" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } } },
    });
    assert_eq!(admin.post(budgets, budget).await.0, 201);
    let evict = json!({ "kind": "Eviction", "apiVersion": "policy/v1", "metadata": { "name": "a" } });
    let (status, answer) = admin.post(&format!("{pods}/a/eviction"), evict.clone()).await;
    assert_eq!(status, 429, "nobody has looked at the budget yet: {answer}");
    assert_eq!(answer["details"]["retryAfterSeconds"], 10);
    let counted = json!({ "status": {
        "observedGeneration": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2, "disruptionsAllowed": 1,
    } });
    admin.patch(&format!("{budgets}/web/status"), "application/merge-patch+json", counted).await;
    let (status, answer) = admin.post(&format!("{pods}/a/eviction"), evict).await;
    assert_eq!((status, &answer["status"]), (201, &json!("Success")), "{answer}");
    let (_, pod) = admin.get(&format!("{pods}/a")).await;
    assert!(pod["metadata"]["deletionTimestamp"].is_string(), "{pod}");
    let (_, paid) = admin.get(&format!("{budgets}/web")).await;
    assert_eq!(paid["status"]["disruptionsAllowed"], 0, "{paid}");
    assert!(paid["status"]["disruptedPods"]["a"].is_string());
    // The second: a body without a kind is one too.
    let (status, answer) =
        admin.post(&format!("{pods}/b/eviction"), json!({ "metadata": { "name": "b" } })).await;
    assert_eq!(status, 429, "{answer}");
    let cause = &answer["details"]["causes"][0];
    assert_eq!(cause["reason"], "DisruptionBudget", "{answer}");
}

/// A request for a certificate of `CN=x`, in PEM.
const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIR01HNENBUUF3RERFS01BZ0dBMVVFQXd3QmVEQlpNQk1HQnlxR1NNNDlBZ0VHQ0NxR1NNNDlBd0VIQTBJQQpCQTlWRVpMNjJUTHVjcEpoZG9qUXRPS2RhZmFaLy9uS0ZGc1lwL1hUSXY0MDBlZEo0VTB4MTFGVDhodmRJdkQ4CmFka0REVUtDa00zZkJ3cTM5clltbXVHZ0FEQUtCZ2dxaGtqT1BRUURBZ05JQURCRkFpQkh6cEEzNmhkVFBwSGIKVHNUN3ZyYi85bUNyeVhmaTUycDBqNWw3d25zMUZBSWhBUFU3Y1crbkg1bUdFK3RVNVZlcTNvcDR0am0vQUNRbApUdDI3Y2ZTQWJoYVQKLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_asked_for_approved_and_signed_by_different_doors() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = json!({
        "metadata": { "name": "jane" },
        "spec": {
            "request": REQUEST,
            "signerName": "example.com/anything", "usages": ["client auth"], "username": "somebody-else",
        },
    });
    let (status, made) = admin.post(requests, request).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["spec"]["username"], "admin", "who asks is not theirs to say");
    let early = json!({ "status": { "conditions": [{ "type": "Approved", "status": "True" }] } });
    let merge = "application/merge-patch+json";
    let (_, left) = admin.patch(&format!("{requests}/jane/status"), merge, early).await;
    assert_eq!(left["status"]["conditions"], json!(null), "approval has its own door: {left}");
    cluster.kubectl(&["certificate", "approve", "jane"]).await;
    let (_, approved) = admin.get(&format!("{requests}/jane")).await;
    let condition = &approved["status"]["conditions"][0];
    assert_eq!(
        (&condition["type"], &condition["status"]),
        (&json!("Approved"), &json!("True")),
        "{approved}"
    );
    assert!(condition["lastUpdateTime"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_known_speaks_for_whom_it_names() {
    let cluster = Cluster::start().await;
    let speaking = |name: &str| {
        let client = cluster.client(name).with("x-remote-user", "jane").with("x-remote-group", "devs");
        client
            .with("x-remote-group", "ops")
            .with("x-remote-extra-scopes", "a")
            .with("X-Remote-Extra-acme.org%2Fteam", "b")
    };
    let who = async |client: Client| client.post(WHO, json!({})).await;
    let (status, answer) = who(speaking("front")).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(
        answer["status"]["userInfo"],
        json!({
            "username": "jane", "groups": ["devs", "ops", "system:authenticated"],
            "extra": { "scopes": ["a"], "acme.org/team": ["b"] },
        })
    );
    // Somebody of the same authority, but not of a name that is believed; and a proxy that names nobody.
    for nobody in
        [speaking("impostor"), cluster.client("front"), cluster.stranger().with("x-remote-user", "jane")]
    {
        let (status, answer) = who(nobody).await;
        assert_eq!(
            (status, answer["message"].as_str()),
            (
                403,
                Some(
                    "selfsubjectreviews.authentication.k8s.io is forbidden: User \"system:anonymous\" cannot create resource \"selfsubjectreviews\" in API group \"authentication.k8s.io\" at the cluster scope"
                )
            )
        );
    }
    // Who is a client alone is who the certificate says.
    let (_, answer) = who(speaking("admin")).await;
    assert_eq!(answer["status"]["userInfo"]["username"], "admin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_known_by_its_print() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    let der = CertificateDer::from_pem_file(cluster.file("admin.crt")).expect("a certificate");
    let print = ring::digest::digest(&ring::digest::SHA256, &der);
    let print: String = print.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let extra = json!({ "authentication.kubernetes.io/credential-id": [format!("X509SHA256={print}")] });
    let (_, who) = admin.post(WHO, json!({})).await;
    assert_eq!(who["status"]["userInfo"]["extra"], extra);
    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = json!({
        "metadata": { "name": "r" },
        "spec": { "request": REQUEST, "signerName": "example.com/s", "usages": ["client auth"] },
    });
    let (_, made) = admin.post(requests, request).await;
    assert_eq!(made["spec"]["extra"], extra, "{made}");
    let (_, who) = cluster.admin().with("impersonate-user", "jane").post(WHO, json!({})).await;
    assert_eq!(who["status"]["userInfo"]["extra"], json!(null), "it is not jane's");
}
