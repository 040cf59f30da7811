"""The reverse proxy: what is forwarded, what is retried, what the statuses mean, and how much memory it takes."""
import hashlib
import json
import os
import socket
import subprocess
import threading
import time

import pytest

from backends import Backend
from clients import Closed, Load, Raw, fetch
from headgate import free_port, memory_kib, wait_for


def proxy_config(port, target, **rule):
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
            "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": target, **rule}]}


@pytest.fixture(scope="module")
def site(start_shared, shared_backend):
    port = free_port()
    server = start_shared({
        "listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
        "timeouts": {"connect": 1, "response": 2},
        "limits": {"body": 200 << 20},
        "dispatch": [
            {"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": shared_backend.url},
            {"listener": "web", "handler": "proxy", "path": "/api/**", "proxy_pass": shared_backend.url, "strip_prefix": "/api", "timeout": 1,
             "headers": {"X-Scheme": "$scheme", "X-Client": "$client_ip", "X-Host": "$host", "X-Uri": "$uri", "X-Id": "$request_id"}},
        ]})
    server.port, server.backend = port, shared_backend
    return server


def echo(port, target="/echo", method="GET", headers=(), body=b"", **more):
    answer = fetch(port, target, method, headers, body, **more)
    assert answer.status == 200, answer
    seen = json.loads(answer.body)
    seen["fields"] = {}
    for name, value in seen["headers"]:
        seen["fields"].setdefault(name.lower(), []).append(value)
    return seen


def test_forwarded_fields(site):
    seen = echo(site.port, "/echo?a=1&b=%20", headers=[("X-Own", "kept"), ("Accept", "x/y")], authority="shop.example")
    fields = seen["fields"]
    assert seen["target"] == "/echo?a=1&b=%20"
    assert fields["host"] == ["shop.example"] and fields["x-own"] == ["kept"] and fields["accept"] == ["x/y"]
    assert fields["x-forwarded-for"] == ["127.0.0.1"] and fields["x-real-ip"] == ["127.0.0.1"] and fields["x-forwarded-proto"] == ["http"]


def test_claims_of_untrusted_clients_are_replaced(site):
    seen = echo(site.port, headers=[("X-Forwarded-For", "9.9.9.9"), ("X-Real-IP", "9.9.9.9"), ("X-Forwarded-Proto", "https"),
                                    ("Forwarded", "for=9.9.9.9")])
    assert "9.9.9.9" not in json.dumps(seen["headers"])
    assert seen["fields"]["x-forwarded-proto"] == ["http"]


