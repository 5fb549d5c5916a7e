//! What a namespace may hold altogether.

use crate::cluster::{Client, Cluster};
use futures_util::future::join_all;
use serde_json::{Value, json};

const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

/// As the quota controller does it, which is not here.
async fn bound(admin: &Client, name: &str, hard: Value, used: Value) {
    let made = json!({ "metadata": { "name": name }, "spec": { "hard": hard } });
    let (status, mut quota) = admin.post(QUOTAS, made).await;
    assert_eq!(status, 201, "{quota}");
    quota["status"] = json!({ "hard": hard, "used": used });
    let (status, quota) = admin.put(&format!("{QUOTAS}/{name}/status"), quota).await;
    assert_eq!(status, 200, "{quota}");
    // A list waits until the server has seen it.
    admin.get(QUOTAS).await;
}

async fn used(admin: &Client, name: &str) -> Value {
    admin.get(&format!("{QUOTAS}/{name}")).await.1["status"]["used"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_is_paid_by_what_is_made_and_by_nothing_else() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    bound(
        &admin,
        "q",
        json!({ "configmaps": "2", "count/secrets": "1" }),
        json!({ "configmaps": "0", "count/secrets": "0" }),
    )
    .await;
    assert_eq!(admin.post(MAPS, map("a")).await.0, 201);
    assert_eq!(used(&admin, "q").await["configmaps"], "1");

    // Tried, taken already, invalid, changed: nothing is paid.
    assert_eq!(admin.post(&format!("{MAPS}?dryRun=All"), map("b")).await.0, 201);
    assert_eq!(admin.post(MAPS, map("a")).await.0, 409);
    assert_eq!(admin.post(MAPS, map("A")).await.0, 422);
    let changed = json!({ "metadata": { "name": "a" }, "data": { "k": "v" } });
    assert_eq!(admin.put(&format!("{MAPS}/a"), changed).await.0, 200);
    assert_eq!(used(&admin, "q").await["configmaps"], "1");

    assert_eq!(admin.post(MAPS, map("b")).await.0, 201);
    let (status, refused) = admin.post(MAPS, map("c")).await;
    assert_eq!((status, &refused["reason"]), (403, &json!("Forbidden")));
    assert_eq!(
        refused["message"],
        "configmaps \"c\" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2"
    );
    let (status, refused) = admin.post(&format!("{MAPS}?dryRun=All"), map("c")).await;
    assert_eq!(status, 403, "{refused}");
    assert_eq!(admin.get(&format!("{MAPS}/c")).await.0, 404);
    // Another namespace pays nothing here.
    let elsewhere = MAPS.replace("default", "kube-system");
    assert_eq!(admin.post(&elsewhere, map("c")).await.0, 201);
    assert_eq!(used(&admin, "q").await, json!({ "configmaps": "2", "count/secrets": "0" }));
}

/// Of two quotas none is paid when the other refuses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_has_paid_nobody() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    bound(&admin, "a", json!({ "configmaps": "9" }), json!({ "configmaps": "0" })).await;
    bound(&admin, "b", json!({ "count/configmaps": "0" }), json!({ "count/configmaps": "0" })).await;
    let (status, refused) = admin.post(MAPS, map("c")).await;
    assert_eq!(status, 403, "{refused}");
    assert_eq!(used(&admin, "a").await, json!({ "configmaps": "0" }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_get_no_more_than_there_is() {
    let cluster = Cluster::start().await;
    let admin = cluster.admin();
    bound(&admin, "q", json!({ "configmaps": "7" }), json!({ "configmaps": "0" })).await;
    let asked = (0..30).map(|number| {
        let admin = admin.clone();
        async move { admin.post(MAPS, map(&format!("m{number}"))).await.0 }
    });
    let mut answers = join_all(asked).await;
    answers.sort_unstable();
    assert_eq!(answers[..7], [201; 7]);
    assert_eq!(answers[7..], [403; 23]);
    assert_eq!(used(&admin, "q").await, json!({ "configmaps": "7" }));
}
