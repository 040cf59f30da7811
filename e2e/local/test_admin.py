"""The admin socket and the commands that use it."""
import os
import re
import stat
import subprocess

import pytest

from clients import Raw, fetch
from headgate import free_port, run_headgate, wait_for


def config(port):
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
            "dispatch": [{"listener": "web", "handler": "respond", "path": "/hello", "status": 200, "body": "hello"}]}


@pytest.fixture(scope="module")
def site(start_shared):
    port = free_port()
    server = start_shared(config(port), workers=2)
    server.port = port
    return server


def test_health(site):
    assert site.admin("/livez")[0] == 200 and site.admin("/readyz")[0] == 200
    assert site.admin("/nosuch")[0] == 404


def test_the_socket_is_private(site):
    mode = stat.S_IMODE(os.stat(site.socket).st_mode)
    assert mode == 0o600, oct(mode)


def test_metrics(site):
    before = site.metrics()
    with Raw(site.port) as client:
        for _ in range(10):
            client.request("/hello")
        client.request("/nosuch")
    after = site.metrics()

    def grown(name):
        return after.get(name, 0) - before.get(name, 0)

    assert grown('headgate_http_responses_total{code="2xx"}') == 10 and grown('headgate_http_responses_total{code="4xx"}') == 1
    assert grown("headgate_downstream_connections_total") == 1 and grown("headgate_http_requests_received_total") == 11


def test_metrics_are_what_prometheus_reads(site):
    _, text = site.admin("/metrics")
    typed = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram") and name not in typed, line
            typed.add(name)
        elif line and not line.startswith("#"):
            match = re.fullmatch(r"([a-z_][a-z0-9_]*)(\{[^}]*\})? (\S+)", line)
            assert match, line
            base = re.sub(r"_(bucket|sum|count)$", "", match[1])
            assert match[1] in typed or base in typed, line
            float(match[3])
    assert len(typed) > 20


def test_config_is_shown_without_secrets(start, authority):
    cert, key = authority.issue("default", "localhost")
    port = free_port()
    server = start({"listen": [{"name": "tls", "uri": f"https://127.0.0.1:{port}"}], "tls": {"cert": str(cert), "key": str(key)},
                    "dispatch": [{"listener": "tls", "handler": "echo"}]})
    status, text = server.admin("/config")
    assert status == 200 and "tls" in text
    body = "".join(line for line in key.read_text().splitlines() if "-----" not in line)
    assert body[:40] not in text.replace("\\n", "").replace("\n", "") and "BEGIN PRIVATE KEY" not in text


def test_stats_and_status(site):
    status, text = site.admin("/stats")
    assert status == 200 and text
    result = site.control("status")
    assert result.returncode == 0 and str(site.serving_pid()) in result.stdout + result.stderr
    result = run_headgate("status", "-admin", "unix:///nonexistent/admin.sock")
    assert result.returncode != 0 and "/nonexistent/admin.sock" in result.stdout + result.stderr


def test_loopback_port(start):
    port, admin = free_port(), free_port()
    server = start(config(port), admin=f"http://127.0.0.1:{admin}", wait=False)

    def ready():
        try:
            return fetch(admin, "/readyz").status == 200
        except OSError:
            return False

    wait_for(ready, 10, "readiness")
    assert b"headgate_" in fetch(admin, "/metrics").body
    # A page in a browser must not be able to steer it: only local names, and no request with an Origin.
    assert fetch(admin, "/drain", "POST", headers=[("Origin", "http://evil.example")]).status in (400, 403)
    assert fetch(admin, "/metrics", authority="evil.example").status in (400, 403, 421)
    assert server.process.poll() is None


def test_admin_is_not_on_public_listeners(site):
    for target in ("/metrics", "/readyz", "/config", "/stats"):
        assert fetch(site.port, target).status == 404


def test_curl_reads_it(site):
    result = subprocess.run(["curl", "-sS", "--fail", "--unix-socket", str(site.socket), "http://localhost/metrics"], capture_output=True, text=True,
                            timeout=10, check=True)
    assert "headgate_http_requests_received_total" in result.stdout


def test_the_health_listener_answers_probes_and_nothing_else(start):
    port, health = free_port(), free_port()
    server = start(config(port), args=["-health", f"http://:{health}"])

    def ask(method, path):
        with Raw(health) as client:
            return client.request(path, method=method).status
    assert [ask("GET", path) for path in ("/livez", "/readyz", "/metrics")] == [200, 200, 200]
    assert [ask("POST", path) for path in ("/drain", "/reload")] == [404, 404] and ask("GET", "/config") == 404
    assert server.admin("/readyz")[0] == 200


def test_explain_says_what_a_request_would_get_and_what_it_gets(site):
    url = f"http://127.0.0.1:{site.port}"
    for path, words, status in (("/hello", "action      respond 200\n", 200), ("/x/../hello", "action      respond 200\n", 200),
                                ("/none", "answer 404\n", 404)):
        told = site.control("explain", url + path)
        assert told.returncode == 0, told.stderr
        assert words in told.stdout, told.stdout
        with Raw(site.port) as client:
            assert client.request(path).status == status
    wrong = site.control("explain", "http://127.0.0.1:99999/")
    assert wrong.returncode == 1 and "port" in wrong.stderr, wrong.stderr
