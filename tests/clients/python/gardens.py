"""An operator with kopf: a definition of its own, handlers, finalizers, status, events, daemons."""

import asyncio
import sys

import kopf
from kubernetes import client, config

namespace = sys.argv[1]
config.load_kube_config()
objects, core = client.CustomObjectsApi(), client.CoreV1Api()
PLACE = dict(group="gardens.example.com", version="v1", namespace=namespace, plural="beds")
registry = kopf.OperatorRegistry()


@kopf.on.login(registry=registry)
def login(**kwargs):
    return kopf.login_via_client(**kwargs)


@kopf.on.create("gardens.example.com", "v1", "beds", registry=registry)
def planted(body, spec, name, patch, **_):
    data = {"plant": spec["plant"]}
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    kopf.adopt(child, owner=body)
    core.create_namespaced_config_map(namespace, child)
    kopf.info(body, reason="Planted", message=f"now {spec['plant']} grows here")
    return {"plant": spec["plant"]}


@kopf.on.field("gardens.example.com", "v1", "beds", field="spec.plant", registry=registry)
def replanted(old, new, name, patch, **_):
    if old is not None:
        core.patch_namespaced_config_map(name, namespace, {"data": {"plant": new}})
        patch.status["replanted"] = new


@kopf.on.delete("gardens.example.com", "v1", "beds", registry=registry)
def cleared(name, **_):
    core.create_namespaced_config_map(namespace, {"metadata": {"name": f"{name}-cleared"}})


def until(look, what):
    async def wait():
        while True:
            try:
                found = await asyncio.to_thread(look)
            except client.exceptions.ApiException as error:
                if error.status != 404:
                    raise
                found = None
            if found:
                return found
            await asyncio.sleep(0.2)

    return asyncio.wait_for(wait(), timeout=60)


def bed(name="roses"):
    return objects.get_namespaced_custom_object(**PLACE, name=name)


async def scenario(stop):
    body = {
        "apiVersion": "gardens.example.com/v1", "kind": "Bed",
        "metadata": {"name": "roses"}, "spec": {"plant": "rose"},
    }
    await asyncio.to_thread(objects.create_namespaced_custom_object, **PLACE, body=body)
    await until(lambda: bed().get("status", {}).get("planted") == {"plant": "rose"}, "a status")
    found = bed()
    assert "kopf.zalando.org/KopfFinalizerMarker" in found["metadata"]["finalizers"], found
    child = core.read_namespaced_config_map("roses", namespace)
    assert child.metadata.owner_references[0].uid == found["metadata"]["uid"]
    change = {"spec": {"plant": "tulip"}}
    await asyncio.to_thread(objects.patch_namespaced_custom_object, **PLACE, name="roses", body=change)
    await until(lambda: bed()["status"].get("replanted") == "tulip", "a change")
    assert core.read_namespaced_config_map("roses", namespace).data["plant"] == "tulip"
    await until(
        lambda: [e for e in core.list_namespaced_event(namespace).items if e.reason == "Planted"], "an event"
    )
    await asyncio.to_thread(objects.delete_namespaced_custom_object, **PLACE, name="roses")
    await until(lambda: core.read_namespaced_config_map("roses-cleared", namespace), "the delete handler")

    def gone():
        try:
            bed()
        except client.exceptions.ApiException as error:
            return error.status == 404

    await until(gone, "the finalizer")
    stop.set()


async def main():
    stop, ready = asyncio.Event(), asyncio.Event()
    operator = asyncio.create_task(
        kopf.operator(registry=registry, namespaces=[namespace], standalone=True, stop_flag=stop, ready_flag=ready)
    )
    await asyncio.wait_for(ready.wait(), timeout=60)
    await scenario(stop)
    await asyncio.wait_for(operator, timeout=60)


asyncio.run(main())
print("done")
