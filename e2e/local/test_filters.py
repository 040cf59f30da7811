"""What a rule limits, refuses, asks others about, copies and changes, by real clients."""
import base64
import json
import subprocess
import threading
import time

import pytest

from backends import Backend
from clients import Raw, fetch
from headgate import free_port, memory_kib, wait_for


def config(port, rule, **more):
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
            "dispatch": [{"listener": "web", "handler": "respond", "path": "/**", "body": "through\n", **rule}], **more}


def proxied(port, target, rule, **more):
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
            "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": target, **rule}], **more}


def basic(user, password):
    return ("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


class Scripted(Backend):
    """Answers as `say(method, target, fields)` tells: (status, [(name, value)], body)."""

    def __init__(self, say, name="scripted"):
        super().__init__(name=name)
        self.say = say

    async def _exchange(self, number, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        method, target, _ = first.split(" ")
        fields = {}
        for line in lines:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        body = b"".join([piece async for piece in self._body(reader, fields)])
        self.requests.append((number, head, body))
        status, extra, answer = self.say(method, target, fields)
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(answer)}", *(f"{name}: {value}" for name, value in extra)]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if method == "HEAD" else answer))
        await writer.drain()
        return True


# -- passwords

def htpasswd(kind, password):
    if kind == "sha1":
        import hashlib
        return "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()
    if kind == "bcrypt":
        line = subprocess.run(["htpasswd", "-nbBC", "5", "u", password], capture_output=True, text=True, check=True).stdout
        return line.split(":", 1)[1].strip()
    flag = {"apr1": "-apr1", "sha256": "-5", "sha512": "-6"}[kind]
    return subprocess.run(["openssl", "passwd", flag, password], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("kind", ["sha1", "apr1", "sha256", "sha512", "bcrypt"])
def test_basic_auth(start, backend, kind):
    port = free_port()
    start(proxied(port, backend.url, {"basic_auth": {"realm": 'The "site"', "users": {"ann": htpasswd(kind, "secret")}}}))
    answer = fetch(port, "/echo")
    assert answer.status == 401 and answer["www-authenticate"] == 'Basic realm="The \\"site\\"", charset="UTF-8"'
    for user, password in [("ann", "wrong"), ("bob", "secret"), ("ann", ""), ("", "secret"), ("ann", "secret2"), ("Ann", "secret")]:
        assert fetch(port, "/echo", headers=[basic(user, password)]).status == 401, (user, password)
    for value in ("Basic", "Basic !!!", "Bearer x", "Basic " + base64.b64encode(b"nocolon").decode(), "Basic " + "QQ" * 5000):
        assert fetch(port, "/echo", headers=[("Authorization", value)]).status == 401
    assert not backend.requests
    for _ in range(3):
        answer = fetch(port, "/echo", headers=[basic("ann", "secret")])
        assert answer.status == 200
        assert "authorization" not in {name.lower() for name, _ in json.loads(answer.body)["headers"]}
    # A second Authorization field could be the one that the target believes.
    assert fetch(port, "/echo", headers=[basic("ann", "secret"), basic("ann", "x")]).status == 401


def test_basic_auth_from_a_file_that_changes(start, tmp_path):
    port = free_port()
    users = tmp_path / "users"
    users.write_text(f"# people\nann:{htpasswd('apr1', 'one')}\n\nbob:{htpasswd('sha1', 'two')}:a comment\n")
    server = start(config(port, {"basic_auth": {"file": str(users)}}))
    assert fetch(port, headers=[basic("ann", "one")]).status == 200 and fetch(port, headers=[basic("bob", "two")]).status == 200
    users.write_text(f"bob:{htpasswd('sha1', 'three')}\n")
    wait_for(lambda: fetch(port, headers=[basic("bob", "three")]).status == 200, 5, "the new file")
    assert fetch(port, headers=[basic("ann", "one")]).status == 401 and fetch(port, headers=[basic("bob", "two")]).status == 401
    for text, said in [("nonsense\n", "line 1"), ("ann:plain\n", "hash"), ("ann:" + "x" * 13 + "\n", "hash")]:
        users.write_text(text)
        assert said in server.reload(expect=1), text
    assert fetch(port, headers=[basic("bob", "three")]).status == 200


def test_slow_passwords_do_not_stop_the_worker(start):
    port = free_port()
    slow = subprocess.run(["htpasswd", "-nbBC", "12", "u", "secret"], capture_output=True, text=True, check=True).stdout.split(":", 1)[1].strip()
    start({"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
           "dispatch": [{"listener": "web", "handler": "respond", "path": "/in/**", "basic_auth": {"users": {"u": slow}}},
                        {"listener": "web", "handler": "respond", "path": "/", "body": "quick"}]})
    answers = []
    guesses = [threading.Thread(target=lambda i=i: answers.append(fetch(port, "/in/", headers=[basic("u", f"guess{i}")], timeout=30).status))
               for i in range(6)]
    for one in guesses:
        one.start()
    done = 0
    while any(one.is_alive() for one in guesses):
        assert fetch(port, "/").status == 200
        done += 1
    for one in guesses:
        one.join()
    assert answers == [401] * 6 and done > 12
    assert fetch(port, "/in/", headers=[basic("u", "secret")], timeout=30).status == 200


# -- addresses, satisfy

def test_addresses_and_satisfy(start):
    port = free_port()
    secret = {"users": {"ann": htpasswd("sha1", "secret")}}
    more = {"trusted_proxies": ["127.0.0.1"]}
    server = start(config(port, {"allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": "10.9.0.0/16"}, **more))

    def status(client, *headers):
        return fetch(port, headers=[("X-Forwarded-For", client), *headers]).status

    assert [status(one) for one in ("10.1.1.1", "10.9.1.1", "192.0.2.1", "2001:db8::7", "2001:db9::7")] == [200, 403, 403, 200, 403]
    server.reload(config(port, {"allow": "10.0.0.0/8", "basic_auth": secret}, **more))
    assert status("10.1.1.1") == 401 and status("192.0.2.1", basic("ann", "secret")) == 403
    assert status("10.1.1.1", basic("ann", "secret")) == 200
    server.reload(config(port, {"allow": "10.0.0.0/8", "basic_auth": secret, "satisfy": "any"}, **more))
    assert status("10.1.1.1") == 200 and status("192.0.2.1", basic("ann", "secret")) == 200
    assert status("192.0.2.1") == 401 and status("192.0.2.1", basic("ann", "wrong")) == 401


# -- external authorization

def test_external_auth(start, backend):
    answers = {}

    def say(method, target, fields):
        return answers["now"]

    with Scripted(say) as judge:
        port = free_port()
        server = start(proxied(port, backend.url, {"external_auth": {
            "to": judge.url, "path": "/verify?for=$arg_who", "response_headers": ["X-User", "X-Groups"],
            "headers": {"X-Extra": "e-$method"}}}))

        def ask(**more):
            return fetch(port, "/echo/a?who=me", "POST", [("X-User", "forged"), ("X-Groups", "forged"), ("Cookie", "sid=1"),
                                                          ("Range", "bytes=0-1"), ("X-Keep", "1")], b"body", authority="shop.example", **more)

        answers["now"] = (204, [("X-User", "ann"), ("Set-Cookie", "seen=1")], b"")
        answer = ask()
        assert answer.status == 200 and answer.all("set-cookie") == ["seen=1"]
        seen = {name.lower(): value for name, value in json.loads(answer.body)["headers"]}
        assert seen["x-user"] == "ann" and "x-groups" not in seen and seen["x-keep"] == "1"
        assert json.loads(answer.body)["size"] == 4
        head = judge.heads()[-1]
        question = dict(line.lower().split(": ", 1) for line in head.strip().split("\r\n")[1:])
        assert head.startswith("GET /verify?for=me HTTP/1.1\r\n")
        assert question["host"] == judge.url.removeprefix("http://") and question["cookie"] == "sid=1" and question["x-extra"] == "e-post"
        assert question["x-original-url"] == "http://shop.example/echo/a?who=me" and question["x-original-method"] == "post"
        assert question["x-auth-request-redirect"] == "/echo/a?who=me" and question["x-real-ip"] == "127.0.0.1"
        assert question["x-forwarded-for"] == "127.0.0.1" and len(question["x-request-id"]) == 32
        assert not {"content-length", "x-forwarded-proto", "range", "transfer-encoding", "x-original-uri"} & set(question)

        reached = len(backend.requests)
        for said, expected in [(401, 401), (403, 403), (302, 500), (404, 500), (500, 500), (503, 500)]:
            answers["now"] = (said, [("WWW-Authenticate", "Bearer x"), ("Location", "/elsewhere")], b"no")
            answer = ask()
            assert answer.status == expected, said
            assert (answer["www-authenticate"] == "Bearer x") == (said == 401)
        assert len(backend.requests) == reached
        answers["now"] = (200, [], b"x" * 200000)  # its body is of no interest
        for _ in range(5):
            assert ask().status == 200
        # When a method is given, two fields more.
        server.reload(proxied(port, backend.url, {"external_auth": {"to": judge.url, "method": "POST", "host": "auth.example"}}))
        assert ask().status == 200
        head = judge.heads()[-1].lower()
        assert head.startswith("post / ") and "\r\nhost: auth.example\r\n" in head and "\r\nx-original-uri: /echo/a?who=me\r\n" in head


def test_external_auth_fails_closed(start, backend):
    port = free_port()
    dead = f"http://127.0.0.1:{free_port()}"
    server = start(proxied(port, backend.url, {"external_auth": {"to": dead}}))
    assert fetch(port, "/echo").status == 500 and not backend.requests
    server.reload(proxied(port, backend.url, {"external_auth": {"to": dead, "fail_open": True}}))
    assert fetch(port, "/echo").status == 200
    with Backend() as judge:
        count = len(backend.requests)
        for path in ("/hang", "/close", "/garbage", "/reset"):
            server.reload(proxied(port, backend.url, {"external_auth": {"to": judge.url, "path": path, "timeout": 0.5}}))
            assert fetch(port, "/echo").status == 500, path
        assert len(backend.requests) == count


def test_sign_in(start, backend):
    with Scripted(lambda method, target, fields: (401, [("Set-Cookie", "csrf=1")], b"")) as judge:
        port = free_port()
        rule = {"external_auth": {"to": judge.url, "sign_in": "https://login.example/start"}}
        server = start(proxied(port, backend.url, rule))
        answer = fetch(port, "/a b?x=1&y=/z".replace(" ", "%20"), authority="shop.example")
        assert answer.status == 302 and answer.all("set-cookie") == ["csrf=1"]
        assert answer["location"] == "https://login.example/start?rd=http://shop.example%2Fa%2520b%3Fx%3D1%26y%3D%2Fz"
        rule["external_auth"]["sign_in"] = "https://login.example/start?theme=dark"
        rule["external_auth"]["sign_in_parameter"] = "next"
        server.reload(proxied(port, backend.url, rule))
        assert fetch(port, "/", authority="shop.example")["location"] == "https://login.example/start?theme=dark&next=http://shop.example%2F"
        rule["external_auth"]["sign_in"] = "https://login.example/start?next=$scheme"
        server.reload(proxied(port, backend.url, rule))
        assert fetch(port, "/", authority="shop.example")["location"] == "https://login.example/start?next=http"
        judge.say = lambda method, target, fields: (403, [], b"")
        assert fetch(port, "/").status == 403


# -- limits

def test_rate_limit_bursts_like_nginx(start):
    port = free_port()
    more = {"trusted_proxies": ["127.0.0.1"]}
    limit = {"requests": 1, "period": 3600, "burst": 50, "status": 503, "exempt": "10.0.0.0/8"}
    server = start(config(port, {"rate_limit": limit}, **more), workers=2)

    def statuses(client, count):
        with Raw(port) as one:
            return [one.request("/", headers=[("X-Forwarded-For", client)]).status for _ in range(count)]

    assert statuses("192.0.2.1", 60) == [200] * 51 + [503] * 9
    assert statuses("192.0.2.2", 51) == [200] * 51  # each client has its own
    assert statuses("10.1.2.3", 60) == [200] * 60
    assert statuses("2001:db8::1", 30) + statuses("2001:db8::ffff", 30) == [200] * 51 + [503] * 9  # one network, one client
    assert statuses("2001:db8:0:1::1", 5) == [200] * 5
    server.reload(config(port, {"rate_limit": limit}, **more))
    assert statuses("192.0.2.1", 1) == [503]  # what was used stays used
    server.reload(config(port, {"rate_limit": {**limit, "dry_run": True}}, **more))
    assert statuses("192.0.2.1", 5) == [200] * 5
    server.wait_log("over the rate limit")
    server.reload(config(port, {"rate_limit": [{"requests": 2, "period": 3600, "key": "$header_x_key", "name": "keys"}]}, **more))
    answers = [fetch(port, headers=[("X-Key", "a")]) for _ in range(3)]
    assert [one.status for one in answers] == [200, 429, 429] and int(answers[2]["retry-after"]) >= 1700
    assert fetch(port, headers=[("X-Key", "b")]).status == 200 and fetch(port).status == 200  # nothing to count by


def test_rate_limit_comes_before_access(start):
    port = free_port()
    start(config(port, {"rate_limit": {"requests": 1, "period": 3600}, "basic_auth": {"users": {"a": htpasswd("sha1", "b")}}}))
    assert [fetch(port).status for _ in range(3)] == [401, 429, 429]


def test_connection_limit(start, backend):
    port = free_port()
    start(proxied(port, backend.url, {"limit_connections": {"connections": 2}}), workers=2)
    waiting = [Raw(port) for _ in range(2)]
    for one in waiting:
        one.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_for(lambda: sum("/hang" in head for head in backend.heads()) == 2, 5, "both at the target")
    assert fetch(port, "/echo").status == 503
    waiting.pop().close()
    wait_for(lambda: fetch(port, "/echo").status == 200, 5, "the place is free again")
    waiting.pop().close()


def test_body_limit(start, backend):
    port = free_port()
    start(proxied(port, backend.url, {"body_limit": 1000, "basic_auth": {"users": {"a": htpasswd("sha1", "b")}}}))
    assert fetch(port, "/echo", "POST", [], b"x" * 1001).status == 413  # before the password
    assert fetch(port, "/echo", "POST", [basic("a", "b")], b"x" * 1000).status == 200


def test_bandwidth(start, backend):
    port = free_port()
    start(proxied(port, backend.url, {"bandwidth": {"bytes_per_second": 100000, "after": 50000}}))
    with Raw(port, timeout=20) as client:
        began = time.monotonic()
        client.send("GET /bytes/150000 HTTP/1.1\r\nHost: a\r\n\r\n")
        while len(client.buffer) < 50000:
            client._more()
        fast = time.monotonic() - began
        assert len(client.response().body) == 150000
        assert time.monotonic() - began >= 0.7 > fast


# -- error pages

def test_error_pages_from_another_server(start, backend):
    def say(method, target, fields):
        return int(fields["x-code"]) if fields["x-code"] != "502" else 200, [("X-Page", "1"), ("Content-Type", "text/plain")], \
            json.dumps([method, target, fields]).encode()

    with Scripted(say) as pages:
        port = free_port()
        rule = {"error_pages": {"statuses": [404, 502, 503], "to": pages.url, "headers": {"X-Namespace": "shop", "X-Service-Port": "80"}}}
        server = start(proxied(port, backend.url, rule))
        answer = fetch(port, "/status/404?q=1", "POST", [("Accept", "text/html"), ("X-Own", "1"), ("If-None-Match", '"x"')], b"gone",
                       authority="shop.example")
        assert answer.status == 404 and answer["x-page"] == "1" and answer["x-backend"] is None
        method, target, fields = json.loads(answer.body)
        assert (method, target) == ("POST", "/") and fields["host"] == "shop.example" and fields["x-own"] == "1"
        assert fields["x-code"] == "404" and fields["x-format"] == "text/html" and fields["x-original-uri"] == "/status/404?q=1"
        assert fields["x-namespace"] == "shop" and fields["x-service-port"] == "80" and len(fields["x-request-id"]) == 32
        assert fields.get("content-length", "0") == "0" and "if-none-match" not in fields, "the body was for the application"
        assert fetch(port, "/reset").status == 200  # its own idea of a 502
        assert fetch(port, "/status/500").body == b"as asked" and fetch(port, "/echo").status == 200
        assert fetch(port, "/status/404", "HEAD").status == 404
        with Raw(port) as client:  # the connection goes on
            for _ in range(5):
                assert client.request("/status/404")["x-page"] == "1" and client.request("/echo")["x-page"] is None
        rule["error_pages"]["upstream_errors"] = False
        server.reload(proxied(port, backend.url, rule))
        assert fetch(port, "/status/404").body == b"as asked" and fetch(port, "/reset")["x-page"] == "1"
        # Nobody makes pages: the first status, with our own text.
        server.reload(proxied(port, backend.url, {"error_pages": {"statuses": 404, "to": f"http://127.0.0.1:{free_port()}"}}))
        answer = fetch(port, "/status/404")
        assert answer.status == 404 and b"Not Found" in answer.body
        server.reload(proxied(port, backend.url, {"error_pages": {"statuses": [404], "body": "<p>lost</p>"}, "cors": {}}))
        answer = fetch(port, "/status/404", headers=[("Origin", "https://a.example")])
        assert answer.status == 404 and answer.body == b"<p>lost</p>" and answer["content-type"] == "text/html"
        assert answer["access-control-allow-origin"] is not None  # filters see the page


# -- mirror

def test_mirror(start, backend):
    with Backend(name="shadow") as shadow:
        port = free_port()
        rule = {"mirror": {"to": shadow.url, "host": "shadow.example", "path": "/echo/copy$request_uri"}}
        server = start(proxied(port, backend.url, rule))
        body = b"m" * 300000
        answer = fetch(port, "/echo?x=1", "POST", [("X-Own", "1")], body)
        assert answer.status == 200 and answer["x-backend"] == "app"
        wait_for(lambda: len(shadow.requests) == 1, 5, "the copy")
        _, head, copied = shadow.requests[0]
        assert head.startswith("POST /echo/copy/echo?x=1 ") and "\r\nHost: shadow.example\r\n" in head and "\r\nX-Own: 1\r\n" in head
        assert "\r\nContent-Length: 300000\r\n" in head and copied == body[:65536]
        for index in range(20):
            assert fetch(port, f"/echo/{index}").status == 200
        wait_for(lambda: len(shadow.requests) == 21, 5, "the other copies")
        server.reload(proxied(port, backend.url, {"mirror": {"to": shadow.url, "percent": 25, "body": False}}))
        for _ in range(200):
            assert fetch(port, "/echo", "POST", [], b"x").status == 200
        wait_for(lambda: len(shadow.requests) >= 41, 5, "a fifth of them at the very least")
        copies = shadow.requests[21:]
        assert len(copies) <= 85 and all(not kept for _, _, kept in copies)


def test_mirrors_are_never_waited_for(start, backend):
    with Backend(name="shadow") as shadow:
        port = free_port()
        server = start(proxied(port, backend.url, {"mirror": {"to": shadow.url, "path": "/hang"}}))
        began = time.monotonic()
        with Raw(port, timeout=20) as client:
            for _ in range(400):
                assert client.request("/echo").status == 200
        assert fetch(port, "/sink", "POST", [], b"x" * (8 << 20), timeout=20).body == str(8 << 20).encode()
        assert time.monotonic() - began < 15
        assert shadow.connections <= 260  # the others were dropped
        server.reload(proxied(port, backend.url, {"mirror": {"to": f"http://127.0.0.1:{free_port()}"}}))
        for _ in range(20):
            assert fetch(port, "/echo", "POST", [], b"x" * 10000).status == 200
        # A client that leaves in the middle of its body.
        with Raw(port) as client:
            client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + "x" * 1000)
        assert fetch(port, "/echo").status == 200


# -- hsts, compression

def test_hsts_only_by_https(start):
    port = free_port()
    server = start(config(port, {"hsts": {}}, trusted_proxies=["127.0.0.1"]))
    assert fetch(port)["strict-transport-security"] is None
    answer = fetch(port, headers=[("X-Forwarded-Proto", "https")])
    assert answer["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    server.reload(config(port, {"hsts": {"max_age": 63072000, "include_subdomains": False, "preload": True}}, trusted_proxies=["127.0.0.1"]))
    answer = fetch(port, headers=[("X-Forwarded-Proto", "https")])
    assert answer["strict-transport-security"] == "max-age=63072000; preload"


TEXT = "".join(f"line {i} of a text that can be made smaller\n" for i in range(20000))


def curl(port, coding, path="/"):
    return subprocess.run(["curl", "-sS", "--compressed", "-H", f"Accept-Encoding: {coding}", f"http://127.0.0.1:{port}{path}"],
                          capture_output=True, check=True).stdout


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip"])
def test_compression(start, tmp_path, coding):
    (tmp_path / "a.txt").write_text(TEXT)
    port = free_port()
    start({"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
           "dispatch": [{"listener": "web", "handler": "static", "path": "/files/**", "strip_prefix": "/files", "root": str(tmp_path), "compress": {}},
                        {"listener": "web", "handler": "respond", "path": "/", "body": TEXT, "headers": {"Content-Type": "text/plain"}, "compress": {}},
                        {"listener": "web", "handler": "respond", "path": "/done", "body": TEXT,
                         "headers": {"Content-Type": "text/plain", "Content-Encoding": "x-own"}, "compress": {}}]})
    for path in ("/", "/files/a.txt", "/files/a.txt"):
        answer = fetch(port, path, headers=[("Accept-Encoding", coding)])
        assert answer["content-encoding"] == coding and "Accept-Encoding" in answer["vary"] and len(answer.body) < len(TEXT) / 5
        assert curl(port, coding, path).decode() == TEXT
    assert fetch(port, "/done", headers=[("Accept-Encoding", coding)])["content-encoding"] == "x-own"
    assert fetch(port, "/", headers=[("Accept-Encoding", f"{coding};q=0, identity")])["content-encoding"] is None


def test_compression_by_weight(start):
    port = free_port()
    start(config(port, {"body": TEXT, "headers": {"Content-Type": "text/plain"}, "compress": {"encodings": ["zstd", "br", "gzip"]}}))
    for accepted, chosen in [("gzip, br, zstd", "zstd"), ("gzip;q=1, br;q=0.5", "gzip"), ("zstd;q=0.1, br;q=0.9, gzip;q=0.2", "br"),
                             ("*", "zstd"), ("*;q=0.5, zstd;q=0", "br"), ("identity", None), ("", None), ("identity, gzip;q=0.5", None)]:
        assert fetch(port, headers=[("Accept-Encoding", accepted)])["content-encoding"] == chosen, accepted


# -- request buffering

def test_request_buffering(start, backend, tmp_path):
    port = free_port()
    server = start(proxied(port, backend.url, {"request_buffering": True}, temp_dir=str(tmp_path), limits={"body": 100 << 20}))
    with Raw(port) as client:
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        time.sleep(0.3)
        assert not backend.requests and backend.connections == 0  # nothing before all is here
        client.send("6\r\nsecond\r\n0\r\n\r\n")
        assert json.loads(client.response().body)["size"] == 11
    assert "content-length: 11\r\n" in backend.heads()[-1].lower() and "transfer-encoding" not in backend.heads()[-1].lower()
    before = memory_kib(server.serving_pid(), "Private_Dirty")
    assert fetch(port, "/sink", "POST", [], b"z" * (40 << 20), timeout=30).body == str(40 << 20).encode()
    assert memory_kib(server.serving_pid(), "Private_Dirty") - before < 8192
    assert not list(tmp_path.iterdir())  # the file had no name
    assert fetch(port, "/echo").status == 200 and fetch(port, "/echo", "POST", [], b"").status == 200


def test_buffered_requests_can_be_repeated(start):
    with Backend(name="good") as good, Backend(name="bad") as bad:
        port = free_port()
        start(proxied(port, "upstream://app", {"request_buffering": True},
                      upstreams={"app": {"targets": [f"http://127.0.0.1:{free_port()}", good.url]}}))
        for _ in range(6):
            answer = fetch(port, "/sink", "PUT", [], b"p" * (2 << 20), timeout=20)
            assert answer.status == 200 and answer.body == str(2 << 20).encode()
        assert not bad.requests


def test_no_room_for_the_body_is_503(start, backend, tmp_path):
    port = free_port()
    start(proxied(port, backend.url, {"request_buffering": True}, temp_dir=str(tmp_path / "missing")))
    assert fetch(port, "/echo", "POST", [], b"s" * 1000).status == 200
    assert fetch(port, "/echo", "POST", [], b"l" * (3 << 20), timeout=20).status == 503


def test_refused_files(start):
    port = free_port()
    server = start(config(port, {}))
    for rule, said in [({"basic_auth": {}}, "at least one user"), ({"basic_auth": {"users": {"a": "plain"}}}, "hash"),
                       ({"basic_auth": {"users": {"a": "$2y$31$" + "a" * 53}}}, "bcrypt"), ({"rate_limit": {}}, "requests"),
                       ({"rate_limit": {"requests": 1, "key": "$nonsense"}}, "nonsense"),
                       ({"external_auth": {"to": "upstream://none"}}, "no upstream"),
                       ({"error_pages": {"statuses": 404}}, "either an upstream or a body"), ({"mirror": {}}, "to"),
                       ({"satisfy": "some"}, "any"), ({"compress": {"encodings": "lzma"}}, "zstd"), ({"allow": "10.0.0.0/99"}, "CIDR"),
                       ({"external_auth": {"to": "http://127.0.0.1:1", "response_headers": "Content-Length"}}, "framing")]:
        assert said in server.reload(config(port, rule), expect=1), rule
    assert fetch(port).body == b"through\n"
