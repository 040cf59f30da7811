"""HTTP/1.x towards clients: framing, keep-alive, and the table of refusals on raw sockets."""
import subprocess
import time

import pytest

from clients import Raw, fetch
from headgate import free_port, memory_kib

LIMITS = {"header": 32768, "fields": 128, "target": 8192, "body": 100000}


@pytest.fixture(scope="module")
def site(start_shared, shared_backend, tmp_path_factory):
    root = tmp_path_factory.mktemp("www")
    (root / "index.html").write_text("<h1>index</h1>\n")
    port = free_port()
    server = start_shared({
        "listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
        "limits": LIMITS,
        "timeouts": {"header": 1, "body": 1, "idle": 2},
        "dispatch": [
            {"listener": "web", "handler": "static", "root": str(root), "index": "index.html"},
            {"listener": "web", "handler": "echo", "path": "/echo"},
            {"listener": "web", "handler": "respond", "path": "/hello", "status": 200, "body": "hello\n"},
            {"listener": "web", "handler": "respond", "path": "/nothing", "status": 204},
            {"listener": "web", "handler": "proxy", "path": "/app/**", "proxy_pass": shared_backend.url, "strip_prefix": "/app"},
        ]})
    server.port = port
    return server


def test_keep_alive(site):
    with Raw(site.port) as client:
        for _ in range(50):
            answer = client.request("/hello")
            assert (answer.status, answer.body) == (200, b"hello\n")
            assert answer["connection"] in (None, "keep-alive")
            assert answer["date"] and answer["content-length"] == "6"


def test_connection_close_is_honoured(site):
    with Raw(site.port) as client:
        answer = client.request("/hello", headers=[("Connection", "close")])
        assert answer.status == 200 and answer["connection"] == "close"
        assert client.is_closed()


def test_http10(site):
    with Raw(site.port) as client:
        answer = client.send("GET /hello HTTP/1.0\r\n\r\n").response()  # no Host needed
        assert answer.status == 200 and answer.body == b"hello\n"
        assert client.is_closed()
    with Raw(site.port) as client:
        for _ in range(3):
            answer = client.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").response()
            assert answer.status == 200 and answer["connection"] == "keep-alive"
    with Raw(site.port) as client:  # a client of 1.0 is never sent chunks
        answer = client.send("GET /app/chunked/20000 HTTP/1.0\r\n\r\n").response()
        assert answer["transfer-encoding"] is None and answer.body == b"c" * 20000


