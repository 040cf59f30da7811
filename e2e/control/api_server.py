"""A real etcd and kube-apiserver on one address, without nodes."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "local"))

from headgate import wait_for  # noqa: E402

ADDRESS = "198.18.5.1"


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, timeout=30)


class ApiServer:
    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="headgate-api-"))
        self.kubeconfig = self.directory / "kubeconfig"
        self.server = None
        self._certificates()
        (self.directory / "tokens.csv").write_text('admin-token,admin,admin,"system:masters"\n')
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"https://{ADDRESS}:6443",
                                                      "certificate-authority": str(self.directory / "ca.crt")}}],
            "users": [{"name": "admin", "user": {"token": "admin-token"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}]}))
        self.etcd = self._spawn("etcd", "etcd", "--data-dir", self.directory / "etcd", "--unsafe-no-fsync",
                                "--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379",
                                "--listen-peer-urls", "http://127.0.0.1:2380", "--log-level", "error")
        self.start()
        for name in ("headgate", "shop"):
            self.kubectl("create", "namespace", name)

    def _certificates(self):
        here = self.directory
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *curve, "-days", "30", "-subj", "/CN=test-ca", "-keyout", here / "ca.key", "-out", here / "ca.crt")
        openssl("req", *curve, "-subj", "/CN=kube-apiserver", "-keyout", here / "api.key", "-out", here / "api.csr")
        (here / "names").write_text(f"subjectAltName=IP:{ADDRESS},IP:127.0.0.1,DNS:kubernetes.default.svc\n")
        openssl("x509", "-req", "-in", here / "api.csr", "-CA", here / "ca.crt", "-CAkey", here / "ca.key", "-CAcreateserial",
                "-days", "30", "-extfile", here / "names", "-out", here / "api.crt")
        openssl("genrsa", "-out", here / "sa.key", "2048")
        openssl("rsa", "-in", here / "sa.key", "-pubout", "-out", here / "sa.pub")

    def _spawn(self, name, *command):
        with open(self.directory / f"{name}.log", "ab") as log:
            return subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def start(self):
        here = self.directory
        self.server = self._spawn(
            "kube-apiserver", "kube-apiserver", "--etcd-servers", "http://127.0.0.1:2379", "--advertise-address", ADDRESS,
            "--bind-address", ADDRESS, "--service-cluster-ip-range", "198.19.0.0/24", "--tls-cert-file", here / "api.crt",
            "--tls-private-key-file", here / "api.key", "--client-ca-file", here / "ca.crt", "--token-auth-file", here / "tokens.csv",
            "--authorization-mode", "RBAC", "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", here / "sa.pub", "--service-account-signing-key-file", here / "sa.key",
            "--disable-admission-plugins", "ServiceAccount", "--etcd-compaction-interval", "3s", "-v", "1")
        wait_for(lambda: self.server.poll() is not None or self._ready(), 120, "the API server", every=0.3)
        assert self.server.poll() is None, (here / "kube-apiserver.log").read_text()[-3000:]

    def _ready(self):
        return subprocess.run(["kubectl", "--kubeconfig", str(self.kubeconfig), "get", "--raw", "/readyz"], capture_output=True,
                              timeout=20, check=False).returncode == 0

    def stop(self):
        """At once, as a crash: connections break."""
        self.server.kill()
        self.server.wait()

    def restart(self):
        self.stop()
        self.start()

    def kubectl(self, *args, text=None, check=True):
        result = subprocess.run(["kubectl", "--kubeconfig", str(self.kubeconfig), *map(str, args)], input=text, text=True,
                                capture_output=True, timeout=60, check=False)
        if check and result.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(map(str, args))}: {result.stderr}")
        return result.stdout

    def apply(self, *objects):
        """By replace-or-create of whole objects: quick, and leaves no annotations behind."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-",
                     text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def delete(self, kind, name, namespace="shop"):
        self.kubectl("delete", kind, name, "-n", namespace, "--wait=false")

    def get(self, kind, name=None, namespace="shop"):
        return json.loads(self.kubectl("get", kind, *([name] if name else []), "-n", namespace, "-o", "json"))

    def events(self, name, namespace="shop"):
        """Reason -> note of the Events on objects with this name."""
        items = self.get("events.events.k8s.io", namespace=namespace)["items"]
        return {item["reason"]: item.get("note", "") for item in items if item["regarding"]["name"] == name}

    def close(self):
        for process in (self.server, self.etcd):
            with contextlib.suppress(OSError):
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


if __name__ == "__main__":  # a shell on an empty API server
    server = ApiServer()
    print(f"export KUBECONFIG={server.kubeconfig}")
    try:
        time.sleep(float(os.environ.get("SECONDS_UP", "3600")))
    finally:
        server.close()
