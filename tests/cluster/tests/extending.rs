//! The API as its users extend it: rules of their own, and servers that may be away.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use e2e::Cluster;

fn cluster() -> &'static Cluster {
    Cluster::shared(&["--nodes", "1"])
}

/// No more than five replicas, where a namespace says that it is small.
const POLICY: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: few-replicas.example.com}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}
  variables:
  - {name: asked, expression: object.spec.replicas}
  validations:
  - expression: variables.asked <= 5
    messageExpression: "'no more than 5 replicas here, not ' + string(variables.asked)"
    reason: Invalid
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: few-replicas-where-small.example.com}
spec:
  policyName: few-replicas.example.com
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {matchLabels: {size: small}}
"#;

#[test]
fn a_policy_denies_in_its_own_words_where_it_is_bound() {
    let (small, big) = (cluster().namespace("extending-small"), cluster().namespace("extending-big"));
    cluster().kubectl(&["label", "namespace", &small, "size=small"]).ok();
    cluster().kubectl_with(&["apply", "-f", "-"], POLICY).ok();
    let policy = "validatingadmissionpolicy/few-replicas.example.com";
    let seen = "--for=jsonpath={.status.observedGeneration}=1";
    cluster().kubectl(&["wait", policy, seen, "--timeout", "60s"]).ok();
    for ns in [&small, &big] {
        cluster().kubectl(&["-n", ns, "create", "deployment", "web", "--image", "coracle/web:1"]).ok();
    }
    let scale = |ns: &str| {
        let patch = r#"{"spec":{"replicas":6}}"#;
        cluster().kubectl(&["-n", ns, "patch", "deployment", "web", "--dry-run=server", "-p", patch])
    };
    scale(&big).ok();
    let refused = scale(&small).refused();
    assert_eq!(
        refused,
        "The deployments \"web\" is invalid: : ValidatingAdmissionPolicy 'few-replicas.example.com' with \
         binding 'few-replicas-where-small.example.com' denied request: no more than 5 replicas here, not 6\n"
    );
    cluster().kubectl_with(&["delete", "-f", "-"], POLICY).ok();
}

#[test]
fn a_webhook_that_is_away_refuses_what_it_was_to_judge() {
    let ns = cluster().namespace("extending-hooks");
    let webhook = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: absent.example.com}
webhooks:
- name: absent.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  objectSelector: {matchLabels: {judged: "yes"}}
  clientConfig: {service: {name: absent, namespace: extending-hooks, path: /judge}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
"#;
    cluster().kubectl_with(&["apply", "-f", "-"], webhook).ok();
    let map = |name: &str, label: &str| {
        let manifest = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{judged: {label:?}}}}}\n"
        );
        cluster().kubectl_with(&["-n", &ns, "create", "-f", "-"], &manifest)
    };
    map("free", "no").ok();
    assert_eq!(
        map("judged", "yes").refused(),
        "Error from server (InternalError): error when creating \"STDIN\": Internal error occurred: failed \
         calling webhook \"absent.example.com\": failed to call webhook: Post \
         \"https://absent.extending-hooks.svc:443/judge?timeout=10s\": service \"absent\" not found\n"
    );
    cluster().kubectl_with(&["delete", "-f", "-"], webhook).ok();
    map("judged", "yes").ok();
}

#[test]
fn a_group_whose_server_is_away_does_not_take_the_others_along() {
    let service = r#"
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.absent.example.com}
spec:
  group: absent.example.com
  version: v1
  groupPriorityMinimum: 1000
  versionPriority: 10
  insecureSkipTLSVerify: true
  service: {name: absent, namespace: default}
"#;
    cluster().kubectl_with(&["apply", "-f", "-"], service).ok();
    let name = "apiservice/v1.absent.example.com";
    cluster().kubectl(&["wait", name, "--for=condition=Available=False", "--timeout", "60s"]).ok();
    let row = cluster().kubectl(&["get", name, "--no-headers"]).ok();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[..4], ["v1.absent.example.com", "default/absent", "False", "(ServiceNotFound)"]);
    let listed = cluster().kubectl(&["api-resources"]).ok();
    assert!(listed.contains("deployments"), "{listed}");
    // The group is known, its kinds are not.
    let groups = cluster().kubectl(&["get", "--raw", "/apis"]).json();
    assert!(
        groups["groups"].as_array().is_some_and(|all| all.iter().any(|g| g["name"] == "absent.example.com"))
    );
    let asked = cluster().kubectl(&["get", "--raw", "/apis/absent.example.com/v1"]).refused();
    assert!(asked.contains("(ServiceUnavailable)"), "{asked}");
    cluster().kubectl_with(&["delete", "-f", "-"], service).ok();
}

const CRONTABS: &str = include_str!("../../../examples/crontabs.yaml");

