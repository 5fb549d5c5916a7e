"""Admission webhooks served by kopf, beside the API server: one changes, one refuses."""

import asyncio
import json
import logging
import sys

import kopf
from kubernetes import client, config

namespace, address, pki = sys.argv[1:]
config.load_kube_config()
core, hooks = client.CoreV1Api(), client.AdmissionregistrationV1Api()
registry = kopf.OperatorRegistry()
ONLY_HERE = dict(labels={"gated": "yes"}, registry=registry)


@kopf.on.login(registry=registry)
def login(**kwargs):
    return kopf.login_via_client(**kwargs)


@kopf.on.startup(registry=registry)
def configure(settings: kopf.OperatorSettings, **_):
    settings.admission.server = kopf.WebhookServer(
        addr=address, port=9443, certfile=f"{pki}/apiserver.crt", pkeyfile=f"{pki}/apiserver.key", cafile=f"{pki}/ca.crt"
    )
    settings.admission.managed = "gates.example.com"


@kopf.on.mutate("configmaps", operations=["CREATE"], **ONLY_HERE)
def stamp(patch, userinfo, dryrun, warnings, **_):
    patch.setdefault("data", {})["stamped-by"] = userinfo["username"]
    if dryrun:
        warnings.append("only tried")


@kopf.on.validate("configmaps", **ONLY_HERE)
def judge(body, operation, old, **_):
    if body.get("data", {}).get("size") == "big":
        raise kopf.AdmissionError("too big for this gate", code=422)
    if operation == "UPDATE" and old["data"].get("kept") != body["data"].get("kept"):
        raise kopf.AdmissionError("what is kept is kept")


def config_map(name, data):
    return {"metadata": {"name": name, "labels": {"gated": "yes"}}, "data": data}


def refused(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except client.exceptions.ApiException as error:
        return error.status, json.loads(error.body)["message"]
    raise AssertionError("it was let through")


def scenario():
    made = core.create_namespaced_config_map(namespace, config_map("one", {"size": "small", "kept": "1"}))
    assert made.data == {"size": "small", "kept": "1", "stamped-by": "kubernetes-admin"}, made.data
    status, message = refused(core.create_namespaced_config_map, namespace, config_map("two", {"size": "big"}))
    assert status == 422, (status, message)
    assert message.endswith("denied the request: too big for this gate"), message
    status, message = refused(core.patch_namespaced_config_map, "one", namespace, {"data": {"kept": "2"}})
    assert message.endswith("denied the request: what is kept is kept"), message
    core.patch_namespaced_config_map("one", namespace, {"data": {"more": "1"}})
    tried = core.create_namespaced_config_map_with_http_info(
        namespace, config_map("three", {}), dry_run="All"
    )
    assert tried[0].data["stamped-by"] == "kubernetes-admin"
    assert tried[2]["Warning"] == '299 - "only tried"', tried[2]
    names = {item.metadata.name for item in core.list_namespaced_config_map(namespace, label_selector="gated").items}
    assert names == {"one"}, names


async def installed():
    """The webhooks are known to the API server when it says that they are: its lists are never behind."""
    kinds = [hooks.list_mutating_webhook_configuration, hooks.list_validating_webhook_configuration]
    while not all(await asyncio.to_thread(lambda: [kind().items and kind().items[0].webhooks for kind in kinds])):
        await asyncio.sleep(0.1)


async def main():
    logging.basicConfig(level=logging.WARNING)
    stop, ready = asyncio.Event(), asyncio.Event()
    operator = asyncio.create_task(
        kopf.operator(registry=registry, namespaces=[namespace], standalone=True, stop_flag=stop, ready_flag=ready)
    )
    await asyncio.wait_for(ready.wait(), timeout=60)
    await asyncio.wait_for(installed(), timeout=60)
    await asyncio.to_thread(scenario)
    stop.set()
    await asyncio.wait_for(operator, timeout=60)


asyncio.run(main())
print("done")
