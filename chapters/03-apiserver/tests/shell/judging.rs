//! Writes that cannot be: what each is answered, and that nothing came of it.

use crate::cluster::{Client, Cluster};
use serde_json::{Value, json};

const CORE: &str = "/api/v1/namespaces/default";
const APPS: &str = "/apis/apps/v1/namespaces/default";

/// How a request ended: the status, the message or nothing, what was warned of.
async fn ask(client: &Client, method: &str, url: &str, kind: &str, body: &str) -> String {
    let (status, headers, bytes) = client.exchange(method, url, &[("content-type", kind)], body).await;
    let answer: Value = serde_json::from_slice(&bytes).expect("JSON");
    let (reason, message) = (&answer["reason"], answer["message"].as_str().unwrap_or("done"));
    let mut said = match answer["kind"] == "Status" {
        true => format!("{status} {} {}\n", reason.as_str().unwrap_or("-"), brief(message)),
        false => format!("{status} done\n"),
    };
    for cause in answer["details"]["causes"].as_array().into_iter().flatten() {
        let text = |key: &str| brief(cause[key].as_str().unwrap_or_default());
        said += &format!("    {} {}: {}\n", text("reason"), text("field"), text("message"));
    }
    for warning in headers.get_all("warning") {
        said += &format!("    {}\n", warning.to_str().expect("text"));
    }
    said
}

/// Without the object that a message shows: it has times in it.
fn brief(message: &str) -> String {
    match (message.find("\"{"), message.rfind("}\": ")) {
        (Some(from), Some(to)) => format!("{}\"{{…{}", &message[..from], &message[to..]),
        _ => message.to_string(),
    }
}

/// A Deployment, a pod and a ConfigMap, on which everything is tried.
async fn begin(cluster: &Cluster) -> Client {
    let admin = cluster.admin();
    let template = json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    let deployment = json!({
        "metadata": { "name": "d" },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "a": "b" } }, "template": template },
    });
    assert_eq!(admin.post(&format!("{APPS}/deployments"), deployment).await.0, 201);
    let pod = json!({ "metadata": { "name": "p" }, "spec": template["spec"] });
    assert_eq!(admin.post(&format!("{CORE}/pods"), pod).await.0, 201);
    let map = json!({ "metadata": { "name": "m" }, "data": { "a": "1" } });
    assert_eq!(admin.post(&format!("{CORE}/configmaps"), map).await.0, 201);
    assert_eq!(
        admin.post(&format!("{CORE}/serviceaccounts"), json!({ "metadata": { "name": "robot" } })).await.0,
        201
    );
    admin
}

