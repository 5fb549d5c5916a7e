use crate::common::{config_map, context, created, deployment, now, refused, resource};
use crate::heart::delete::{DeleteOptions, Deletion, Propagation, prepare_delete};
use crate::heart::meta;
use crate::heart::query::Query;
use crate::heart::write::{Context, Part, is_finished, prepare_update};
use graded::graded;
use proptest::prelude::*;
use serde_json::{Value, json};

fn update(
    kind: &str,
    part: Part,
    old: &Value,
    revision: i64,
    new: Value,
) -> Result<Value, crate::heart::status::ApiError> {
    let context = Context { name: old["metadata"]["name"].as_str(), ..context(kind) };
    prepare_update(&context, part, old, revision, new)
}

fn with(object: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = object.clone();
    change(&mut object);
    object
}

/// It would undo what was written in between, without having seen it.
#[graded]
fn whoever_read_an_older_version_is_refused() {
    let old = created("ConfigMap", config_map("c", &[]));
    let late = with(&old, |o| meta::set_resource_version(o, 7));
    insta::assert_snapshot!(refused(update("ConfigMap", Part::Main, &old, 8, late)));
}

/// And the version itself is not stored, for it is the store's revision of this very write.
#[graded]
fn whoever_read_the_newest_version_may_write() {
    let old = created("ConfigMap", config_map("c", &[]));
    let new = with(&old, |o| {
        meta::set_resource_version(o, 8);
        o["data"] = json!({ "a": "b" });
    });
    let stored = update("ConfigMap", Part::Main, &old, 8, new).expect("is stored");
    assert_eq!(stored["data"]["a"], "b");
    assert!(stored["metadata"].get("resourceVersion").is_none(), "the version is the store's to say");
}

/// A lease is a lock: to overwrite it unseen is to steal it.
#[graded]
fn no_version_means_whatever_is_there_except_for_leases() {
    let old = created("ConfigMap", config_map("c", &[]));
    assert!(update("ConfigMap", Part::Main, &old, 8, old.clone()).is_ok());
    let lease = created("Lease", json!({ "metadata": { "name": "l" }, "spec": {} }));
    insta::assert_snapshot!(refused(update("Lease", Part::Main, &lease, 8, lease.clone())));
}

/// A pod that was deleted and made anew has its name, and nothing else, in common.
#[graded]
fn an_earlier_bearer_of_the_name_is_not_meant() {
    let old = created("ConfigMap", config_map("c", &[]));
    let other = with(&old, |o| o["metadata"]["uid"] = json!("another"));
    insta::assert_snapshot!(refused(update("ConfigMap", Part::Main, &old, 8, other)));
}

/// Each of them sends the whole object, with an old copy of the other's part in it.
#[graded]
fn a_main_write_leaves_the_status_and_a_status_write_leaves_the_rest() {
    let old = with(&deployment(), |o| o["status"] = json!({ "replicas": 3 }));
    let new = with(&old, |o| {
        o["spec"]["replicas"] = json!(5);
        o["status"] = json!({ "replicas": 99 });
        o["metadata"]["labels"] = json!({ "a": "b" });
    });
    let main = update("Deployment", Part::Main, &old, 8, new.clone()).expect("is stored");
    assert_eq!((&main["spec"]["replicas"], &main["status"]["replicas"]), (&json!(5), &json!(3)));
    let status = update("Deployment", Part::Status, &old, 8, new).expect("is stored");
    assert_eq!((&status["spec"]["replicas"], &status["status"]["replicas"]), (&json!(1), &json!(99)));
    assert!(status["metadata"].get("labels").is_none(), "labels of a deployment are not part of its status");
}

/// Upstream's exception for the core group.
#[graded]
fn a_kubelet_may_note_things_on_its_node_while_it_writes_the_status() {
    let old = created("Node", json!({ "metadata": { "name": "n1" } }));
    let new = with(&old, |o| {
        o["metadata"]["annotations"] = json!({ "seen": "yes" });
        o["spec"] = json!({ "unschedulable": true });
        o["status"] = json!({ "conditions": [] });
    });
    let stored = update("Node", Part::Status, &old, 8, new).expect("is stored");
    assert_eq!(stored["metadata"]["annotations"]["seen"], "yes");
    assert_eq!(stored["spec"]["unschedulable"], Value::Null);
}