/// The garbage collector and the namespace controller learn of a kind while they run.
#[test]
fn objects_of_ones_own_kind_own_others_and_go_with_their_namespace() {
    let ns = cluster().namespace("extending-kinds");
    let owned = |name: &str, owner: &str, uid: &str| {
        let owner =
            format!("{{apiVersion: stable.example.com/v1, kind: CronTab, name: {owner}, uid: {uid}}}");
        let metadata = format!("{{name: {name}, ownerReferences: [{owner}]}}");
        cluster().apply(&ns, &format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {metadata}\n"));
    };
    // Nobody can say whether there is such an owner, until its kind is served.
    owned("of-nobody", "nobody", "5d0b2a1c-0000-4000-8000-000000000000");
    cluster().kubectl(&["-n", &ns, "get", "configmap", "of-nobody"]).ok();
    cluster().apply(&ns, CRONTABS);
    let established = ["wait", "crd/crontabs.stable.example.com", "--for=condition=Established"];
    cluster().kubectl(&established).ok();
    let crontab = |name: &str| {
        let manifest = format!(
            "apiVersion: stable.example.com/v1\nkind: CronTab\nmetadata: {{name: {name}}}\n\
             spec: {{cronSpec: '* * * * *'}}\n"
        );
        cluster().apply(&ns, &manifest);
        cluster().get(&ns, &format!("crontabs.stable.example.com/{name}"))["metadata"]["uid"]
            .as_str()
            .expect("a uid")
            .to_owned()
    };
    let (one, other) = (crontab("one"), crontab("other"));
    owned("of-one", "one", &one);
    owned("of-other", "other", &other);
    cluster().kubectl(&["-n", &ns, "delete", "crontabs.stable.example.com", "one"]).ok();
    cluster().kubectl(&["-n", &ns, "wait", "configmap/of-one", "--for=delete", "--timeout", "60s"]).ok();
    cluster().kubectl(&["-n", &ns, "wait", "configmap/of-nobody", "--for=delete", "--timeout", "60s"]).ok();
    cluster().kubectl(&["-n", &ns, "get", "configmap", "of-other"]).ok();
    cluster().kubectl(&["delete", "namespace", &ns, "--timeout", "60s"]).ok();
    let left =
        cluster().kubectl(&["get", "crontabs.stable.example.com", "--all-namespaces", "-o", "name"]).ok();
    assert_eq!(left, "");
}

/// Another API server in the machine room, with a store of its own. It believes the front proxy alone.
const ANOTHER: &str = r#"
set -e
"$0" store --data-dir="$HOME_OF_IT/another" --listen-client-urls=http://127.0.0.1:3379 --advertise-client-urls=http://127.0.0.1:3379 >/dev/null 2>&1 &
pki="$HOME_OF_IT/pki"
"$0" apiserver --etcd-servers=http://127.0.0.1:3379 --bind-address=10.89.0.1 --secure-port=7443 \
    --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --client-ca-file="$pki/ca.crt" --requestheader-client-ca-file="$pki/front-proxy-ca.crt" \
    --requestheader-allowed-names=front-proxy-client >/dev/null 2>&1 &
tries=0
until "$KUBECTL" --kubeconfig=/dev/null --server=https://10.89.0.1:7443 --certificate-authority="$pki/ca.crt" \
    --client-certificate="$pki/admin.crt" --client-key="$pki/admin.key" apply -f "$HOME_OF_IT/definition.yaml"; do
    tries=$((tries + 1)); [ $tries -lt 200 ]; sleep 0.1
done
echo ready
wait
"#;

/// Requests for its group are passed on to it, and it believes whose they are.
#[test]
fn another_api_server_answers_for_its_group() {
    let ns = cluster().namespace("extending-elsewhere");
    let home = cluster().home();
    let definition = CRONTABS.replace("stable.example.com", "elsewhere.example.com");
    std::fs::write(home.join("definition.yaml"), definition).expect("written");
    let binary = home.join("bin/coracle");
    let mut another = e2e::coracle(home);
    another.args(["enter", "--", "sh", "-c", ANOTHER]).arg(&binary);
    another.env("HOME_OF_IT", home).env("KUBECTL", e2e::program("kubectl"));
    let mut another = another.stdout(Stdio::piped()).spawn().expect("it starts");
    let said = BufReader::new(another.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(said.into_iter().any(|line| line == "ready"), "it came up");
    let registered = r#"
apiVersion: v1
kind: Service
metadata: {name: another}
spec: {ports: [{port: 443, targetPort: 7443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: another, labels: {kubernetes.io/service-name: another}}
addressType: IPv4
endpoints: [{addresses: [10.89.0.1]}]
ports: [{name: "", port: 7443}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.elsewhere.example.com}
spec:
  group: elsewhere.example.com
  version: v1
  groupPriorityMinimum: 1000
  versionPriority: 10
  insecureSkipTLSVerify: true
  service: {name: another, namespace: extending-elsewhere}
"#;
    cluster().apply(&ns, registered);
    let name = "apiservice/v1.elsewhere.example.com";
    cluster().kubectl(&["wait", name, "--for=condition=Available", "--timeout", "60s"]).ok();
    let crontab = "apiVersion: elsewhere.example.com/v1\nkind: CronTab\nmetadata: {name: far}\n\
                   spec: {cronSpec: '* * * * *'}\n";
    // Namespaces are the other server's own.
    let made = cluster().apply("default", crontab);
    assert_eq!(made, "crontab.elsewhere.example.com/far created\n");
    let row = cluster().kubectl(&["get", "crontabs.elsewhere.example.com", "--no-headers"]).ok();
    assert_eq!(row.split_whitespace().take(3).collect::<Vec<_>>(), ["far", "*", "*"]);
    let explained =
        cluster().kubectl(&["explain", "crontabs.spec", "--api-version=elsewhere.example.com/v1"]).ok();
    assert!(explained.contains("cronSpec\t<string> -required-"), "{explained}");
    let keys =
        cluster().coracle(&["etcdctl", "get", "--prefix", "--keys-only", "/registry/elsewhere.example.com"]);
    assert_eq!(keys.ok().trim(), "", "our store knows nothing of it");
    cluster().kubectl(&["delete", name]).ok();
    another.kill().expect("killed");
    another.wait().expect("ended");
}
