"""The controller, dataplanes, back ends and load of these tests."""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile

from api_server import ADDRESS
from headgate import ALARMS, BINARY, Headgate, free_port, wait_for

CONTROLLER = BINARY.parent / "headgate-controller"
HTTP_PORT, HTTPS_PORT = 8080, 8443
BACKENDS = ("198.18.5.10", "198.18.5.11", "198.18.5.12")
CLASS = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "headgate"},
         "spec": {"controller": "headgate.dev/ingress-controller"}}


def service(name, *ports, namespace="shop", **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": [{"name": port[0], "port": port[1]} for port in ports or [("http", 80)]], **spec}}


def endpoints(of, *addresses, name=None, namespace="shop", port=9000, ready=True):
    """One EndpointSlice, as the cluster's own controller makes it."""
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name or f"{of}-1", "namespace": namespace, "labels": {"kubernetes.io/service-name": of}},
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses]}


def ingress(name, host, to="cart", path="/", path_type="Prefix", namespace="shop", tls=None, annotations=None, port="http"):
    spec = {"ingressClassName": "headgate",
            "rules": [{"host": host, "http": {"paths": [{"path": path, "pathType": path_type, "backend": {
                "service": {"name": to, "port": {"name": port}}}}]}}]}
    if tls:
        spec["tls"] = [{"hosts": [host], "secretName": tls}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": spec,
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}}}


def tls_secret(name, cert, key, namespace="shop"):
    encoded = {field: base64.b64encode(pathlib.Path(file).read_bytes()).decode() for field, file in (("tls.crt", cert), ("tls.key", key))}
    return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": encoded,
            "metadata": {"name": name, "namespace": namespace}}


class Backend(Headgate):
    """An application at ADDRESS:9000 that answers its own address."""

    def __init__(self, address, port=9000):
        super().__init__({"listen": [{"name": "app", "uri": f"http://{address}:{port}"}],
                          "logging": {"access_log": "off"},
                          "dispatch": [{"listener": "app", "handler": "respond", "path": "/**", "status": 200, "body": address}]},
                         args=["-no-parent"])


class Controller:
    def __init__(self, api, name="headgate-controller-0", args=()):
        self.api, self.name = api, name
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="headgate-controller-"))
        self.log_file = self.directory / "log"
        self.port, self.admin_port = free_port(), free_port()
        self.command = [str(CONTROLLER), "-kubeconfig", str(api.kubeconfig), "-stream-address", f"{ADDRESS}:{self.port}",
                        "-admin-address", f"127.0.0.1:{self.admin_port}", "-server-name", ADDRESS,
                        "-publish-status-address", "192.0.2.80", "-http", f":{HTTP_PORT}", "-https", f":{HTTPS_PORT}", *args]
        self.process = None
        self.start()

    def start(self, ready=True):
        environment = {**os.environ, "POD_NAME": self.name, "POD_NAMESPACE": "headgate", "POD_IP": ADDRESS,
                       "POD_SERVICE_ACCOUNT": "headgate-controller"}
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                            env=environment)
        if ready:
            self.wait_ready()

    def wait_ready(self, seconds=30):
        def ready():
            assert self.process.poll() is None, self.log()[-4000:]
            return self.get("/readyz")[0] == 200

        wait_for(ready, seconds, f"the controller is ready\n{self.log()[-2000:]}")

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def metric(self, name):
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        return None

    def leads(self):
        return self.metric("headgate_controller_leads") == 1

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log(self):
        return self.log_file.read_text(errors="replace")

    def close(self):
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the controller had to be killed\n" + self.log()[-3000:]) from None
        assert not ALARMS.search(self.log()), self.log()[-4000:]


def dataplane(api, controller, **options):
    """With a token of its ServiceAccount and the roots that the controller published, as in a Pod."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="headgate-dataplane-"))
    api.kubectl("create", "serviceaccount", "headgate", "-n", "headgate", check=False)
    (directory / "token").write_text(api.kubectl("create", "token", "headgate", "-n", "headgate", "--audience", "headgate.dev/control"))
    roots = wait_for(lambda: json.loads(api.kubectl("get", "configmap", "headgate-ca-roots", "-n", "headgate", "-o", "json"))
                     ["data"].get("ca.crt"), 10, "the published roots")
    (directory / "ca.crt").write_text(roots)
    environment = {"POD_NAMESPACE": "headgate", **options.pop("env", {})}
    return Headgate(args=["-control", f"{ADDRESS}:{controller.port}", "-control-ca", directory / "ca.crt",
                          "-control-token-file", directory / "token", *options.pop("args", [])], env=environment, **options)


def ask(host, path="/", port=HTTP_PORT, tls=None, timeout=3):
    """(status, body) of one request on a connection of its own; (0, reason) without an answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as plain:
            stream = tls.wrap_socket(plain, server_hostname=host) if tls else plain
            stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = http.client.HTTPResponse(stream)
            answer.begin()
            return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)


def wait_answer(host, status=200, body=None, seconds=10, **options):
    seen = []

    def right():
        seen[:] = [ask(host, **options)]
        return seen[0][0] == status and (body is None or seen[0][1] == body)

    try:
        wait_for(right, seconds, "an answer", every=0.01)
    except AssertionError:
        raise AssertionError(f"{host}: expected {status} {body or ''}, last seen {seen}") from None


class Load:
    """About `rate` requests a second from h2load over HTTP/1.1; result() says how many were not answered with 2xx."""

    def __init__(self, host, seconds, rate=2000, connections=20, path="/"):
        self.rate = rate
        command = ["h2load", "--h1", "-t1", f"-c{connections}", f"--rps={rate // connections}", f"-D{seconds}",
                   f"--header=:authority: {host}", f"http://127.0.0.1:{HTTP_PORT}{path}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def result(self):
        """(requests, not answered with 2xx)"""
        text = self.process.communicate(timeout=90)[0]
        totals = re.search(r"requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout",
                           text)
        codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
        assert totals and codes, text
        done, failed, errored, timeout = (int(totals[i]) for i in (3, 5, 6, 7))
        bad = sum(int(codes[i]) for i in (2, 3, 4))
        return done, max(bad, failed) + errored + timeout

    def end(self, least_share=0.5, seconds=None):
        requests, lost = self.result()
        print(f"  load: {requests} requests, {lost} lost")
        assert lost == 0
        return requests