def test_pipelining_keeps_the_order(site):
    targets = ["/hello", "/app/echo?n=1", "/", "/nothing", "/app/bytes/70000", "/app/slow/0.2", "/hello"] * 3
    with Raw(site.port) as client:
        client.send("".join(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n" for target in targets))
        for target in targets:
            answer = client.response()
            assert answer.status == (204 if target == "/nothing" else 200), target
            if target.startswith("/app/echo"):
                assert b'"/echo?n=1"' in answer.body
            if target == "/app/bytes/70000":
                assert len(answer.body) == 70000


def test_requests_in_single_bytes(site):
    with Raw(site.port) as client:
        for byte in b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
            client.send(bytes([byte]))
        assert client.response().body == b"abc"
        assert client.request("/hello").status == 200


def test_bodies_with_a_length_and_in_chunks(site):
    body = bytes(range(256)) * 200
    with Raw(site.port) as client:
        answer = client.request("/echo", "POST", [("Content-Type", "application/x-test")], body)
        assert (answer.status, answer.body) == (200, body)
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 1000):
            piece = body[start:start + 1000]
            client.send(b"%X;name=value\r\n%b\r\n" % (len(piece), piece))
        client.send("0\r\nX-Trailer: t\r\n\r\n")
        assert client.response().body == body
        assert client.request("/hello").status == 200


def test_head_has_the_fields_of_get_and_no_body(site):
    with Raw(site.port) as client:
        for target in ("/hello", "/", "/app/bytes/500", "/app/chunked/500", "/nosuchfile"):
            got = client.request(target)
            head = client.request(target, "HEAD")
            assert head.status == got.status
            for name in ("content-type", "etag", "last-modified", "content-length"):
                if name != "content-length" or got[name]:
                    assert head[name] == got[name], (target, name)


def test_options_and_methods(site):
    with Raw(site.port) as client:
        answer = client.request("*", "OPTIONS")
        assert answer.status in (200, 204)
        answer = client.request("/", "OPTIONS")
        assert answer.status in (200, 204) and "GET" in answer["allow"] and "HEAD" in answer["allow"]
        answer = client.request("/", "DELETE")
        assert answer.status == 405 and "GET" in answer["allow"]
        assert client.request("/hello").status == 200


def test_expect_100_continue(site):
    with Raw(site.port) as client:
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.read_line() == "HTTP/1.1 100 Continue"
        assert client.read_line() == ""
        answer = client.send("hello").response()
        assert (answer.status, answer.body) == (200, b"hello")
        # The answer is already known: no 100, and the body need not come.
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\nExpect: 100-continue\r\n\r\n")
        answer = client.response()
        assert answer.status == 413 and answer.interim == []


def test_absolute_form_and_host(site):
    with Raw(site.port) as client:
        answer = client.send("GET http://other.example/app/echo HTTP/1.1\r\nHost: ignored\r\n\r\n").response()
        assert answer.status == 200
        assert b"other.example" in answer.body and b"ignored" not in answer.body


def test_interim_answers_pass(site):
    with Raw(site.port) as client:
        answer = client.request("/app/hints")
        assert answer.status == 200 and answer.interim == [103] and answer.body == b"after hints"


def test_trailers_pass(site):
    with Raw(site.port) as client:
        answer = client.request("/app/chunked/3000", headers=[("TE", "trailers")])
        assert answer.body == b"c" * 3000 and answer.trailers == [("x-sum", "done")]


def head(*lines, first="GET /hello HTTP/1.1", host="Host: a"):
    return "\r\n".join(line for line in (first, host, *lines) if line) + "\r\n\r\n"


CHUNKED = "Transfer-Encoding: chunked"
POST = "POST /app/sink HTTP/1.1"  # answers after the whole body, so that a refusal can still be the answer
REFUSED = [
    # name, bytes, allowed statuses
    ("no host", head(host=""), {400}),
    ("two hosts", head("Host: b"), {400}),
    ("host with a space", head(host="Host: a b"), {400}),
    ("host list", head(host="Host: a,b"), {400}),
    ("bare LF between lines", "GET /hello HTTP/1.1\nHost: a\n\n", {400}),
    ("bare LF in the head", "GET /hello HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", {400}),
    ("CR CR LF", "GET /hello HTTP/1.1\r\r\nHost: a\r\n\r\n", {400}),
    ("bare CR in a value", head("X: a\rb"), {400}),
    ("NUL in a value", head("X: a\0b"), {400}),
    ("NUL in the target", head(first="GET /a\0b HTTP/1.1"), {400}),
    ("control character in a value", head("X: a\x01b"), {400}),
    ("folded line", head("X: a", " b"), {400}),
    ("folded first line", "GET /hello HTTP/1.1\r\n Host: a\r\n\r\n", {400}),
    ("space before the colon", head("X : a"), {400}),
    ("empty name", head(": a"), {400}),
    ("no colon", head("Nothing"), {400}),
    ("high byte in a name", head("X\xe9: a"), {400}),
    ("two spaces", head(first="GET  /hello HTTP/1.1"), {400}),
    ("tab", head(first="GET\t/hello HTTP/1.1"), {400}),
    ("space in the target", head(first="GET /a b HTTP/1.1"), {400}),
    ("no version", "GET /hello\r\n\r\n", {400, 505}),
    ("version with two digits", head(first="GET /hello HTTP/1.32"), {400, 505}),
    ("version in lower case", head(first="GET /hello http/1.1"), {400}),
    ("version 2.0", head(first="GET /hello HTTP/2.0"), {505}),
    ("version 3.0", head(first="GET /hello HTTP/3.0"), {505}),
    ("not a target", head(first="GET hello HTTP/1.1"), {400}),
    ("fragment", head(first="GET /hello#top HTTP/1.1"), {400}),
    ("bad escape", head(first="GET /%zz HTTP/1.1"), {400}),
    ("escaped NUL", head(first="GET /a%00b HTTP/1.1"), {400}),
    ("method in lower case", head(first="get /hello HTTP/1.1"), {400, 501}),
    ("unknown method", head(first="BREW / HTTP/1.1"), {405, 501}),
    ("length and chunks", head("Content-Length: 3", CHUNKED, first=POST) + "0\r\n\r\n", {400}),
    ("two lengths", head("Content-Length: 3", "Content-Length: 4", first=POST) + "abcd", {400}),
    ("list of lengths", head("Content-Length: 3, 3", first=POST) + "abc", {400}),
    ("length +1", head("Content-Length: +1", first=POST) + "a", {400}),
    ("length -1", head("Content-Length: -1", first=POST) + "a", {400}),
    ("length 0x1", head("Content-Length: 0x1", first=POST) + "a", {400}),
    ("empty length", head("Content-Length:", first=POST), {400}),
    ("length with a space", head("Content-Length: 1 2", first=POST) + "a", {400}),
    ("length above 2^64", head("Content-Length: 18446744073709551617", first=POST) + "a", {400, 413}),
    ("xchunked", head("Transfer-Encoding: xchunked", first=POST), {400, 501}),
    ("identity", head("Transfer-Encoding: identity", first=POST), {400, 501}),
    ("gzip, chunked", head("Transfer-Encoding: gzip, chunked", first=POST), {400, 501}),
    ("chunked twice", head(CHUNKED, CHUNKED, first=POST) + "0\r\n\r\n", {400, 501}),
    ("chunked, then identity", head("Transfer-Encoding: chunked, identity", first=POST) + "0\r\n\r\n", {400, 501}),
    ("vertical tab before chunked", head("Transfer-Encoding: \x0bchunked", first=POST) + "0\r\n\r\n", {400, 501}),
    ("chunks in 1.0", head(CHUNKED, first="POST /app/sink HTTP/1.0") + "0\r\n\r\n", {400}),
    ("chunk size +1", head(CHUNKED, first=POST) + "+1\r\na\r\n0\r\n\r\n", {400}),
    ("chunk size 0x1", head(CHUNKED, first=POST) + "0x1\r\na\r\n0\r\n\r\n", {400}),
    ("empty chunk size", head(CHUNKED, first=POST) + "\r\na\r\n0\r\n\r\n", {400}),
    ("chunk size overflow", head(CHUNKED, first=POST) + "fffffffffffffffff\r\na\r\n", {400, 413}),
    ("chunk longer than its size", head(CHUNKED, first=POST) + "1\r\nab\r\n0\r\n\r\n", {400}),
    ("bare LF after a chunk size", head(CHUNKED, first=POST) + "1\na\r\n0\r\n\r\n", {400}),
    ("bare LF after a chunk", head(CHUNKED, first=POST) + "1\r\na\n0\r\n\r\n", {400}),
    ("body above the limit", head("Content-Length: 100001", first=POST), {413}),
    ("chunks above the limit", head(CHUNKED, first=POST) + "10000\r\n" + "a" * 65536 + "\r\n10000\r\n" + "a" * 65536 + "\r\n", {413}),
    ("target above the limit", head(first="GET /" + "a" * 8200 + " HTTP/1.1"), {414}),
    ("unknown expectation", head("Expect: something", "Content-Length: 1", first=POST), {417}),
    ("head above the limit", head("X: " + "a" * 33000), {431}),
    ("129 fields", head(*(f"X-{i}: a" for i in range(129))), {431}),
    ("name of 20 KiB, no end", "GET / HTTP/1.1\r\nHost: a\r\n" + "a" * 40000, {431, 400}),
]


@pytest.mark.parametrize(("sent", "statuses"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(site, sent, statuses):
    with Raw(site.port) as client:
        client.send(sent)
        answer = client.response()
        assert answer.status in statuses, (answer.status, answer.body)
        if answer.status not in (405, 501, 417):  # framing is not to be trusted any more
            assert client.is_closed()
    assert fetch(site.port, "/hello").status == 200


@pytest.mark.parametrize("sent", [
    "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 000\r\n\r\n",
    "GET /hello HTTP/1.1\r\nHost:a\r\nX:\r\n\r\n",
    "\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n",  # RFC 9112 2.2: one empty line before is to be ignored
    "GET /hello HTTP/1.1\r\nHost: a\r\nX: \xe9\xff\r\n\r\n",
    "GET /hello?q=%2f&a=b HTTP/1.1\r\nhOST: A\r\n\r\n",
    "GET /hello HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
], ids=["leading zeros", "no space", "empty line first", "high bytes in a value", "query", "IPv6 host"])
def test_accepted(site, sent):
    with Raw(site.port) as client:
        assert client.send(sent).response().status == 200


def test_limits_are_exact(site):
    with Raw(site.port) as client:
        assert client.request("/echo", "POST", body=b"a" * LIMITS["body"]).status == 200
    with Raw(site.port) as client:
        target = "/hello?" + "a" * (LIMITS["target"] - len("/hello?"))
        assert client.request(target).status == 200
    with Raw(site.port) as client:  # Host is one of the 128
        assert client.request("/hello", headers=[(f"X-{i}", "a") for i in range(LIMITS["fields"] - 1)]).status == 200


def test_slow_head_is_408(site):
    began = time.monotonic()
    with Raw(site.port) as client:
        client.send("GET /hello HTTP/1.1\r\nHost: a\r\n")
        for _ in range(3):  # bytes now and then do not extend the deadline
            time.sleep(0.3)
            client.send("X: y\r\n")
        answer = client.response()
        assert answer.status == 408 and client.is_closed()
    assert 0.9 < time.monotonic() - began < 3


def test_slow_body_is_408(site):
    with Raw(site.port) as client:
        client.send("POST /app/sink HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab")
        assert client.response().status == 408
        assert client.is_closed()


def test_idle_connection_is_closed_in_silence(site):
    with Raw(site.port) as client:
        assert client.request("/hello").status == 200
        began = time.monotonic()
        assert client.is_closed(5)
        assert 1.5 < time.monotonic() - began < 4


def test_unread_body_is_not_the_next_request(site):
    with Raw(site.port) as client:
        body = "GET /app/echo?smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        client.send(f"GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        client.send("GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert client.response().status == 200
        assert client.response().status == 204
        assert client.is_closed()


def test_ab(site):
    for options in ([], ["-k"]):
        result = subprocess.run(["ab", "-q", *options, "-n", "3000", "-c", "20", f"http://127.0.0.1:{site.port}/hello"],
                                capture_output=True, text=True, timeout=30, check=True)
        assert "Complete requests:      3000" in result.stdout, result.stdout
        assert "Failed requests:        0" in result.stdout, result.stdout
        assert "Non-2xx" not in result.stdout, result.stdout


def test_wrk(site):
    result = subprocess.run(["wrk", "-t1", "-c64", "-d2s", f"http://127.0.0.1:{site.port}/"], capture_output=True, text=True,
                            timeout=20, check=True)
    assert "Socket errors" not in result.stdout and "Non-2xx" not in result.stdout, result.stdout


def test_curl(site):
    result = subprocess.run(["curl", "-sS", "--fail", f"http://127.0.0.1:{site.port}/app/echo", "-d", "a=b", "-H", "X-Test: yes"],
                            capture_output=True, text=True, timeout=10, check=True)
    assert '"method": "POST"' in result.stdout and '["X-Test", "yes"]' in result.stdout


@pytest.mark.memory
def test_idle_connections_cost_little(start):
    port = free_port()
    server = start({"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
                    "dispatch": [{"listener": "web", "handler": "respond", "status": 200, "body": "x"}]})
    count, clients = 1500, []
    try:
        for _ in range(100):  # what is allocated once
            clients.append(Raw(port))
            clients[-1].request("/")
        before = memory_kib(server.serving_pid(), "Private_Dirty")
        for _ in range(count):
            clients.append(Raw(port))
            clients[-1].request("/")
        grown = (memory_kib(server.serving_pid(), "Private_Dirty") - before) * 1024 / count
        assert grown <= 1024, f"{grown:.0f} bytes per idle connection"
    finally:
        for client in clients:
            client.close()
