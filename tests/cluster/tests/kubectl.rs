//! The real kubectl, unmodified: every verb that a person tries on the first day, and what it prints.

use e2e::Cluster;
use serde_json::Value;

fn cluster() -> &'static Cluster {
    Cluster::shared(&[])
}

const CONFIG: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: demo}}
data: {colour: red, size: small}
";

/// The words of each line of a table.
fn table(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn version_names_the_release_that_is_served() {
    let version = cluster().kubectl(&["version", "-o", "json"]).json();
    assert_eq!(version["serverVersion"]["major"], "1");
    assert_eq!(version["serverVersion"]["minor"], "32");
}

#[test]
fn api_resources_lists_kinds_with_short_names_and_scope() {
    let text = cluster().kubectl(&["api-resources"]).ok();
    let rows = table(&text);
    assert_eq!(rows[0], ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]);
    for expected in [
        vec!["pods", "po", "v1", "true", "Pod"],
        vec!["nodes", "no", "v1", "false", "Node"],
        vec!["deployments", "deploy", "apps/v1", "true", "Deployment"],
        vec!["leases", "coordination.k8s.io/v1", "true", "Lease"],
        vec!["endpointslices", "discovery.k8s.io/v1", "true", "EndpointSlice"],
    ] {
        assert!(rows.contains(&expected), "no line {expected:?} in\n{text}");
    }
}

#[test]
fn nodes_print_upstreams_columns() {
    let text = cluster().kubectl(&["get", "nodes"]).ok();
    let rows = table(&text);
    assert_eq!(rows[0], ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]);
    assert_eq!((rows[1][0], rows[1][1]), ("node-1", "Ready"));
    assert_eq!((rows[2][0], rows[2][1]), ("node-2", "Ready"));
    let wide = cluster().kubectl(&["get", "nodes", "-o", "wide"]).ok();
    assert!(wide.starts_with("NAME"), "{wide}");
    for column in ["INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"] {
        assert!(wide.contains(column), "no {column} in\n{wide}");
    }
    assert!(wide.contains("10.89.0.11") && wide.contains("coracle://"), "{wide}");
}

#[test]
fn the_seeded_objects_of_a_cluster_are_there() {
    let namespaces = cluster().kubectl(&["get", "namespaces", "-o", "name"]).ok();
    for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
        assert!(namespaces.contains(&format!("namespace/{name}\n")), "{namespaces}");
    }
    let service = cluster().kubectl(&["get", "service", "kubernetes"]).ok();
    assert_eq!(table(&service)[0], ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]);
    assert_eq!(table(&service)[1][..5], ["kubernetes", "ClusterIP", "10.96.0.1", "<none>", "443/TCP"]);
    let leases = cluster().kubectl(&["get", "leases", "-n", "kube-node-lease", "-o", "name"]).ok();
    assert!(leases.contains("lease.coordination.k8s.io/node-1"), "{leases}");
    let front = cluster().get("kube-system", "configmap/extension-apiserver-authentication");
    assert_eq!(front["data"]["requestheader-allowed-names"], r#"["front-proxy-client"]"#);
}

#[test]
fn apply_creates_then_leaves_alone_then_configures() {
    let namespace = cluster().namespace("kubectl-apply");
    assert_eq!(cluster().apply(&namespace, CONFIG), "configmap/settings created\n");
    assert_eq!(cluster().apply(&namespace, CONFIG), "configmap/settings unchanged\n");
    let changed = CONFIG.replace("{colour: red, size: small}", "{colour: blue}");
    assert_eq!(cluster().apply(&namespace, &changed), "configmap/settings configured\n");
    let data = &cluster().get(&namespace, "configmap/settings")["data"];
    assert_eq!(
        *data,
        serde_json::json!({"colour": "blue"}),
        "a key that left the manifest leaves the object"
    );
}