/// Everything that was there, without what time and the server wrote.
async fn all(admin: &Client) -> Vec<Value> {
    let mut all = Vec::new();
    for url in [format!("{APPS}/deployments/d"), format!("{CORE}/pods/p"), format!("{CORE}/configmaps/m")] {
        all.push(admin.get(&url).await.1);
    }
    all
}

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const LIST: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const JSON: &str = "application/json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_to_a_subresource_is_read_as_its_kind() {
    let cluster = Cluster::start().await;
    let admin = begin(&cluster).await;
    let before = all(&admin).await;
    let (scale, pod) = (format!("{APPS}/deployments/d/scale"), format!("{CORE}/pods/p"));
    let account = format!("{CORE}/serviceaccounts/robot/token");
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews".to_string();
    let named = |rest: &str| format!(r#"{{"metadata":{{"name":"d"}}{rest}}}"#);
    let cases: Vec<(&str, String, &str, String)> = vec![
        ("PUT", scale.clone(), JSON, named(r#","spec":{"replicas":"3"}"#)),
        ("PUT", scale.clone(), JSON, named(r#","spec":{"replicas":2.5}"#)),
        ("PUT", scale.clone(), JSON, named(r#","spec":{"replicas":-1}"#)),
        ("PUT", scale.clone(), JSON, named(r#","kind":"Pod","apiVersion":"autoscaling/v1""#)),
        ("PUT", scale.clone(), JSON, named(r#","apiVersion":"v1""#)),
        ("PUT", format!("{scale}?fieldValidation=Strict"), JSON, named(r#","nope":1"#)),
        ("PUT", scale.clone(), JSON, r#"{"metadata":{"name":"zz"}}"#.into()),
        ("PUT", scale.clone(), JSON, r#"{"metadata":{"name":"d","namespace":"zz"}}"#.into()),
        ("PUT", scale.clone(), JSON, "{}".into()),
        ("PATCH", scale.clone(), MERGE, r#"{"spec":{"replicas":"x"}}"#.into()),
        ("PATCH", scale.clone(), LIST, r#"[{"op":"replace","path":"/spec/replicas","value":true}]"#.into()),
        ("PATCH", format!("{scale}?fieldManager=me"), APPLY, "[]".into()),
        ("POST", format!("{pod}/eviction"), JSON, r#"{"apiVersion":"v1","kind":"Pod"}"#.into()),
        ("POST", format!("{pod}/eviction"), JSON, r#"{"deleteOptions":{"gracePeriodSeconds":"x"}}"#.into()),
        ("POST", format!("{pod}/eviction?fieldValidation=Strict"), JSON, r#"{"nope":1}"#.into()),
        ("POST", format!("{pod}/binding"), JSON, r#"{"target":"x"}"#.into()),
        ("POST", account.clone(), JSON, r#"{"spec":{"expirationSeconds":"x"}}"#.into()),
        ("POST", account.clone(), JSON, r#"{"apiVersion":"v1","kind":"Pod"}"#.into()),
        ("POST", account.clone(), JSON, r#"{"metadata":{"name":"zz"}}"#.into()),
        ("POST", account.clone(), JSON, r#"{"metadata":{"namespace":"zz"}}"#.into()),
        ("POST", format!("{account}?fieldValidation=Strict"), JSON, r#"{"nope":1}"#.into()),
        (
            "POST",
            format!("{reviews}?fieldValidation=Strict"),
            JSON,
            r#"{"spec":{"token":"x","nope":1}}"#.into(),
        ),
        ("POST", reviews, JSON, r#"{"spec":{"token":1}}"#.into()),
    ];
    let mut said = String::new();
    for (method, url, kind, body) in cases {
        said += &format!("{method} {url} {body}\n  {}", ask(&admin, method, &url, kind, &body).await);
    }
    insta::assert_snapshot!(said);
    assert_eq!(all(&admin).await, before, "nothing of it was stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_are_judged_by_what_they_make_and_by_how_they_are_written() {
    let cluster = Cluster::start().await;
    let admin = begin(&cluster).await;
    let before = all(&admin).await;
    let (map, deployment) = (format!("{CORE}/configmaps/m"), format!("{APPS}/deployments/d"));
    let strict = |url: &str| format!("{url}?fieldValidation=Strict");
    let applied = |url: &str, more: &str| format!("{url}?fieldManager=me{more}");
    let map_of = |data: &str| format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","data":{data}}}"#);
    let cases: Vec<(String, &str, String)> = vec![
        (map.clone(), MERGE, r#"{"data":{"a":1}}"#.into()),
        (map.clone(), STRATEGIC, r#"{"data":{"a":1}}"#.into()),
        (deployment.clone(), STRATEGIC, r#"{"spec":{"replicas":"x","paused":[true]}}"#.into()),
        (deployment.clone(), STRATEGIC, r#"{"spec":{"template":{"spec":{"volumes":{}}}}}"#.into()),
        (map.clone(), LIST, r#"[{"op":"add","path":"/data/b","value":{}}]"#.into()),
        (strict(&map), MERGE, r#"{"foo":1}"#.into()),
        (strict(&map), MERGE, r#"{"data":{"b":"1","b":"2"}}"#.into()),
        (strict(&map), STRATEGIC, r#"{"data":{"b":"1","b":"2"},"foo":1}"#.into()),
        (strict(&map), LIST, r#"[{"op":"add","path":"/data/b","value":"1","zip":1}]"#.into()),
        (applied(&map, "&fieldValidation=Strict"), APPLY, map_of(r#"{"z":"1","z":"2"}"#)),
        (applied(&map, ""), APPLY, map_of(r#"{"a":1}"#)),
        (
            applied(&deployment, "&force=true"),
            APPLY,
            r#"{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":"x"}}"#.into(),
        ),
        (map.clone(), MERGE, "[]".into()),
        (map.clone(), LIST, "{}".into()),
        (map.clone(), STRATEGIC, r#""x""#.into()),
        (map.clone(), MERGE, "{".into()),
        (map.clone(), MERGE, r#"{"metadata":{"deletionTimestamp":"2020-01-01T00:00:00Z"}}"#.into()),
        (format!("{CORE}/configmaps/none"), MERGE, "{".into()),
        (format!("{CORE}/configmaps"), MERGE, "{}".into()),
    ];
    let mut said = String::new();
    for (url, kind, body) in cases {
        said += &format!("{url} {kind} {body}\n  {}", ask(&admin, "PATCH", &url, kind, &body).await);
    }
    insta::assert_snapshot!(said);
    assert_eq!(all(&admin).await, before, "nothing of it was stored");
    // Who does not insist is told.
    let warned = ask(&admin, "PATCH", &map, MERGE, r#"{"data":{"b":"1","b":"2"},"foo":1}"#).await;
    assert_eq!(
        warned,
        "200 done\n    299 - \"duplicate field \\\"data.b\\\"\"\n    299 - \"unknown field \\\"foo\\\"\"\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_objects_are_judged_before_they_are_looked_for() {
    let cluster = Cluster::start().await;
    let admin = begin(&cluster).await;
    let maps = format!("{CORE}/configmaps");
    let both = r#"{"metadata":{"name":"b","nope":1},"foo":1,"data":{"a":"1","a":"2"},"bar":1,"bar":2}"#;
    let cases: Vec<(&str, String, &str)> = vec![
        ("POST", format!("{maps}?fieldValidation=Strict"), both),
        ("POST", format!("{maps}?dryRun=All"), both),
        ("POST", maps.clone(), r#"{"metadata":{"name":"b","resourceVersion":"5"}}"#),
        ("PUT", format!("{maps}/m"), r#"{"data":{}}"#),
        ("PUT", format!("{maps}/m"), r#"{"metadata":{"name":"n"}}"#),
        ("PUT", format!("{maps}/gone"), r#"{"metadata":{"name":"gone"}}"#),
        ("PUT", format!("{maps}/gone"), r#"{"metadata":{"name":"gone","uid":"9e44","resourceVersion":"5"}}"#),
        ("PUT", maps.clone(), "{}"),
    ];
    let mut said = String::new();
    for (method, url, body) in cases {
        said += &format!("{method} {url} {body}\n  {}", ask(&admin, method, &url, JSON, body).await);
    }
    insta::assert_snapshot!(said);
    let (_, tried) = admin.post(&format!("{maps}?dryRun=All"), json!({ "metadata": { "name": "t" } })).await;
    assert_eq!(tried["metadata"]["resourceVersion"], Value::Null, "what is only tried has no version");
}

/// Questions, and other small things that are asked rarely, in upstream's words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_rarely_is_answered_in_upstreams_words() {
    let cluster = Cluster::start().await;
    let admin = begin(&cluster).await;
    const RULES: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    const OWN: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    const ACCESS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    const LOCAL: &str = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
    const TOKENS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
    const FINALIZE: &str = "/api/v1/namespaces/default/finalize";
    const RUNTIME: &str = "/apis/node.k8s.io/v1/runtimeclasses/r";
    let cases = [
        ("POST", RULES, r#"{"spec":{}}"#),
        ("POST", RULES, r#"{"spec":{"namespace":"default"}}"#),
        ("POST", OWN, r#"{"spec":{}}"#),
        (
            "POST",
            OWN,
            r#"{"spec":{"resourceAttributes":{"verb":"get"},"nonResourceAttributes":{"path":"/x"}}}"#,
        ),
        ("POST", ACCESS, r#"{"spec":{"user":"x","resourceAttributes":{"verb":"get","resource":"pods"}}}"#),
        ("POST", ACCESS, r#"{"spec":{"nonResourceAttributes":{"path":"/x"}}}"#),
        ("POST", LOCAL, r#"{"spec":{"user":"x","resourceAttributes":{"verb":"get","resource":"pods"}}}"#),
        ("POST", LOCAL, r#"{"spec":{"user":"x","nonResourceAttributes":{"path":"/x"}}}"#),
        ("POST", LOCAL, r#"{"spec":{"user":"x"}}"#),
        ("POST", TOKENS, r#"{"spec":{}}"#),
        ("POST", TOKENS, r#"{"spec":{"token":"junk"}}"#),
        (
            "PUT",
            FINALIZE,
            r#"{"metadata":{"name":"default"},"spec":{"finalizers":["ab","kubernetes","a b"]}}"#,
        ),
        ("PUT", FINALIZE, r#"{"metadata":{"name":"default"},"spec":{"finalizers":["kubernetes"]}}"#),
        ("PUT", RUNTIME, r#"{"metadata":{"name":"r"},"handler":"h"}"#),
    ];
    let mut said = String::new();
    for (method, url, body) in cases {
        let (status, _, bytes) = admin.exchange(method, url, &[("content-type", JSON)], body).await;
        let answer: Value = serde_json::from_slice(&bytes).expect("JSON");
        let shown = match answer["kind"] == "Status" {
            true => json!({ "message": answer["message"], "details": answer["details"] }),
            false => json!({ "spec": answer["spec"], "status": answer["status"] }),
        };
        said += &format!("{method} {url} {body}\n  {status} {shown:#}\n");
    }
    insta::assert_snapshot!(said);
    for (url, expected) in
        [(format!("{CORE}/pods"), 405), (format!("{CORE}/pods/p"), 405), ("/version".into(), 200)]
    {
        assert_eq!(admin.exchange("HEAD", &url, &[], "").await.0, expected, "{url}");
    }
    let rows = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let (_, _, table) = admin.exchange("GET", &format!("{CORE}/pods?includeObject=None"), &rows, "").await;
    let table: Value = serde_json::from_slice(&table).expect("JSON");
    assert_eq!(table["rows"][0].get("object"), Some(&Value::Null));
}

/// Over HTTP/2 a stream has an end of its own for each direction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_before_everything_was_said_hears_the_answer() {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        println!("SKIPPED: there is no curl here");
        return;
    }
    let cluster = Cluster::start().await;
    let file = |name: &str| cluster.file(name).display().to_string();
    // Each on a connection of its own, some from somebody whom the server does not know.
    for (url, known, expected) in [
        (format!("{APPS}/deployments/d/scale"), true, "405"),
        ("/nope".to_string(), true, "404"),
        (format!("{CORE}/configmaps"), false, "403"),
    ] {
        for _ in 0..20 {
            let mut curl = tokio::process::Command::new("curl");
            curl.args(["--silent", "--show-error", "--http2", "--cacert", &file("ca.crt")]);
            if known {
                curl.args(["--cert", &file("admin.crt"), "--key", &file("admin.key")]);
            }
            curl.args(["--output", "/dev/null", "--write-out", "%{http_code}", "--data", "{}"]);
            let output =
                curl.arg(format!("https://{}{url}", cluster.address)).output().await.expect("it runs");
            let (said, why) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!((said.as_ref(), why.as_ref()), (expected, ""), "{url}");
        }
    }
}
