"""Annotations of Ingress objects, from manifests through the translation and the stream to answers of the real dataplane.

One test for each group of annotations; what becomes of every single one is in tests/golden/translate."""
import base64
import hashlib
import json
import subprocess
import time

import pytest

from backends import Backend
from certificates import Authority, openssl
from clients import fetch
from controller_stub import Controller
from headgate import free_port, wait_for
from test_filters import Scripted, basic

NGINX = "nginx.ingress.kubernetes.io/"


def ingress(name="web", host="shop.test", path="/", backend="web", tls=None, kind="Prefix", **annotations):
    spec = {"rules": [{"host": host, "http": {"paths": [
        {"path": path, "pathType": kind, "backend": {"service": {"name": backend, "port": {"number": 80}}}}]}}]}
    if tls:
        spec["tls"] = [{"hosts": [host], "secretName": tls}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {
        "name": name, "namespace": "shop", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {NGINX + key.replace("_", "-"): value for key, value in annotations.items()}}, "spec": spec}


def service(name, *ports):
    """A Service whose endpoints listen at these ports of 127.0.0.1: a slice has one port, so there is one for each."""
    slices = [{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
               "metadata": {"name": f"{name}-{port}", "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
               "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
               "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]} for port in ports]
    return [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
             "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}},
            *slices]


def secret(name, **data):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "shop"},
            "type": "kubernetes.io/tls" if "tls.key" in data else "Opaque", "stringData": data}


def settings(**data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config", "namespace": "shop"},
            "data": {key.replace("_", "-"): value for key, value in data.items()}}


class Site:
    """A stub controller, a dataplane that hangs on it, and a back end for the Service `web`."""

    def __init__(self, start, controller, backend):
        self.start, self.controller, self.backend = start, controller, backend
        self.http, self.https, self.server, self.turn = free_port(), free_port(), None, 0

    def apply(self, *objects, default_backend=""):
        """Publishes, and returns when that serves: each state has a host of its own that says so."""
        self.turn += 1
        mark = f"state-{self.turn}.test"
        documents = [ingress("mark", mark, backend="web"), *service("web", self.backend.port)]
        for one in objects:
            documents += one if isinstance(one, list) else [one]
        self.controller.publish_manifests("\n---\n".join(json.dumps(one) for one in documents), self.http, self.https,
                                          default_backend)
        if self.server is None:
            self.server = self.start(args=self.controller.arguments, workers=2)

        def serves():
            try:
                return fetch(self.http, "/echo", authority=mark).status == 200
            except OSError:
                return False
        wait_for(serves, 10, f"state {self.turn}")

    def ask(self, target="/echo", method="GET", headers=(), body=b"", host="shop.test"):
        return fetch(self.http, target, method, headers, body, authority=host)

    def curl(self, host, *args, sni=None, target="/echo"):
        """(status, body) over TLS; with `sni` the connection is for another host than the request."""
        connected = sni or host
        done = subprocess.run(["curl", "-sk", "--max-time", "10", "-o", "-", "-w", "\n%{http_code} %{redirect_url}", "--resolve",
                               f"{connected}:{self.https}:127.0.0.1", "-H", f"Host: {host}", *map(str, args),
                               f"https://{connected}:{self.https}{target}"], capture_output=True, text=True, check=False)
        body, _, last = done.stdout.rpartition("\n")
        status, _, location = last.partition(" ")
        return int(status), body, location


@pytest.fixture
def site(start, backend):
    with Controller() as controller:
        yield Site(start, controller, backend)


def test_rewrites_and_redirects(site):
    site.apply(ingress(path="/api(/|$)(.*)", kind="ImplementationSpecific", rewrite_target="/$2", use_regex="true",
                       x_forwarded_prefix="/api"),
               ingress("gone", "old.test", permanent_redirect="https://new.test/"),
               ingress("start", "start.test", app_root="/echo"))
    answer = site.ask("/api/echo?x=1")
    assert answer.status == 200 and json.loads(answer.body)["target"] == "/echo?x=1"
    assert site.ask("/apis").status == 404
    answer = site.ask(host="old.test")
    assert answer.status == 301 and answer["location"] == "https://new.test/"
    answer = site.ask("/", host="start.test")
    assert answer.status == 302 and answer["location"].endswith("/echo")


def test_access(site):
    users = "ann:{SHA}" + base64.b64encode(hashlib.sha1(b"one").digest()).decode()

    def verify(_method, _target, fields):
        return (200, [("X-User", "ann")], b"") if fields.get("x-key") == "good" else (401, [], b"")
    with Scripted(verify) as authority:
        site.apply(secret("users", auth=users + "\n"),
                   ingress("basic", "basic.test", auth_type="basic", auth_secret="users"),
                   ingress("asked", "asked.test", auth_url=f"http://127.0.0.1:{authority.port}/verify",
                           auth_response_headers="X-User", auth_signin="https://login.test/?back=$escaped_request_uri"),
                   ingress("deny", "deny.test", denylist_source_range="127.0.0.0/8"),
                   ingress("any", "any.test", satisfy="any", whitelist_source_range="127.0.0.0/8", auth_type="basic",
                           auth_secret="users"))
        assert site.ask(host="basic.test").status == 401
        answer = site.ask(host="basic.test", headers=[basic("ann", "one")])
        assert answer.status == 200 and b"Basic" not in answer.body, "the password was for us"
        assert site.ask(host="asked.test", headers=[("X-Key", "good"), ("X-User", "forged")]).status == 200
        assert b"forged" not in site.ask(host="asked.test", headers=[("X-Key", "good"), ("X-User", "forged")]).body
        answer = site.ask("/echo?a=b", host="asked.test")
        assert answer.status == 302 and answer["location"].startswith("https://login.test/?back=%2Fecho%3Fa%3Db&rd=")
        assert site.ask(host="deny.test").status == 403
        assert site.ask(host="any.test").status == 200


def test_limits_and_sizes(site):
    site.apply(ingress("rps", "rps.test", limit_rps="1", limit_burst_multiplier="2"),
               ingress("small", "small.test", proxy_body_size="1k"),
               ingress("buffered", "buffered.test", proxy_request_buffering="on"),
               ingress("slow", "slow.test", limit_rate="64", limit_rate_after="8"))
    statuses = [site.ask(host="rps.test").status for _ in range(12)]
    assert statuses[:3] == [200] * 3 and 503 in statuses[3:]
    assert site.ask("/sink", "POST", body=b"x" * 1024, host="small.test").status == 200
    assert site.ask("/sink", "POST", body=b"x" * 1025, host="small.test").status == 413
    assert site.ask("/sink", "POST", body=b"x" * 300000, host="buffered.test").body == b"300000"
    began = time.monotonic()
    assert len(site.ask("/bytes/131072", host="slow.test").body) == 131072
    assert time.monotonic() - began >= 1, "120 KiB at 64 KiB/s"


def test_cors_and_headers(site):
    site.apply(settings(hsts="true", enable_brotli="true", gzip_min_length="10"),
               ingress(enable_cors="true", cors_allow_origin="https://*.app.test", upstream_vhost="inner.test"))
    answer = site.ask(method="OPTIONS", headers=[("Origin", "https://a.app.test"), ("Access-Control-Request-Method", "PUT")])
    assert answer.status == 204 and answer["access-control-allow-origin"] == "https://a.app.test"
    answer = site.ask(headers=[("Origin", "https://other.test"), ("Accept-Encoding", "br")])
    assert answer.status == 200 and answer["access-control-allow-origin"] is None
    assert answer["strict-transport-security"] is None, "not over http"
    assert b"inner.test" in site.ask().body


def test_sessions_and_canaries(site):
    with Backend(name="second") as second, Backend(name="canary") as canary:
        both = service("pair", site.backend.port, second.port)
        site.apply(both, service("next", canary.port),
                   ingress("sticky", "sticky.test", backend="pair", affinity="cookie", session_cookie_name="route"),
                   ingress("main", "main.test"),
                   ingress("canary", "main.test", backend="next", canary="true", canary_by_header="X-Try"))
        answer = site.ask(host="sticky.test")
        cookie = answer["set-cookie"].split(";")[0]
        assert cookie.startswith("route=")
        served = {site.ask(host="sticky.test", headers=[("Cookie", cookie)])["x-backend"] for _ in range(8)}
        assert served == {answer["x-backend"]}
        assert site.ask(host="main.test")["x-backend"] != "canary"
        assert site.ask(host="main.test", headers=[("X-Try", "always")])["x-backend"] == "canary"


def test_hashing_keeps_a_user_at_one_endpoint(site):
    with Backend(name="second") as second:
        site.apply(service("pair", site.backend.port, second.port),
                   ingress("hash", "hash.test", backend="pair", upstream_hash_by="$http_x_user"))
        homes = [{site.ask(host="hash.test", headers=[("X-User", str(user))])["x-backend"] for _ in range(3)} for user in range(24)]
        assert all(len(home) == 1 for home in homes)
        assert len(set.union(*homes)) == 2, "24 users, two endpoints"


def test_error_pages_and_default_backends(site):
    def say(method, target, fields):
        wanted = ("x-code", "x-format", "x-original-uri", "x-namespace", "x-ingress-name", "x-service-name", "x-service-port",
                  "x-request-id")
        code = int(fields.get("x-code", 404))
        return code, [("X-Page", "1")], json.dumps([method, target, {name: fields.get(name) for name in wanted}]).encode()
    with Scripted(say) as pages:
        site.apply(service("pages", pages.port), service("empty"),
                   ingress("app", "app.test", custom_http_errors="404,503", default_backend="pages"),
                   ingress("denied", "denied.test", custom_http_errors="403", default_backend="pages",
                           denylist_source_range="127.0.0.0/8"),
                   ingress("down", "down.test", backend="empty", default_backend="pages"))
        answer = site.ask("/status/404?q=1", headers=[("Accept", "text/html")], host="app.test")
        method, target, fields = json.loads(answer.body)
        assert answer.status == 404 and (method, target) == ("GET", "/")
        assert len(fields.pop("x-request-id")) == 32
        assert fields == {"x-code": "404", "x-format": "text/html", "x-original-uri": "/status/404?q=1", "x-namespace": "shop",
                          "x-ingress-name": "app", "x-service-name": "web", "x-service-port": "80"}
        answer = site.ask("/status/404", headers=[("X-Request-ID", "mine")], host="app.test")
        assert json.loads(answer.body)[2]["x-request-id"] == "mine"
        assert site.ask("/status/500", host="app.test")["x-page"] is None
        answer = site.ask(host="denied.test")
        assert answer.status == 403 and json.loads(answer.body)[2]["x-code"] == "403"
        answer = site.ask("/lost", headers=[("Accept", "*/*")], host="down.test")
        fields = json.loads(answer.body)[2]
        assert answer.status == 503 and len(fields.pop("x-request-id")) == 32
        assert fields == {"x-code": "503", "x-format": "*/*", "x-original-uri": "/lost", "x-namespace": "shop",
                          "x-ingress-name": "down", "x-service-name": "empty", "x-service-port": "80"}


def test_mirrors(site):
    with Backend(name="shadow") as shadow:
        site.apply(ingress(mirror_target=f"http://127.0.0.1:{shadow.port}$request_uri"))
        assert site.ask("/echo?n=1", "POST", body=b"twice").status == 200
        wait_for(lambda: shadow.requests, 10, "the copy")
        _, head, body = shadow.requests[0]
        assert "/echo?n=1" in head and body == b"twice"


def test_client_certificates(site, tmp_path):
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others", name="Other Root")
    cert, key = ours.issue("server", "safe.test", "soft.test", "free.test", "loose.test", "page.test")
    ann, stranger = ours.issue("ann", "ann", client=True), others.issue("eve", "eve", client=True)
    expired = ours.issue("late", "late", client=True, days=-1)
    tls = secret("server", **{"tls.crt": cert.read_text(), "tls.key": key.read_text()})
    asked = {"tls": "server", "auth_tls_secret": "shop/ca"}
    site.apply(tls, secret("ca", **{"ca.crt": ours.cert.read_text()}),
               ingress("safe", "safe.test", auth_tls_pass_certificate_to_upstream="true", auth_tls_match_cn="CN=(ann|eve)", **asked),
               ingress("soft", "soft.test", auth_tls_verify_client="optional", **asked),
               ingress("loose", "loose.test", auth_tls_verify_client="optional_no_ca", **asked),
               ingress("page", "page.test", auth_tls_error_page="https://help.test/", **asked),
               ingress("free", "free.test", tls="server"))

    def shown(pair):
        return ["--cert", pair[0], "--key", pair[1]]
    assert site.curl("safe.test")[0] == 400
    status, body, _ = site.curl("safe.test", *shown(ann), "-H", "ssl-client-verify: forged")
    assert status == 200 and "forged" not in body and "CN=ann" in body and "SUCCESS" in body
    assert "-----BEGIN%20CERTIFICATE-----%0A" in body
    assert site.curl("safe.test", *shown(stranger))[0] == 400
    assert site.curl("safe.test", *shown(expired))[0] == 400
    bob = ours.issue("bob", "bob", client=True)
    assert site.curl("safe.test", *shown(bob))[0] == 403
    assert site.curl("soft.test")[0] == 200 and "NONE" in site.curl("soft.test")[1]
    assert site.curl("soft.test", *shown(stranger))[0] == 400
    status, body, _ = site.curl("loose.test", *shown(stranger))
    assert status == 200 and "FAILED:" in body and "CN=eve" in body
    assert site.curl("loose.test", *shown(expired))[0] == 400
    status, _, location = site.curl("page.test")
    assert (status, location) == (302, "https://help.test/")
    assert site.curl("free.test")[0] == 200
    # A connection for one host is none for another that asks for a certificate; HTTP/1.1 and HTTP/2.
    for version in ("--http1.1", "--http2"):
        assert site.curl("safe.test", version, sni="free.test")[0] == 421
        assert site.curl("safe.test", version, *shown(ann), sni="free.test")[0] == 421
        assert site.curl("free.test", version, sni="safe.test")[0] == 200
    assert site.ask(host="safe.test").status == 308, "without TLS nothing can be shown"
    # Only hosts of a rule ask: what openssl sees in the handshake.
    for host, names in [("safe.test", True), ("free.test", False)]:
        text = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{site.https}", "-servername", host], input="",
                              capture_output=True, text=True, timeout=10, check=False).stdout
        assert ("Acceptable client certificate CA names" in text) == names, host