#[test]
fn every_output_form_works() {
    let namespace = cluster().namespace("kubectl-output");
    cluster().apply(&namespace, CONFIG);
    let get = |form: &str| cluster().kubectl(&["-n", &namespace, "get", "cm", "settings", "-o", form]).ok();
    assert_eq!(get("name"), "configmap/settings\n");
    assert_eq!(get("jsonpath={.data.colour}"), "red");
    assert!(get("yaml").contains("\nkind: ConfigMap\n"));
    let json: Value = serde_json::from_str(&get("json")).expect("JSON");
    assert_eq!(json["kind"], "ConfigMap");
    assert_eq!(table(&get("wide"))[0], ["NAME", "DATA", "AGE"]);
    assert_eq!(get("custom-columns=N:.metadata.name"), "N\nsettings\n");
}

#[test]
fn selectors_choose_by_label_and_by_field() {
    let namespace = cluster().namespace("kubectl-selectors");
    cluster().apply(&namespace, CONFIG);
    cluster().apply(&namespace, &CONFIG.replace("settings", "other").replace("app: demo", "app: else"));
    let names = |args: &[&str]| {
        let mut all = vec!["-n", &namespace, "get", "cm", "-o", "name"];
        all.extend(args);
        cluster().kubectl(&all).ok()
    };
    assert_eq!(names(&["-l", "app=demo"]), "configmap/settings\n");
    assert_eq!(names(&["-l", "app in (else, none)"]), "configmap/other\n");
    assert_eq!(names(&["--field-selector", "metadata.name=other"]), "configmap/other\n");
    let everywhere = cluster().kubectl(&["get", "cm", "-A", "-l", "app=demo"]).ok();
    assert!(everywhere.starts_with("NAMESPACE"), "{everywhere}");
}

