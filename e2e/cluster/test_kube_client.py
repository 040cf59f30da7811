"""The controller's Kubernetes client before a real kube-apiserver, one of the test's own: 5,000 objects, restarts, compaction."""
import base64
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import kubernetes

PROBE = kubernetes.ROOT / "build" / "tests" / "watch_probe"
PROGRAMS = pathlib.Path(os.environ.get("CLUSTER_CACHE", pathlib.Path.home() / ".cache" / "headgate-e2e")) / "bin"
TOKEN = "admin-token"
OBJECTS = 5000


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class ApiServer:
    """etcd and kube-apiserver on loopback, nothing else: nobody schedules, nobody reconciles."""

    def __init__(self, folder):
        self.folder = folder
        self.etcd_port, self.peer_port, self.port = free_port(), free_port(), free_port()
        self.api = None
        self.make_keys()
        self.etcd = self.spawn("etcd", shutil.which("etcd"), "--data-dir", folder / "etcd", "--unsafe-no-fsync",
                               "--listen-client-urls", self.etcd_url(), "--advertise-client-urls", self.etcd_url(),
                               "--listen-peer-urls", f"http://127.0.0.1:{self.peer_port}",
                               "--initial-advertise-peer-urls", f"http://127.0.0.1:{self.peer_port}",
                               "--initial-cluster", f"default=http://127.0.0.1:{self.peer_port}")
        self.start()

    def etcd_url(self):
        return f"http://127.0.0.1:{self.etcd_port}"

    def spawn(self, name, *command):
        with open(self.folder / f"{name}.log", "ab") as log:
            return subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def make_keys(self):
        def openssl(*arguments):
            kubernetes.run("openssl", *arguments)

        at = self.folder
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=ca",
                "-keyout", at / "ca.key", "-out", at / "ca.crt")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=api", "-keyout",
                at / "api.key", "-out", at / "api.csr")
        (at / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", at / "api.csr", "-CA", at / "ca.crt", "-CAkey", at / "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", at / "names", "-out", at / "api.crt")
        openssl("genrsa", "-out", at / "sa.key", "2048")
        (at / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
        authority = base64.b64encode((at / "ca.crt").read_bytes()).decode()
        (at / "kubeconfig").write_text(f"""
apiVersion: v1
kind: Config
current-context: c
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:{self.port}", certificate-authority-data: {authority}}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
users: [{{name: u, user: {{token: {TOKEN}}}}}]
""")

    def start(self):
        at = self.folder
        self.api = self.spawn("api", PROGRAMS / "kube-apiserver", "--etcd-servers", self.etcd_url(), "--bind-address", "127.0.0.1",
                              "--advertise-address", "127.0.0.1", "--secure-port", self.port, "--tls-cert-file", at / "api.crt",
                              "--tls-private-key-file", at / "api.key", "--token-auth-file", at / "tokens.csv",
                              "--authorization-mode", "RBAC", "--service-cluster-ip-range", "198.19.0.0/17",
                              "--service-account-issuer", "https://kubernetes.default.svc",
                              "--service-account-key-file", at / "sa.key", "--service-account-signing-key-file", at / "sa.key",
                              "--disable-admission-plugins", "ServiceAccount")

        def ready():
            assert self.api.poll() is None, (at / "api.log").read_text()[-2000:]
            try:
                return self.call("GET", "/readyz", raw=True) == b"ok"
            except (OSError, urllib.error.HTTPError):
                return False

        kubernetes.wait_until("the API server", ready)

    def kill(self):
        self.api.kill()
        self.api.wait()

    def stop(self):
        for program in (self.api, self.etcd):
            program.kill()
            program.wait()

    def call(self, method, path, body=None, raw=False):
        trust = ssl.create_default_context(cafile=self.folder / "ca.crt")
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", method=method,
                                         data=json.dumps(body).encode() if body is not None else None,
                                         headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, context=trust, timeout=60) as answer:
            text = answer.read()
        return text if raw else json.loads(text)

    def write(self, jobs):
        """(method, path, body) of many requests, a few at a time."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda job: self.call(*job), jobs))

    def compact(self):
        """etcd forgets all but the newest state."""
        def etcd(path, body):
            request = urllib.request.Request(self.etcd_url() + path, data=json.dumps(body).encode())
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read())

        revision = etcd("/v3/kv/range", {"key": "AA==", "limit": "1"})["header"]["revision"]
        etcd("/v3/kv/compaction", {"revision": revision, "physical": True})


class Probe:
    def __init__(self, server, kind):
        self.process = subprocess.Popen([PROBE, server.folder / "kubeconfig", kind], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=open(server.folder / "probe.log", "ab"), text=True)

    def dump(self):
        """{namespace/name: version} and the counts of the watch."""
        self.process.stdin.write("dump\n")
        self.process.stdin.flush()
        objects = {}
        for line in self.process.stdout:
            if line.startswith("#"):
                return objects, {key: int(value) for key, value in (part.split("=") for part in line[1:].split())}
            name, version = line.split()
            objects[name] = version
        raise AssertionError("the probe ended")

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    assert (PROGRAMS / "kube-apiserver").exists(), "e2e/cluster/cluster install"
    assert PROBE.exists(), "build it: ninja -C build watch_probe"
    running = ApiServer(tmp_path_factory.mktemp("api"))
    yield running
    running.stop()


def ingress(number, host="a"):
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    paths = [{"path": f"/{i}", "pathType": "Prefix", "backend": backend} for i in range(3)]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": f"i{number}"},
            "spec": {"rules": [{"host": f"{host}{number}.example.test", "http": {"paths": paths}}]}}


COLLECTION = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"


def truth(server):
    items = server.call("GET", "/apis/networking.k8s.io/v1/ingresses")["items"]
    return {f"{item['metadata']['namespace']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in items}


def expect_agreement(server, probe, what):
    expected = truth(server)
    kubernetes.wait_until(what, lambda: probe.dump()[0] == expected)


@pytest.mark.deadline(900)
def test_five_thousand_objects_restarts_and_compaction(server):
    server.write(("POST", COLLECTION, ingress(number)) for number in range(OBJECTS))
    probe = Probe(server, "Ingress")
    try:
        expect_agreement(server, probe, "the list")
        assert len(probe.dump()[0]) == OBJECTS
        print(f"\n{OBJECTS} Ingresses: the probe has {probe.resident_kib() >> 10} MiB")

        # Changes of all sorts arrive by the watch.
        server.write([("PUT", f"{COLLECTION}/i{n}", ingress(n, "b")) for n in range(200)] +
                     [("DELETE", f"{COLLECTION}/i{n}") for n in range(200, 300)] +
                     [("POST", COLLECTION, ingress(n)) for n in range(OBJECTS, OBJECTS + 100)])
        expect_agreement(server, probe, "changes")
        assert probe.dump()[1]["lists"] == 1

        # The server dies, comes back, and the watch goes on or lists again; either way nothing is missing.
        server.kill()
        time.sleep(2)
        server.start()
        server.write([("PUT", f"{COLLECTION}/i{n}", ingress(n, "c")) for n in range(50)])
        expect_agreement(server, probe, "changes after a restart")

        # While the probe sleeps, its version is forgotten: 410, and a list that shows what was deleted meanwhile. What
        # the first server said may still wait in the probe's socket; the second one's changes cannot.
        before = probe.dump()[1]["lists"]
        probe.process.send_signal(signal.SIGSTOP)
        server.write([("DELETE", f"{COLLECTION}/i{n}") for n in range(300, 400)])
        server.kill()
        server.start()
        server.write([("PUT", f"{COLLECTION}/i{n}", ingress(n, "d")) for n in range(100)])
        server.write([("PUT", f"{COLLECTION}/i{n}", ingress(n, "e")) for n in range(400, 420)])
        server.kill()
        server.compact()
        server.start()
        probe.process.send_signal(signal.SIGCONT)
        expect_agreement(server, probe, "the list after compaction")
        counts = probe.dump()[1]
        assert counts["lists"] > before, counts
        assert counts["undecodable"] == 0, counts
        print(counts)
    finally:
        probe.stop()


def test_a_token_that_is_wrong_is_said(server):
    kubeconfig = server.folder / "wrong"
    kubeconfig.write_text((server.folder / "kubeconfig").read_text().replace(TOKEN, "wrong"))
    log = server.folder / "wrong.log"
    with open(log, "wb") as out:
        process = subprocess.Popen([PROBE, kubeconfig, "Ingress"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out)
        kubernetes.wait_until("a line in the log", lambda: "401 Unauthorized" in log.read_text())
        process.communicate(b"quit\n", timeout=30)