/// A controller says `observedGeneration` to those who wait for an answer to their own change.
#[graded]
fn the_generation_counts_what_is_wanted_and_nothing_else() {
    let old = deployment();
    let generation = |object: Value| object["metadata"]["generation"].as_i64();
    let scaled = with(&old, |o| o["spec"]["replicas"] = json!(2));
    assert_eq!(generation(update("Deployment", Part::Main, &old, 8, scaled).expect("is stored")), Some(2));
    let labelled = with(&old, |o| o["metadata"]["labels"] = json!({ "a": "b" }));
    assert_eq!(generation(update("Deployment", Part::Main, &old, 8, labelled).expect("is stored")), Some(1));
    let annotated = with(&old, |o| o["metadata"]["annotations"] = json!({ "a": "b" }));
    assert_eq!(generation(update("Deployment", Part::Main, &old, 8, annotated).expect("is stored")), Some(2));
    let seen = with(&old, |o| {
        o["status"] = json!({ "observedGeneration": 1 });
        o["metadata"]["annotations"] = json!({ "seen": "yes" });
    });
    assert_eq!(generation(update("Deployment", Part::Status, &old, 8, seen).expect("is stored")), Some(1));
}

/// Not by mistake either: clients send back everything that they read.
#[graded]
fn what_the_system_wrote_no_client_changes() {
    let old = deployment();
    let new = with(&old, |o| {
        o["metadata"]["creationTimestamp"] = json!("1999-01-01T00:00:00Z");
        o["metadata"]["generation"] = json!(99);
    });
    assert_eq!(update("Deployment", Part::Main, &old, 8, new).expect("is stored"), old);
    let deleted = with(&old, |o| o["metadata"]["deletionTimestamp"] = json!("1999-01-01T00:00:00Z"));
    assert_eq!(
        refused(update("Deployment", Part::Main, &old, 8, deleted)),
        "422 Invalid: Deployment.apps \"web\" is invalid: metadata.deletionTimestamp: Invalid value: \
         \"1999-01-01T00:00:00Z\": field is immutable"
    );
}

/// Between the look and the delete another object may have taken the name.
#[graded]
fn a_delete_means_the_object_that_its_preconditions_describe() {
    let pod = json!({ "metadata": { "name": "p", "uid": "u1" }, "spec": {} });
    let delete = |options: DeleteOptions| prepare_delete(resource("Pod"), &pod, 8, &options, now());
    let uid = |uid: &str| DeleteOptions { uid: Some(uid.into()), ..Default::default() };
    let version = |v: &str| DeleteOptions { resource_version: Some(v.into()), ..Default::default() };
    assert_eq!(delete(uid("u1")), Ok(Deletion::Remove));
    assert_eq!(delete(version("8")), Ok(Deletion::Remove));
    insta::assert_snapshot!(format!("{}\n{}", refused(delete(uid("u2"))), refused(delete(version("7")))));
}

/// Old clients and new ones say it in the query, in the body, and in two words; the body wins.
#[graded]
fn how_to_delete_is_said_in_the_body_or_in_the_query() {
    let options = |body: Value, query: &str| DeleteOptions::parse(&body, &Query::parse(query));
    let pod = json!({
        "metadata": { "name": "p" }, "spec": { "nodeName": "n1" }, "status": { "phase": "Running" },
    });
    let grace = |body: Value, query: &str| {
        let options = options(body, query).expect("options");
        match prepare_delete(resource("Pod"), &pod, 8, &options, now()).expect("is allowed") {
            Deletion::Mark(marked) => marked["metadata"]["deletionGracePeriodSeconds"].as_i64(),
            _ => None,
        }
    };
    assert_eq!(grace(json!(null), ""), Some(30), "nobody says anything");
    assert_eq!(grace(json!(null), "gracePeriodSeconds=7"), Some(7));
    assert_eq!(grace(json!({ "gracePeriodSeconds": 5 }), "gracePeriodSeconds=7"), Some(5));
    assert_eq!(grace(json!({ "gracePeriodSeconds": -1 }), ""), Some(1), "not at once by a slip");
    assert_eq!(grace(json!({ "gracePeriodSeconds": 0 }), ""), None, "at once, since it was said");
    let finalizers = |body: Value, query: &str| {
        let options = options(body, query).expect("options");
        match prepare_delete(resource("Deployment"), &deployment(), 8, &options, now()).expect("is allowed") {
            Deletion::Mark(marked) => meta::finalizers(&marked),
            _ => Vec::new(),
        }
    };
    assert_eq!(finalizers(json!({ "propagationPolicy": "Orphan" }), ""), ["orphan"]);
    assert_eq!(finalizers(json!(null), "propagationPolicy=Foreground"), ["foregroundDeletion"]);
    assert_eq!(finalizers(json!({ "orphanDependents": true }), ""), ["orphan"], "the older word");
    assert!(finalizers(json!({ "orphanDependents": false }), "").is_empty());
    assert!(finalizers(json!({ "propagationPolicy": "Background" }), "").is_empty());
    assert!(options(json!({ "dryRun": ["All"] }), "").expect("options").dry_run);
    assert!(options(json!(null), "dryRun=All").expect("options").dry_run);
    assert!(refused(options(json!({ "propagationPolicy": "Perhaps" }), "")).starts_with("422 Invalid"));
}