#[test]
fn patch_speaks_its_three_kinds() {
    let namespace = cluster().namespace("kubectl-patch");
    cluster().apply(&namespace, CONFIG);
    let patch = |kind: &str, body: &str| {
        cluster().kubectl(&["-n", &namespace, "patch", "cm", "settings", "--type", kind, "-p", body]).ok();
        cluster().get(&namespace, "configmap/settings")["data"].clone()
    };
    assert_eq!(patch("strategic", r#"{"data":{"size":"large"}}"#)["size"], "large");
    assert_eq!(patch("merge", r#"{"data":{"size":null}}"#), serde_json::json!({"colour": "red"}));
    assert_eq!(patch("json", r#"[{"op":"add","path":"/data/shape","value":"round"}]"#)["shape"], "round");
    let refused = cluster()
        .kubectl(&[
            "-n",
            &namespace,
            "patch",
            "cm",
            "settings",
            "--type",
            "json",
            "-p",
            r#"[{"op":"remove","path":"/data/none"}]"#,
        ])
        .refused();
    assert!(refused.contains("The request is invalid"), "{refused}");
}

#[test]
fn label_annotate_and_edit_change_the_object() {
    let namespace = cluster().namespace("kubectl-edit");
    cluster().apply(&namespace, CONFIG);
    let run = |args: &[&str]| {
        let mut all = vec!["-n", namespace.as_str()];
        all.extend(args);
        cluster().kubectl(&all).ok()
    };
    assert_eq!(run(&["label", "cm", "settings", "tier=front"]), "configmap/settings labeled\n");
    assert_eq!(run(&["annotate", "cm", "settings", "note=hello"]), "configmap/settings annotated\n");
    let mut edit = cluster().kubectl_command(&["-n", &namespace, "edit", "cm", "settings"]);
    edit.env("KUBE_EDITOR", "sed -i s/small/huge/");
    assert_eq!(e2e::run(&mut edit).ok(), "configmap/settings edited\n");
    let object = cluster().get(&namespace, "configmap/settings");
    assert_eq!(object["data"]["size"], "huge");
    assert_eq!(object["metadata"]["labels"]["tier"], "front");
    assert_eq!(object["metadata"]["annotations"]["note"], "hello");
}

#[test]
fn create_refuses_what_exists_and_delete_what_does_not() {
    let namespace = cluster().namespace("kubectl-errors");
    let create = || cluster().kubectl_with(&["-n", &namespace, "create", "-f", "-"], CONFIG);
    assert_eq!(create().ok(), "configmap/settings created\n");
    assert_eq!(
        create().refused(),
        "Error from server (AlreadyExists): error when creating \"STDIN\": configmaps \"settings\" already exists\n"
    );
    assert_eq!(
        cluster().kubectl(&["-n", &namespace, "delete", "cm", "none"]).refused(),
        "Error from server (NotFound): configmaps \"none\" not found\n"
    );
    assert_eq!(
        cluster().kubectl(&["-n", &namespace, "get", "pods"]).stderr,
        "No resources found in kubectl-errors namespace.\n"
    );
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    let namespace = cluster().namespace("kubectl-strict");
    let refused = cluster()
        .kubectl_with(&["-n", &namespace, "apply", "-f", "-"], &CONFIG.replace("\ndata:", "\ndatum:"))
        .refused();
    assert!(refused.contains("unknown field \"datum\""), "{refused}");
    assert!(cluster().kubectl(&["-n", &namespace, "get", "cm", "settings"]).refused().contains("not found"));
}

#[test]
fn an_invalid_object_is_refused_with_the_fields_path() {
    let namespace = cluster().namespace("kubectl-invalid");
    let manifest = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: wrong}
spec:
  selector: {matchLabels: {app: one}}
  template:
    metadata: {labels: {app: two}}
    spec: {containers: [{name: c, image: busybox}]}
";
    let refused = cluster().kubectl_with(&["-n", &namespace, "create", "-f", "-"], manifest).refused();
    assert!(
        refused
            .contains("The Deployment \"wrong\" is invalid: spec.template.metadata.labels: Invalid value:"),
        "{refused}"
    );
    assert!(refused.contains("`selector` does not match template `labels`"), "{refused}");
}

#[test]
fn a_watch_prints_changes_as_they_come() {
    let namespace = cluster().namespace("kubectl-watch");
    let watch = cluster().watch(&namespace, &["cm"]);
    cluster().apply(&namespace, CONFIG);
    watch.until("the new object", e2e::PATIENCE, |object| object["metadata"]["name"] == "settings");
    cluster().kubectl(&["-n", &namespace, "label", "cm", "settings", "seen=yes"]).ok();
    watch.until("its label", e2e::PATIENCE, |object| object["metadata"]["labels"]["seen"] == "yes");
}

#[test]
fn describe_tells_the_story_of_a_node() {
    let text = cluster().kubectl(&["describe", "node", "node-1"]).ok();
    for part in [
        "Name:               node-1",
        "Capacity:",
        "Allocatable:",
        "PodCIDR:",
        "Ready",
        "KubeletReady",
        "System Info:",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn two_writers_of_one_version_conflict() {
    let namespace = cluster().namespace("kubectl-conflict");
    cluster().apply(&namespace, CONFIG);
    let stale = cluster().kubectl(&["-n", &namespace, "get", "cm", "settings", "-o", "json"]).ok();
    cluster().kubectl(&["-n", &namespace, "label", "cm", "settings", "moved=on"]).ok();
    let refused = cluster().kubectl_with(&["replace", "-f", "-"], &stale).refused();
    assert!(
        refused.contains("Operation cannot be fulfilled on configmaps \"settings\": the object has been modified; please apply your changes to the latest version and try again"),
        "{refused}"
    );
}

#[test]
fn server_side_apply_knows_who_wants_what() {
    let namespace = cluster().namespace("kubectl-ssa");
    let apply = |manager: &str, flags: &[&str], config: &str| {
        let mut args =
            vec!["-n", &namespace, "apply", "--server-side", "--field-manager", manager, "-f", "-"];
        args.extend(flags);
        cluster().kubectl_with(&args, config)
    };
    assert!(apply("one", &[], CONFIG).ok().contains("serverside-applied"));
    let other = CONFIG.replace("red", "green");
    assert_ne!(other, CONFIG, "another value for the same field");
    let refused = apply("two", &[], &other).refused();
    assert!(refused.contains("conflict with \"one\": .data.colour"), "{refused}");
    apply("two", &["--force-conflicts"], &other).ok();
    let forced = cluster().get(&namespace, "configmap/settings");
    assert_eq!(forced["data"]["colour"], "green");
    // Who applies nothing of it any more takes along what was theirs alone.
    let nothing = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";
    apply("two", &[], nothing).ok();
    let left = cluster().get(&namespace, "configmap/settings");
    assert!(left["data"]["colour"].is_null(), "{left}");
    assert_eq!(left["data"]["size"], "small", "one still wants it");
}
