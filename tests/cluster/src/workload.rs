//! The manifests that several suites apply, and when their pods are there.

use serde_json::Value;

/// Two pods of the built-in web image behind a Service on port 80, with a node port.
pub const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: web, image: 'coracle/web:1', ports: [{name: http, containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
";

/// A Deployment of the built-in web image.
pub fn web(name: &str, replicas: u32, spec: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
{spec}
      containers:
      - name: web
        image: coracle/web:1
        ports: [{{containerPort: 8080}}]
"
    )
}

/// A pod (or node) that is Ready and not on its way out.
pub fn running(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null()
        && pod["status"]["conditions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}

/// Exactly so many pods, all running.
pub fn count_running(pods: &[Value], count: usize) -> bool {
    pods.len() == count && pods.iter().all(running)
}