/// Its content goes first, and the controller that sees to it takes the finalizer away.
#[graded]
fn a_namespace_is_held_by_its_own_finalizers_and_changed_through_finalize() {
    let namespace = |finalizers: Value| {
        json!({
            "metadata": { "name": "dev", "uid": "u" }, "spec": { "finalizers": finalizers },
            "status": { "phase": "Active" },
        })
    };
    let delete =
        |object: &Value| prepare_delete(resource("Namespace"), object, 8, &DeleteOptions::default(), now());
    assert_eq!(delete(&namespace(json!([]))), Ok(Deletion::Remove));
    let Ok(Deletion::Mark(marked)) = delete(&namespace(json!(["kubernetes"]))) else {
        panic!("it has content that must go first")
    };
    assert_eq!(marked["status"]["phase"], "Terminating");
    assert!(!is_finished(resource("Namespace"), &marked), "its finalizer is still there");
    let emptied = with(&marked, |o| {
        o["spec"]["finalizers"] = json!([]);
        o["status"]["phase"] = json!("Active");
    });
    let main = update("Namespace", Part::Main, &marked, 8, emptied.clone()).expect("is stored");
    assert_eq!(main["spec"]["finalizers"], json!(["kubernetes"]), "not by an ordinary write");
    let finalized = update("Namespace", Part::Finalize, &marked, 8, emptied).expect("is stored");
    assert_eq!(finalized["spec"], json!({}));
    assert_eq!(finalized["status"]["phase"], "Terminating", "and nothing else");
    assert!(is_finished(resource("Namespace"), &finalized));
    let default = with(&namespace(json!([])), |o| o["metadata"]["name"] = json!("default"));
    assert!(refused(delete(&default)).starts_with("403 Forbidden"));
}

/// A copy and a paste between two windows must not land on another object.
#[graded]
fn an_update_is_about_the_object_that_its_url_names() {
    let old = created("ConfigMap", config_map("c", &[]));
    let unnamed = with(&old, |o| o["metadata"] = json!({}));
    let stored = update("ConfigMap", Part::Main, &old, 8, unnamed).expect("the URL says it");
    assert_eq!((meta::name(&stored), meta::namespace(&stored)), (meta::name(&old), meta::namespace(&old)));
    let generated = created("ConfigMap", json!({ "metadata": { "name": "own", "generateName": "c-" } }));
    assert_eq!(meta::name(&generated), "own", "a name is made up only where there is none");
    let generated = created("ConfigMap", json!({ "metadata": { "generateName": "c-" } }));
    let name = meta::name(&generated).to_string();
    assert!(name.starts_with("c-") && name.len() == 7, "{name}: five letters are added");
    let stored = update("ConfigMap", Part::Main, &generated, 8, generated.clone()).expect("is stored");
    assert_eq!(meta::name(&stored), name, "and made up once");
    let renamed = with(&old, |o| o["metadata"]["name"] = json!("d"));
    assert!(refused(update("ConfigMap", Part::Main, &old, 8, renamed)).starts_with("400 BadRequest"));
    let moved = with(&old, |o| o["metadata"]["namespace"] = json!("elsewhere"));
    assert!(refused(update("ConfigMap", Part::Main, &old, 8, moved)).starts_with("400 BadRequest"));
    let garbled = with(&old, |o| o["metadata"]["resourceVersion"] = json!("eight"));
    assert!(
        refused(update("ConfigMap", Part::Main, &old, 8, garbled))
            .starts_with("500 Unknown: strconv.ParseUint: parsing \"")
    );
    let newer = with(&old, |o| meta::set_resource_version(o, 9));
    assert!(refused(update("ConfigMap", Part::Main, &old, 8, newer)).starts_with("409 Conflict"));
}

