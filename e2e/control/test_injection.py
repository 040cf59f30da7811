"""Pods that ask for a sidecar get one from the API server itself; what is broken is refused there, with the line."""
import json

import pytest

from api_server import ADDRESS
from headgate import free_port, wait_for

CONFIG = {"listen": [{"name": "web", "uri": "http://:8080"}],
          "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": "http://127.0.0.1:3000"}]}


def pod(name, annotations, labels=None):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "annotations": annotations,
                         "labels": {"headgate.dev/inject": "explicit", **(labels or {})}},
            "spec": {"containers": [{"name": "app", "image": "app.test/app:1"}]}}


@pytest.fixture
def webhook(api, control):
    port = free_port()
    api.apply({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
               "metadata": {"name": "headgate", "labels": {"headgate.dev/webhook": "true"}},
               "webhooks": [{"name": "pod.injector.headgate.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                             "failurePolicy": "Fail", "timeoutSeconds": 5, "reinvocationPolicy": "IfNeeded",
                             "clientConfig": {"url": f"https://{ADDRESS}:{port}/inject"},
                             "objectSelector": {"matchLabels": {"headgate.dev/inject": "explicit"}},
                             "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]}]})
    controller = control(args=["-webhook-address", f"{ADDRESS}:{port}", "-sidecar-image", "headgate.test/headgate:1"])
    bundle = wait_for(lambda: json.loads(api.kubectl("get", "mutatingwebhookconfiguration", "headgate", "-o", "json"))
                      ["webhooks"][0]["clientConfig"].get("caBundle"), 40, "the controller fills in its roots")
    assert bundle
    yield controller
    api.kubectl("delete", "mutatingwebhookconfiguration", "headgate")
    api.kubectl("delete", "pod", "--all", "-n", "shop", "--force", "--grace-period=0")


def create(api, body):
    api.kubectl("create", "-f", "-", text=json.dumps(body))
    return api.get("pod", body["metadata"]["name"])


def refusal(api, body):
    with pytest.raises(AssertionError) as refused:
        create(api, body)
    return str(refused.value)


def test_a_pod_gets_its_sidecar(api, webhook):
    made = create(api, pod("web", {"headgate.dev/config": json.dumps(CONFIG)}))
    sidecar = made["spec"]["initContainers"][0]
    assert sidecar["name"] == "headgate-proxy" and sidecar["restartPolicy"] == "Always"
    assert sidecar["image"] == "headgate.test/headgate:1"
    assert sidecar["securityContext"]["allowPrivilegeEscalation"] is False
    assert "headgate.dev/status" in made["metadata"]["annotations"]
    assert webhook.get("/metrics")[1].count('headgate_injections_total{') >= 1


def test_a_broken_configuration_is_refused_with_its_line(api, webhook):
    said = refusal(api, pod("broken", {"headgate.dev/config": '{\n  "listen": [}\n}'}))
    print(f"  {said}")
    assert "2:14" in said


def test_a_misspelt_wish_is_refused(api, webhook):
    said = refusal(api, pod("misspelt", {"headgate.dev/preste": "tls:8443->8080"}))
    assert "preste" in said


def test_other_pods_are_left_alone(api, webhook):
    body = pod("plain", {})
    body["metadata"]["labels"] = {"app": "plain"}
    assert "initContainers" not in create(api, body)["spec"]


def test_blanked_roots_are_filled_in_again(api, webhook):
    api.kubectl("patch", "mutatingwebhookconfiguration", "headgate", "--type=json", "-p",
                '[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]')
    wait_for(lambda: json.loads(api.kubectl("get", "mutatingwebhookconfiguration", "headgate", "-o", "json"))
             ["webhooks"][0]["clientConfig"].get("caBundle"), 20, "the roots are back")
