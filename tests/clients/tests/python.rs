//! The Python client and kopf, by scripts that a user could have written.

use e2e::{Cluster, Ran, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn cluster() -> &'static Cluster {
    Cluster::shared(&["--nodes", "1"])
}

/// The clients, if they are here. `cargo kit test --all` fetches them.
fn packages() -> Option<String> {
    let packages = std::env::var("CORACLE_PYTHON_CLIENTS").ok();
    if packages.is_none() {
        println!("SKIPPED: the clients in Python are not here; `cargo kit test --all` fetches them");
    }
    packages
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name)
}

/// Run a script.
fn script(name: &str, namespace: &str) -> Option<Ran> {
    let mut python = Command::new("python3");
    python.arg(file(name)).arg(namespace);
    python.env("PYTHONPATH", packages()?).env("PYTHONDONTWRITEBYTECODE", "1");
    python.env("KUBECONFIG", cluster().kubeconfig());
    Some(run(&mut python))
}

/// Run a script beside the API server, where that can reach it.
fn script_inside(name: &str, arguments: &[&str]) -> Option<Ran> {
    let home = cluster().home();
    let known = fs::read_to_string(cluster().kubeconfig()).expect("a kubeconfig");
    let server = known.lines().find_map(|line| line.trim().strip_prefix("server: ")).expect("a server");
    let inside = home.join("kubeconfig-inside");
    fs::write(&inside, known.replace(server, "https://10.89.0.1:6443")).expect("written");
    let (file, inside) = (file(name), inside.display().to_string());
    let environment = [
        format!("PYTHONPATH={}", packages()?),
        "PYTHONDONTWRITEBYTECODE=1".into(),
        format!("KUBECONFIG={inside}"),
    ];
    let mut command = vec!["env"];
    command.extend(environment.iter().map(String::as_str));
    command.extend(["python3", file.to_str().expect("a plain path")]);
    command.extend(arguments);
    Some(cluster().enter("", &command))
}

#[test]
fn the_python_client_does_what_its_users_do() {
    let namespace = cluster().namespace("python");
    if let Some(ran) = script("objects.py", &namespace) {
        assert!(ran.ok().ends_with("done\n"));
    }
}

#[test]
fn an_operator_of_kopf_runs() {
    let namespace = cluster().namespace("kopf");
    let definition = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: beds.gardens.example.com}
spec:
  group: gardens.example.com
  names: {kind: Bed, plural: beds, singular: bed}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, required: [plant], properties: {plant: {type: string}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"#;
    cluster().kubectl_with(&["apply", "-f", "-"], definition).ok();
    cluster().kubectl(&["wait", "--for=condition=Established", "crd/beds.gardens.example.com"]).ok();
    if let Some(ran) = script("gardens.py", &namespace) {
        assert!(ran.ok().ends_with("done\n"));
    }
}

#[test]
fn webhooks_of_kopf_change_and_refuse() {
    let namespace = cluster().namespace("gates");
    let pki = cluster().home().join("pki").display().to_string();
    if let Some(ran) = script_inside("gates.py", &[&namespace, "10.89.0.1", &pki]) {
        assert!(ran.ok().ends_with("done\n"));
    }
}
