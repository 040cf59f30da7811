"""The cluster as the tests see it: kubectl, helm and curl, as a user would call them."""
import json
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMAGES = ROOT / "build" / "images"  # archives, where ./run e2e made them
HEADGATE_IMAGE = os.environ.get("HEADGATE_IMAGE", "headgate.test/headgate:e2e")
CONTROLLER_IMAGE = os.environ.get("HEADGATE_CONTROLLER_IMAGE", "headgate.test/headgate-controller:e2e")
ECHO_IMAGE = os.environ.get("HEADGATE_ECHO_IMAGE", "e2e.test/echo:1")
# The limit for everything that should take seconds: this machine may be busy with something else.
PATIENCE = 180


def run(*command, stdin=None, check=True, seconds=PATIENCE):
    """Output of a program. A failure carries what it printed."""
    done = subprocess.run([str(c) for c in command], input=stdin, capture_output=True, text=True, timeout=seconds)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout if check else done


def kubectl(*arguments, **options):
    return run("kubectl", *arguments, **options)


def helm(*arguments, **options):
    return run("helm", *arguments, **options)


def get(*arguments):
    """Objects as kubectl get -o json shows them; a list is a list."""
    found = json.loads(kubectl("get", *arguments, "-o", "json"))
    return found["items"] if found["kind"].endswith("List") else found


def apply(text, namespace=None):
    return kubectl("apply", *(["-n", namespace] if namespace else []), "-f", "-", stdin=text)


def wait_until(what, condition, seconds=PATIENCE, pause=0.2):
    """The first true value of `condition`; an AssertionError inside counts as not yet."""
    end, last = time.monotonic() + seconds, None
    while True:
        try:
            last = condition()
            if last:
                return last
        except AssertionError as error:
            last = error
        assert time.monotonic() < end, f"not within {seconds} s: {what}; last: {last}"
        time.sleep(pause)


def wait_for_rollout(kind_and_name, namespace):
    kubectl("rollout", "status", kind_and_name, "-n", namespace, f"--timeout={PATIENCE}s", seconds=PATIENCE + 30)


def address_of(service, namespace):
    """The LoadBalancer address of a Service, as soon as it has one."""
    def ingress():
        found = get("service", service, "-n", namespace)["status"].get("loadBalancer", {}).get("ingress")
        return found and (found[0].get("ip") or found[0].get("hostname"))
    return wait_until(f"address of {namespace}/{service}", ingress)


class Answer:
    """What curl got: status, headers (names in lower case), body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:300]!r}"


def curl(url, *arguments, address=None, seconds=10):
    """One request; `address` is where the name of the URL leads. Refused and reset connections are AssertionErrors."""
    there = []
    if address:
        host = url.split("://")[1].split("/")[0]
        name, _, port = host.partition(":")
        port = port or ("443" if url.startswith("https") else "80")
        there = ["--connect-to", f"{name}:{port}:{address}:{port}"]
    text = run("curl", "-sS", "-i", "--max-time", seconds, *there, *arguments, url)
    head, _, body = text.partition("\r\n\r\n") if "\r\n\r\n" in text else text.partition("\n\n")
    while head.startswith("HTTP/1.1 100"):
        head, _, body = body.partition("\r\n\r\n")
    status_line, *lines = head.replace("\r", "").split("\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = f"{headers[name.lower()]}, {value.strip()}" if name.lower() in headers else value.strip()
    return Answer(int(status_line.split()[1]), headers, body)


RESTRICTED = """
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      automountServiceAccountToken: false"""


def echo_application(name, replicas=1, version="1", arguments=(), port_name="http", service_type="ClusterIP", linger="5s"):
    """Deployment and Service of the application of the tests (programs/echo), fit for restricted namespaces."""
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  strategy: {{rollingUpdate: {{maxUnavailable: 0, maxSurge: 1}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:{RESTRICTED}
      terminationGracePeriodSeconds: 30
      containers:
      - name: echo
        image: {ECHO_IMAGE}
        imagePullPolicy: IfNotPresent
        args: {json.dumps(["-linger", linger, "-tcp", ":9000", "-udp", ":9000", *arguments])}
        env:
        - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
        - {{name: SERVICE, value: "{name}"}}
        - {{name: VERSION, value: "{version}"}}
        ports: [{{name: http, containerPort: 8080}}, {{name: tcp, containerPort: 9000}}, {{name: udp, containerPort: 9000, protocol: UDP}}]
        readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, periodSeconds: 1}}
        resources: {{requests: {{cpu: 10m, memory: 16Mi}}}}
        securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  type: {service_type}
  selector: {{app: {name}}}
  ports:
  - {{name: {port_name}, port: 80, targetPort: 8080}}
  - {{name: tcp, port: 9000, targetPort: 9000}}
  - {{name: udp, port: 9000, targetPort: 9000, protocol: UDP}}
"""
