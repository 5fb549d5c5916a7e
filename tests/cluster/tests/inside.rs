//! Programs in pods speak to the API server with what their pods were given.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use e2e::Cluster;
use serde_json::Value;

fn cluster() -> &'static Cluster {
    Cluster::shared(&["--nodes", "1"])
}

/// A pod that runs once, and what it said.
fn say(namespace: &str, name: &str, spec: &str, args: &str) -> String {
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n{spec}\n  \
         containers: [{{name: main, image: 'kubectl:1', command: [/bin/kubectl, {args}]}}]\n"
    );
    cluster().apply(namespace, &manifest);
    let done = cluster().wait_for(namespace, &format!("pods/{name}"), |pod| {
        matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
    });
    let said = cluster().kubectl(&["-n", namespace, "logs", name]).ok();
    assert_eq!(done["status"]["phase"], "Succeeded", "{said}");
    said
}

/// An image of the host's kubectl alone, if that is a program that needs no libraries.
fn import_kubectl() -> Result<(), String> {
    let named = PathBuf::from(e2e::program("kubectl"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(&named));
    let found = places.find(|place| place.is_file()).ok_or("kubectl is nowhere on the path")?;
    let needs = e2e::run(Command::new("ldd").arg(&found));
    if needs.succeeded() {
        return Err(format!("{} needs libraries:\n{}", found.display(), needs.stdout));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    fs::copy(&found, bin.join("kubectl")).expect("kubectl is copied");
    let root = folder.path().to_str().expect("a plain path");
    cluster().coracle(&["image", "import", root, "--tag", "kubectl:1"]).ok();
    Ok(())
}

#[test]
fn kubectl_in_a_pod_is_the_pods_account() {
    if let Err(why) = import_kubectl() {
        println!("skipped: {why}");
        return;
    }
    let ns = cluster().namespace("inside");
    let said = say(&ns, "who", "", "auth, whoami, -o, 'jsonpath={.status.userInfo}'");
    let user: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(user["username"], "system:serviceaccount:inside:default");
    let groups = ["system:serviceaccounts", "system:serviceaccounts:inside", "system:authenticated"];
    assert_eq!(user["groups"], serde_json::json!(groups));
    assert_eq!(user["extra"]["authentication.kubernetes.io/pod-name"], serde_json::json!(["who"]));
    assert_eq!(user["extra"]["authentication.kubernetes.io/node-name"], serde_json::json!(["node-1"]));

    // It works in its pod's namespace, and believes the server for the certificate that it was given.
    assert_eq!(say(&ns, "where", "", "get, pod, where, -o, name"), "pod/where\n");
    cluster().kubectl(&["-n", &ns, "create", "serviceaccount", "robot"]).ok();
    let robot = say(
        &ns,
        "robot",
        "  serviceAccountName: robot",
        "auth, whoami, -o, 'jsonpath={.status.userInfo.username}'",
    );
    assert_eq!(robot, "system:serviceaccount:inside:robot");
    let described = cluster().kubectl(&["-n", &ns, "describe", "pod", "robot"]).ok();
    assert!(described.contains("Service Account:  robot"), "{described}");
    assert!(
        described.contains("/var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-"),
        "{described}"
    );
    assert!(described.contains("TokenExpirationSeconds:  3607"), "{described}");
}

#[test]
fn a_pod_comes_in_with_its_namespace_and_not_without_its_account() {
    // The default account is still to be made: the pod waits for it.
    let at_once = "
apiVersion: v1
kind: Namespace
metadata: {name: inside-new}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: inside-new}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: web, image: 'coracle/web:1'}]
";
    cluster().kubectl_with(&["create", "-f", "-"], at_once).ok();
    cluster().wait_for("inside-new", "pods/web", e2e::workload::running);
    // What the server added is nobody's: neither the token's volume, nor a priority or tolerations.
    let shown = ["-n", "inside-new", "get", "pod", "web", "-o", "json", "--show-managed-fields"];
    let pod = cluster().kubectl(&shown).json();
    let owners = pod["metadata"]["managedFields"].as_array().expect("a list");
    let creator = owners.iter().find(|owner| owner["manager"] == "kubectl-create").expect("its creator");
    let fields = creator["fieldsV1"]["f:spec"].as_object().expect("fields");
    let expected = [
        "f:containers",
        "f:dnsPolicy",
        "f:enableServiceLinks",
        "f:restartPolicy",
        "f:schedulerName",
        "f:securityContext",
        "f:terminationGracePeriodSeconds",
    ];
    assert_eq!(fields.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    let lost = "apiVersion: v1\nkind: Pod\nmetadata: {name: lost}\nspec:\n  serviceAccountName: absent\n  \
                containers: [{name: web, image: 'coracle/web:1'}]\n";
    assert_eq!(
        cluster().kubectl_with(&["-n", "inside-new", "create", "-f", "-"], lost).refused(),
        "Error from server (Forbidden): error when creating \"STDIN\": pods \"lost\" is forbidden: error looking \
         up service account inside-new/absent: serviceaccount \"absent\" not found\n"
    );
}