def test_depth_of_client_chains(site, tmp_path):
    root = Authority(tmp_path)
    chain, signer = [], (root.cert, root.key)
    for name in ("one", "two"):  # intermediate authorities
        cert, key, request, extension = (tmp_path / f"{name}{ending}" for ending in (".pem", ".key", ".csr", ".ext"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-keyout", key,
                "-out", request)
        extension.write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n")
        openssl("x509", "-req", "-in", request, "-CA", signer[0], "-CAkey", signer[1], "-CAcreateserial", "-days", 10, "-extfile",
                extension, "-out", cert)
        chain.insert(0, cert.read_text())
        signer = (cert, key)
    cert, key, request = (tmp_path / f"leaf{ending}" for ending in (".pem", ".key", ".csr"))
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=leaf", "-keyout", key, "-out",
            request)
    openssl("x509", "-req", "-in", request, "-CA", signer[0], "-CAkey", signer[1], "-CAcreateserial", "-days", 10, "-out", cert)
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(cert.read_text() + "".join(chain))
    server, server_key = root.issue("server", "one.test", "two.test")
    site.apply(secret("server", **{"tls.crt": server.read_text(), "tls.key": server_key.read_text()}),
               secret("ca", **{"ca.crt": root.cert.read_text()}),
               ingress("one", "one.test", tls="server", auth_tls_secret="shop/ca"),
               ingress("two", "two.test", tls="server", auth_tls_secret="shop/ca", auth_tls_verify_depth="2"))
    assert site.curl("one.test", "--cert", bundle, "--key", key)[0] == 400, "two intermediate authorities, one allowed"
    assert site.curl("two.test", "--cert", bundle, "--key", key)[0] == 200