def test_claims_of_trusted_proxies_are_extended(start, backend):
    port = free_port()
    start({**proxy_config(port, backend.url), "trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]})
    seen = echo(port, headers=[("X-Forwarded-For", "203.0.113.7, 10.1.2.3"), ("X-Forwarded-Proto", "https")])
    assert seen["fields"]["x-forwarded-for"] == ["203.0.113.7, 10.1.2.3, 127.0.0.1"]
    assert seen["fields"]["x-real-ip"] == ["203.0.113.7"] and seen["fields"]["x-forwarded-proto"] == ["https"]


def test_hop_by_hop_fields_end_here(site):
    seen = echo(site.port, headers=[("Keep-Alive", "5"), ("Proxy-Connection", "x"), ("TE", "gzip"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMA"),
                                    ("Proxy-Authorization", "Basic x")])
    assert not {"keep-alive", "proxy-connection", "te", "upgrade", "http2-settings"} & set(seen["fields"]), seen
    with Raw(site.port) as client:
        answer = client.request("/echo", headers=[("Connection", "X-Drop, keep-alive"), ("X-Drop", "1"), ("X-Stay", "2")])
        names = {name.lower() for name, _ in json.loads(answer.body)["headers"]}
        assert "x-drop" not in names and "x-stay" in names
    # A client may not make us drop what later hops rely on.
    seen = echo(site.port, headers=[("Authorization", "Bearer t")])
    with Raw(site.port) as client:
        answer = client.request("/echo", headers=[("Connection", "Host, X-Forwarded-For, Authorization"), ("Authorization", "Bearer t")])
        names = {name.lower() for name, _ in json.loads(answer.body)["headers"]}
        assert {"host", "x-forwarded-for", "authorization"} <= names


def test_prefix_and_variables(site):
    fields = echo(site.port, "/api/echo?x=1", authority="shop.example")["fields"]
    assert fields["x-scheme"] == ["http"] and fields["x-client"] == ["127.0.0.1"] and fields["x-host"] == ["shop.example"]
    assert len(fields["x-id"][0]) >= 16
    seen = echo(site.port, "/api/echo/deep%2Fer?x=1")
    assert seen["target"] == "/echo/deep%2Fer?x=1"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_methods_and_bodies(site, method):
    body = os.urandom(50000) if method != "GET" else b""
    seen = echo(site.port, "/echo", method, body=body)
    assert seen["method"] == method and seen["size"] == len(body) and seen["sha256"] == hashlib.sha256(body).hexdigest()


def test_large_bodies_both_ways_in_bounded_memory(site):
    size = 100 << 20
    before = memory_kib(site.serving_pid(), "Private_Dirty")
    peak = [before]
    done = threading.Event()

    def watch():
        while not done.wait(0.02):
            peak[0] = max(peak[0], memory_kib(site.serving_pid(), "Private_Dirty"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with Raw(site.port, timeout=30) as client:
            client.send(f"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
            block = b"u" * (1 << 20)
            for _ in range(size >> 20):
                client.send(block)
            assert client.response().body == str(size).encode()
            client.send(f"GET /bytes/{size} HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.3)  # a slow reader must not make us hoard
            assert len(client.response().body) == size
    finally:
        done.set()
        watcher.join()
    assert peak[0] - before < 8192, f"grew by {peak[0] - before} KiB for {size >> 20} MiB"


def test_answers_stream(site):
    with Raw(site.port) as client:
        began = time.monotonic()
        client.send("GET /trickle/10 HTTP/1.1\r\nHost: a\r\n\r\n")
        while b"piece00" not in client.buffer:
            client._more()
        assert time.monotonic() - began < 0.4  # the first piece does not wait for the last
        assert client.response().body == b"".join(b"piece%02d" % i for i in range(10))


def test_requests_stream(site):
    before = len(site.backend.requests)
    with Raw(site.port) as client:
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        time.sleep(0.2)
        client.send("6\r\nsecond\r\n0\r\n\r\n")
        assert json.loads(client.response().body)["size"] == 11
    assert len(site.backend.requests) == before + 1


def test_early_answer_reaches_the_client(site):
    with Raw(site.port, timeout=10) as client:
        client.send("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
        try:
            for _ in range(50):
                client.send(b"e" * 1000000)
        except OSError:
            pass  # we need not read the rest
        answer = client.response()
        assert answer.status == 413 and answer.body == b"enough"


def test_connections_are_reused(site):
    before = site.backend.connections
    with Raw(site.port) as client:
        for _ in range(40):
            assert client.request("/echo").status == 200
    assert site.backend.connections - before <= 2


@pytest.mark.parametrize(("target", "status"), [
    ("/reset", 502), ("/close", 502), ("/garbage", 502), ("/smuggle", 502), ("/hang", 504), ("/api/slow/3", 504), ("/status/500", 500),
    ("/status/404", 404), ("/status/204", 204), ("/status/304", 304),
])
def test_statuses(site, target, status):
    began = time.monotonic()
    answer = fetch(site.port, target)
    assert answer.status == status
    assert time.monotonic() - began < 4


def test_cut_answers_are_never_a_clean_end(site):
    for target in ("/partial", "/cut"):
        with Raw(site.port) as client:
            client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
            with pytest.raises((Closed, ConnectionResetError)):
                client.response()
                raise AssertionError("a cut answer looked whole")


def test_nobody_listens_is_502(start):
    port = free_port()
    start(proxy_config(port, f"http://127.0.0.1:{free_port()}"))
    assert fetch(port).status == 502


def test_black_hole_is_504_in_time(start):
    # A socket that listens with a full queue answers no SYN: the nearest thing to a black hole on loopback.
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        fill = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
            fill.append(filler)
        port = free_port()
        start({**proxy_config(port, f"http://127.0.0.1:{hole.getsockname()[1]}"), "timeouts": {"connect": 1, "response": 1}})
        began = time.monotonic()
        assert fetch(port).status in (502, 504)
        assert time.monotonic() - began < 5
        for filler in fill:
            filler.close()


def pool_config(port, targets, **pool):
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
            "upstreams": {"app": {"targets": targets, **pool}},
            "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": "upstream://app"}]}


def served_by(port, count, target="/echo", headers=()):
    names = {}
    with Raw(port) as client:
        for _ in range(count):
            answer = client.request(target, headers=headers)
            assert answer.status == 200, answer
            name = answer["x-backend"]
            names[name] = names.get(name, 0) + 1
    return names


def test_round_robin_and_weights(start):
    with Backend(name="a") as a, Backend(name="b") as b:
        port = free_port()
        server = start(pool_config(port, [a.url, b.url], balance="round-robin"))
        assert served_by(port, 100) == {"a": 50, "b": 50}
        server.reload(pool_config(port, [{"url": a.url, "weight": 3}, {"url": b.url, "weight": 1}], balance="round-robin"))
        assert served_by(port, 100) == {"a": 75, "b": 25}


def test_ip_hash_keeps_a_client_where_it_is(start):
    backends = [Backend(name=name) for name in "abc"]
    try:
        port = free_port()
        server = start({**pool_config(port, [one.url for one in backends], balance="ip-hash"), "trusted_proxies": ["127.0.0.1"]})

        def homes():
            return {i: next(iter(served_by(port, 2, headers=[("X-Forwarded-For", f"198.51.100.{i}")]))) for i in range(60)}

        before = homes()
        assert set(before.values()) == {"a", "b", "c"}
        server.reload({**pool_config(port, [one.url for one in backends[:2]], balance="ip-hash"), "trusted_proxies": ["127.0.0.1"]})
        after = homes()
        assert all(after[i] == before[i] for i in before if before[i] != "c"), "clients of targets that stayed were moved"
    finally:
        for one in backends:
            one.close()


def test_refused_target_is_left_out(start):
    with Backend(name="a") as a:
        port = free_port()
        server = start(pool_config(port, [a.url, f"http://127.0.0.1:{free_port()}"], retry_timeout_seconds=30))
        assert served_by(port, 60) == {"a": 60}
        errors = sum(value for name, value in server.metrics().items() if "upstream_connects" in name and "error" in name)
        assert 1 <= errors < 20, "the dead target is asked again and again"


def test_stale_connection_is_retried_once_for_idempotent_requests(start):
    with Backend(name="a") as a:
        port = free_port()
        start(pool_config(port, [a.url]))
        with Raw(port) as client:
            for _ in range(20):
                # The back end closes after the answer without having said so; the next request may meet that.
                assert client.request("/die-after").status == 200
                assert client.request("/echo").status == 200


def test_post_is_not_repeated_after_it_was_sent(start):
    with Backend(name="a") as a, Backend(name="b") as b:
        port = free_port()
        start(pool_config(port, [a.url, b.url]))
        assert fetch(port, "/reset", "POST", body=b"pay 5 euro").status == 502
        assert len(a.requests) + len(b.requests) == 1


def test_all_targets_gone_is_503_or_502(start):
    port = free_port()
    start(pool_config(port, [f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"], retry_timeout_seconds=30))
    statuses = [fetch(port).status for _ in range(6)]
    assert set(statuses) <= {502, 503} and statuses[0] == 502, statuses


def test_active_health_check(start):
    with Backend(name="a") as a, Backend(name="b") as b:
        port = free_port()
        start(pool_config(port, [a.url, b.url], health_check={"path": "/status/200", "interval": 0.2, "timeout": 0.5, "healthy": 1, "unhealthy": 1},
                          retry_timeout_seconds=1))
        assert set(served_by(port, 20)) == {"a", "b"}
        gone = b.port
        b.close()
        wait_for(lambda: set(served_by(port, 10)) == {"a"}, 5, "the dead target is left out")
        with Load(port, connections=4) as load:
            with Backend(name="b2", port=gone):
                wait_for(lambda: "b2" in served_by(port, 10), 5, "the target is back")
                load.assert_nothing_lost()


def test_unix_socket_target(start, tmp_path):
    with Backend(path=str(tmp_path / "app.sock")):
        port = free_port()
        start(proxy_config(port, f"unix://{tmp_path}/app.sock"))
        assert echo(port, "/echo?unix")["target"] == "/echo?unix"


def test_unix_socket_listener(start, backend, tmp_path):
    path = tmp_path / "front.sock"
    start({"listen": [{"name": "sock", "uri": f"unix://{path}"}],
           "dispatch": [{"listener": "sock", "handler": "proxy", "path": "/**", "proxy_pass": backend.url}]})
    with Raw(0, path=path) as client:
        assert client.request("/echo").status == 200
    assert subprocess.run(["curl", "-sS", "--fail", "--unix-socket", str(path), "http://x/echo"], capture_output=True, timeout=10, check=True).stdout


def test_https_upstream_is_verified(start, authority):
    other = authority.__class__(authority.directory / "other", "Other Root")
    with Backend(tls=authority.server("up", "app.example"), name="tls") as app:
        url = f"https://127.0.0.1:{app.port}"
        for tls, status in (({"ca": str(authority.cert), "sni": "app.example"}, 200), ({"ca": str(authority.cert), "sni": "wrong.example"}, 502),
                            ({"ca": str(other.cert), "sni": "app.example"}, 502), ({"sni": "app.example"}, 502), ({"verify": False}, 200)):
            port = free_port()
            server = start(proxy_config(port, url, tls=tls))
            assert fetch(port, "/echo").status == status, tls
            server.close()


def test_https_upstream_with_client_certificate(start, authority):
    cert, key = authority.issue("proxy-client", "headgate.example", client=True)
    with Backend(tls=authority.server("up-mtls", "app.example", require=authority.cert)) as app:
        for extra, status in (({"cert": str(cert), "key": str(key)}, 200), ({}, 502)):
            port = free_port()
            server = start(proxy_config(port, f"https://127.0.0.1:{app.port}", tls={"ca": str(authority.cert), "sni": "app.example", **extra}))
            assert fetch(port, "/echo").status == status, extra
            server.close()


def test_client_that_leaves_ends_the_upstream_request(site):
    before = site.backend.open
    with Raw(site.port) as client:
        client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: any("/hang" in head for head in site.backend.heads()[-5:]), 3, "the request at the back end")
    wait_for(lambda: site.backend.open <= before, 1.5, "the upstream connection is given up")


def test_under_load(site):
    with Load(site.port, connections=32) as load:
        time.sleep(2)
    load.assert_nothing_lost(at_least=500)


def test_stock_node_application(start, tmp_path):
    if subprocess.run(["which", "node"], capture_output=True, check=False).returncode:
        pytest.skip("no node on this machine")
    app = tmp_path / "app.js"
    app.write_text("""
const http = require('http');
const server = http.createServer((request, response) => {
  let size = 0;
  request.on('data', (piece) => size += piece.length);
  request.on('end', () => {
    response.setHeader('Set-Cookie', ['a=1', 'b=2']);
    response.end(JSON.stringify({url: request.url, size, host: request.headers.host, from: request.headers['x-forwarded-for']}));
  });
});
server.keepAliveTimeout = 100;  // closes idle connections under our feet
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
""")
    node = subprocess.Popen(["node", str(app)], stdout=subprocess.PIPE, text=True)
    try:
        port = free_port()
        start(proxy_config(port, f"http://127.0.0.1:{int(node.stdout.readline())}"))
        for pause in (0, 0.09, 0.1, 0.11, 0.12, 0.3):
            time.sleep(pause)
            answer = fetch(port, "/x?y=1", "PUT", body=b"z" * 30000)
            seen = json.loads(answer.body)
            assert seen == {"url": "/x?y=1", "size": 30000, "host": "localhost", "from": "127.0.0.1"}
            assert answer.all("set-cookie") == ["a=1", "b=2"]
    finally:
        node.kill()
        node.wait()


def test_stock_python_application(start, tmp_path):
    (tmp_path / "index.html").write_text("python serves this")
    app_port = free_port()
    python = subprocess.Popen(["python3", "-m", "http.server", str(app_port), "--bind", "127.0.0.1", "--directory", str(tmp_path)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = free_port()
        start(proxy_config(port, f"http://127.0.0.1:{app_port}"))
        wait_for(lambda: fetch(port).status == 200, 5, "the application")  # HTTP/1.0, closes after each answer
        for _ in range(20):
            assert fetch(port, "/index.html").body == b"python serves this"
    finally:
        python.kill()
        python.wait()
