"""The Python client: typed and dynamic calls, watches, patches, logs, exec."""

import json
import sys

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import portforward, stream

namespace = sys.argv[1]
config.load_kube_config()
core, apps = client.CoreV1Api(), client.AppsV1Api()


def refused(status, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except ApiException as error:
        assert error.status == status, (error.status, error.body)
        body = json.loads(error.body)
        assert body["kind"] == "Status" and body["code"] == status, body
        return body
    raise AssertionError("was not refused")


# Objects, with every way to change one.
meta = client.V1ObjectMeta(name="c", labels={"app": "test"})
made = core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=meta, data={"a": "1"}))
assert made.metadata.uid and made.metadata.creation_timestamp.tzinfo
assert refused(409, core.create_namespaced_config_map, namespace, made.to_dict() | {"metadata": {"name": "c"}})["reason"] == "AlreadyExists"
patched = core.patch_namespaced_config_map("c", namespace, {"data": {"b": "2"}})
assert patched.data == {"a": "1", "b": "2"}, patched.data
operations = [{"op": "remove", "path": "/data/a"}]
patched = core.patch_namespaced_config_map("c", namespace, operations)
assert patched.data == {"b": "2"}, patched.data
made.data = {"late": "yes"}
assert refused(409, core.replace_namespaced_config_map, "c", namespace, made)["reason"] == "Conflict"
assert refused(404, core.read_namespaced_config_map, "none", namespace)["message"] == 'configmaps "none" not found'
wrong = {"metadata": {"name": "w"}, "spec": {"containers": [{"name": "UPPER", "image": ""}]}}
causes = refused(422, core.create_namespaced_pod, namespace, wrong)["details"]["causes"]
assert {cause["field"] for cause in causes} >= {"spec.containers[0].name", "spec.containers[0].image"}, causes
listed = core.list_namespaced_config_map(namespace, label_selector="app=test", field_selector="metadata.name=c")
assert [item.metadata.name for item in listed.items] == ["c"]

# A page after the other, and a watch that goes on where the list ended.
core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="d")))
page = core.list_namespaced_config_map(namespace, limit=1)
assert page.metadata._continue, "there is a second page"
for i in range(3):
    core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"w{i}")))
seen = []
version = page.metadata.resource_version
for event in watch.Watch().stream(core.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=30):
    if event["object"].metadata.name.startswith("w"):
        seen.append((event["type"], event["object"].metadata.name))
    if len(seen) == 3:
        break
assert seen == [("ADDED", f"w{i}") for i in range(3)], seen

# The dynamic client reads discovery, and applies.
anything = dynamic.DynamicClient(client.ApiClient())
maps = anything.resources.get(api_version="v1", kind="ConfigMap")
applied = maps.server_side_apply(
    body={"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "s"}, "data": {"k": "v"}},
    name="s", namespace=namespace, field_manager="tests",
)
assert applied.metadata.managedFields[0].manager == "tests", applied
assert anything.resources.get(api_version="apps/v1", kind="Deployment").name == "deployments"
maps.delete(name="s", namespace=namespace)

# A deployment from a dictionary, scaled, and its events.
deployment = {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace},
    "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "coracle/web:1"}]},
        },
    },
}
utils.create_from_dict(client.ApiClient(), deployment)
for event in watch.Watch().stream(apps.list_namespaced_deployment, namespace, timeout_seconds=80):
    if event["object"].status.ready_replicas == 1:
        break
else:
    raise AssertionError("the deployment did not become ready")
scale = apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 0}})
assert scale.spec.replicas == 0

# A pod: its log, a command in it, a port of it.
command = "mkdir /www; echo hello > /www/index.html; echo started; exec httpd -f -p 8080 -h /www"
container = client.V1Container(
    name="c", image="busybox:1", command=["sh", "-c", command],
    readiness_probe=client.V1Probe(http_get=client.V1HTTPGetAction(port=8080), period_seconds=1),
)
spec = client.V1PodSpec(containers=[container], termination_grace_period_seconds=0)
core.create_namespaced_pod(namespace, client.V1Pod(metadata=client.V1ObjectMeta(name="p"), spec=spec))
for event in watch.Watch().stream(core.list_namespaced_pod, namespace, field_selector="metadata.name=p", timeout_seconds=80):
    if any(c.type == "Ready" and c.status == "True" for c in event["object"].status.conditions or []):
        break
else:
    raise AssertionError("the pod did not become ready")
shell = stream(
    core.connect_get_namespaced_pod_exec, "p", namespace, command=["sh", "-c", "read x; echo got $x; exit 3"],
    stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False,
)
shell.write_stdin("word\n")
shell.run_forever(timeout=30)
assert shell.read_stdout() == "got word\n" and shell.returncode == 3, shell.returncode
assert core.read_namespaced_pod_log("p", namespace, tail_lines=1) == "started\n"
ports = portforward(core.connect_get_namespaced_pod_portforward, "p", namespace, ports="8080")
socket = ports.socket(8080)
socket.setblocking(True)
socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
answer = b""
while part := socket.recv(1024):
    answer += part
assert answer.endswith(b"hello\n"), answer
assert ports.error(8080) is None, ports.error(8080)

# Questions.
review = client.V1SelfSubjectAccessReview(
    spec=client.V1SelfSubjectAccessReviewSpec(
        resource_attributes=client.V1ResourceAttributes(verb="list", resource="pods", namespace=namespace)
    )
)
assert client.AuthorizationV1Api().create_self_subject_access_review(review).status.allowed
assert client.VersionApi().get_code().git_version.startswith("v1.32.")
core.create_namespaced_service_account(namespace, {"metadata": {"name": "robot"}})
token = core.create_namespaced_service_account_token("robot", namespace, {"spec": {}})
assert token.status.token.count(".") == 2

# Deletes, one by one and together.
deleted = core.delete_namespaced_pod("p", namespace, grace_period_seconds=0)
assert deleted.metadata.name == "p"
core.delete_collection_namespaced_config_map(namespace, label_selector="app=test")
refused(404, core.read_namespaced_config_map, "c", namespace)
print("done")
