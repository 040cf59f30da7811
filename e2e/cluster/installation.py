"""Headgate in the cluster, installed as a user would: the chart, and nothing but values."""
import json
import os
import time

import kubernetes
from kubernetes import HEADGATE_IMAGE, CONTROLLER_IMAGE, PATIENCE, ROOT, address_of, curl, get, helm, kubectl, wait_for_rollout, wait_until

CHART = ROOT / "charts" / "headgate"
# Of the installation that the tests of one run share; `headgate` is for those that type what the README says.
CLASS = os.environ.get("HEADGATE_E2E_CLASS", "e2e")


def image_values(image):
    repository, _, tag = image.rpartition(":")
    return {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"}


def merged(base, more):
    both = dict(base)
    for key, value in more.items():
        both[key] = merged(both[key], value) if isinstance(value, dict) and isinstance(both.get(key), dict) else value
    return both


class Installation:
    """A release; its proxies and its controller are Deployments in `namespace`."""

    def __init__(self, release, namespace, ingress_class=CLASS, values=None):
        self.release, self.namespace, self.ingress_class = release, namespace, ingress_class
        self.proxies = release if "headgate" in release else f"{release}-headgate"
        self.controller = f"{self.proxies}-controller"
        self.values = merged({
            "controller": {"image": image_values(HEADGATE_IMAGE), "replicaCount": 2, "shutdownDelaySeconds": 3,
                           "ingressClass": ingress_class,
                           "ingressClassResource": {"name": ingress_class, "controllerValue": f"headgate.dev/{ingress_class}"},
                           "terminationGracePeriodSeconds": 30, "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}}},
            "controlPlane": {"image": image_values(CONTROLLER_IMAGE), "replicaCount": 1, "terminationGracePeriodSeconds": 10,
                             "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}}},
        }, values or {})

    def install(self):
        """`helm install`, then until the proxies are ready and the Service has its address."""
        began = time.monotonic()
        helm("install", self.release, CHART, "-n", self.namespace, "-f", "-", stdin=json.dumps(self.values))
        self.wait_ready()
        self.address = address_of(self.proxies, self.namespace)
        print(f"{self.release}: installed and ready in {time.monotonic() - began:.0f} s, address {self.address}")
        return self

    def upgrade(self, values):
        self.values = merged(self.values, values)
        helm("upgrade", self.release, CHART, "-n", self.namespace, "-f", "-", stdin=json.dumps(self.values))
        self.wait_ready()

    def uninstall(self):
        helm("uninstall", self.release, "-n", self.namespace, "--wait", "--timeout", f"{PATIENCE}s", "--ignore-not-found")

    def wait_ready(self):
        try:
            wait_for_rollout(f"deployment/{self.controller}", self.namespace)
            wait_for_rollout(f"deployment/{self.proxies}", self.namespace)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}") from None

    def story(self):
        """What the Pods and their programs say, for a failure."""
        text = kubectl("get", "pods", "-n", self.namespace, "-o", "wide", check=False).stdout
        for name in (self.controller, self.proxies):
            text += kubectl("logs", "-n", self.namespace, f"deployment/{name}", "--tail=40", check=False).stdout
        return text + kubectl("get", "events", "-n", self.namespace, check=False).stdout

    def pods(self, deployment):
        """Names of its Pods that are not ending."""
        component = "controller" if deployment == self.controller else "proxy"
        selector = f"app.kubernetes.io/instance={self.release},app.kubernetes.io/component={component}"
        return sorted(p["metadata"]["name"] for p in get("pods", "-n", self.namespace, "-l", selector)
                      if "deletionTimestamp" not in p["metadata"])

    def get(self, url, *arguments, **options):
        """One request through the LoadBalancer address."""
        return curl(url, *arguments, address=self.address, **options)

    def wait_for(self, url, status=200, *arguments):
        """Until the answer has this status: an Ingress is not served at the moment it is made."""
        return wait_until(f"{status} at {url}", lambda: (a := self.get(url, *arguments)).status == status and a, pause=0.1)


def ingress(name, rules="", ingress_class=CLASS, tls="", default_backend="", annotations=""):
    """An Ingress; `rules` and `tls` in YAML's flow style."""
    text = "apiVersion: networking.k8s.io/v1\nkind: Ingress\n"
    text += f"metadata: {{name: {name}, annotations: {{{annotations}}}}}\nspec:\n"
    if ingress_class:
        text += f"  ingressClassName: {ingress_class}\n"
    if default_backend:
        text += f"  defaultBackend: {backend(default_backend)}\n"
    if tls:
        text += f"  tls: [{tls}]\n"
    return text + (f"  rules: [{rules}]\n" if rules else "")


def backend(service):
    return f"{{service: {{name: {service}, port: {{number: 80}}}}}}"


def rule(host, *paths):
    """`paths` are (path, type, service)."""
    text = ", ".join(f"{{path: {path!r}, pathType: {kind}, backend: {backend(service)}}}" for path, kind, service in paths)
    return f"{{host: {host!r}, http: {{paths: [{text}]}}}}"