/// A process needs time to end, and only its kubelet knows when it has.
#[graded]
fn a_running_pod_is_marked_and_its_kubelet_ends_it() {
    let pod = json!({
        "metadata": { "name": "p", "uid": "u1" },
        "spec": { "nodeName": "n1", "terminationGracePeriodSeconds": 30 },
        "status": { "phase": "Running" },
    });
    let delete = |pod: &Value, grace: Option<i64>| {
        let options = DeleteOptions { grace_seconds: grace, ..Default::default() };
        prepare_delete(resource("Pod"), pod, 8, &options, now()).expect("is allowed")
    };
    let Deletion::Mark(marked) = delete(&pod, None) else { panic!("the kubelet needs time") };
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-02T03:04:35Z");
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(delete(&marked, None), Deletion::Pending, "asking again changes nothing");
    assert_eq!(delete(&marked, Some(60)), Deletion::Pending, "nor does asking for more time");
    let Deletion::Mark(sooner) = delete(&marked, Some(5)) else { panic!("less time is given") };
    assert_eq!(sooner["metadata"]["deletionTimestamp"], "2026-01-02T03:04:10Z");
    assert_eq!(delete(&marked, Some(0)), Deletion::Remove, "the kubelet is done");
    let Deletion::Mark(later) = delete(&pod, Some(60)) else { panic!("more than the pod's own wish") };
    assert_eq!(delete(&later, None), Deletion::Pending, "who asks for no time leaves what was given");
    let unscheduled = with(&pod, |p| p["spec"] = json!({}));
    assert_eq!(delete(&unscheduled, None), Deletion::Remove, "no kubelet knows this one");
    for phase in ["Succeeded", "Failed"] {
        let ended = with(&pod, |p| p["status"]["phase"] = json!(phase));
        assert_eq!(delete(&ended, None), Deletion::Remove, "{phase}: nothing runs that would need time");
    }
    let config = json!({ "metadata": { "name": "c" }, "spec": { "nodeName": "n1" } });
    let options = DeleteOptions { grace_seconds: Some(30), ..Default::default() };
    let deleted = prepare_delete(resource("ConfigMap"), &config, 8, &options, now());
    assert_eq!(deleted, Ok(Deletion::Remove), "only pods take time");
}

/// Whoever has something to clean up outside of the cluster asks for the time to do it.
#[graded]
fn finalizers_hold_an_object_until_the_last_is_gone() {
    let old = with(&deployment(), |o| o["metadata"]["finalizers"] = json!(["example.com/hold"]));
    let options = DeleteOptions { propagation: Some(Propagation::Foreground), ..Default::default() };
    let Ok(Deletion::Mark(marked)) = prepare_delete(resource("Deployment"), &old, 8, &options, now()) else {
        panic!("finalizers hold it")
    };
    assert_eq!(meta::finalizers(&marked), ["example.com/hold", "foregroundDeletion"]);
    assert_eq!(marked["metadata"]["generation"], 2, "to be deleted is a wish, too");
    let one_left = with(&marked, |o| o["metadata"]["finalizers"] = json!(["example.com/hold"]));
    let one_left = update("Deployment", Part::Main, &marked, 9, one_left).expect("is stored");
    assert!(!is_finished(resource("Deployment"), &one_left));
    let none_left = with(&one_left, |o| o["metadata"]["finalizers"] = json!([]));
    let none_left = update("Deployment", Part::Main, &one_left, 10, none_left).expect("is stored");
    assert!(is_finished(resource("Deployment"), &none_left));
    let added =
        with(&marked, |o| o["metadata"]["finalizers"] = json!(["foregroundDeletion", "example.com/new"]));
    insta::assert_snapshot!(refused(update("Deployment", Part::Main, &marked, 9, added)));
}

proptest! {
    /// Several clients count one counter up, each reading and writing at moments of its own. The
    /// oracle is arithmetic: as many as were told "stored" is what the counter says.
    #[graded]
    fn no_update_is_ever_lost(schedule in prop::collection::vec((0..4usize, any::<bool>()), 1..60)) {
        let mut stored = created("ConfigMap", config_map("counter", &[]));
        stored["data"] = json!({ "n": "0" });
        let mut revision = 5;
        let mut read: [Option<Value>; 4] = Default::default();
        let mut told = 0;
        for (client, writes) in schedule {
            match read[client].take().filter(|_| writes) {
                None => {
                    let mut copy = stored.clone();
                    meta::set_resource_version(&mut copy, revision);
                    read[client] = Some(copy);
                }
                Some(mut copy) => {
                    let n: u32 = copy["data"]["n"].as_str().and_then(|n| n.parse().ok()).expect("a number");
                    copy["data"]["n"] = json!((n + 1).to_string());
                    if let Ok(new) = update("ConfigMap", Part::Main, &stored, revision, copy) {
                        (stored, revision, told) = (new, revision + 1, told + 1);
                    }
                }
            }
        }
        prop_assert_eq!(&stored["data"]["n"], &json!(told.to_string()));
    }
}
