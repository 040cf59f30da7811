"""Towards endpoints that speak HTTP/2: an exchange is the same whatever either side speaks; streams are shared, refused,
abandoned and timed out without harm to others; tunnels in all combinations."""
import dataclasses
import hashlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

from backends import Backend, WebSocketBackend
from certificates import Authority
from clients import Closed, Raw
from headgate import free_port, wait_for

pytest.importorskip("h2.config", reason="needs python3-h2")
from http2_backend import Http2Backend  # noqa: E402
import h2.config  # noqa: E402
import h2.connection  # noqa: E402
import h2.events  # noqa: E402
import h2.settings  # noqa: E402


@dataclasses.dataclass
class Seen:
    """An exchange as its client saw it."""
    status: int = 0
    fields: list = dataclasses.field(default_factory=list)
    body: bytes = b""
    trailers: list = dataclasses.field(default_factory=list)
    interim: list = dataclasses.field(default_factory=list)
    whole: bool = False

    def same(self):
        """What must not depend on the version."""
        own = ("date", "connection", "transfer-encoding", "trailer")
        return (self.status, sorted(field for field in self.fields if field[0] not in own), self.body, self.trailers,
                self.interim, self.whole)


def ask1(port, path, method="GET", fields=(), body=None, trailers=(), pace=0.0):
    with Raw(port) as client:
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in fields)]
        seen = Seen()
        if body is not None and trailers:
            lines += ["Transfer-Encoding: chunked", "Trailer: " + ", ".join(name for name, _ in trailers)]
            end = b"0\r\n" + b"".join(f"{name}: {value}\r\n".encode() for name, value in trailers) + b"\r\n"
            body = b"%x\r\n%b\r\n" % (len(body), body) + end
        elif body is not None:
            lines.append(f"Content-Length: {len(body)}")
        client.send("\r\n".join(lines).encode() + b"\r\n\r\n")

        def upload():
            try:
                client.send(body)
            except OSError:
                pass  # an early answer

        uploader = threading.Thread(target=upload) if body else None
        if uploader:
            uploader.start()
        if pace:
            time.sleep(pace)
        try:
            answer = client.response(method)
            seen = Seen(answer.status, answer.headers, answer.body, answer.trailers, answer.interim, True)
        except Closed:
            pass
        except OSError:
            pass
        if uploader:
            client.socket.shutdown(socket.SHUT_RDWR) if seen.whole and uploader.is_alive() else None
            uploader.join(10)
        return seen


class Client2:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.seen, self.over, self.settings = {}, set(), {}
        self.closed = False
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def flush(self):
        try:
            self.socket.sendall(self.h2.data_to_send())
        except OSError:
            self.closed = True

    def begin(self, path, method="GET", fields=(), end=True):
        stream = self.h2.get_next_available_stream_id()
        self.seen[stream] = Seen()
        self.h2.send_headers(stream, [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path),
                                      *((name.lower(), value) for name, value in fields)], end_stream=end)
        self.flush()
        return stream

    def note(self, event):
        seen = self.seen.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings.update({code: change.new_value for code, change in event.changed_settings.items()})
        if seen is None:
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            seen.interim.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.ResponseReceived):
            seen.status = int(dict(event.headers)[":status"])
            seen.fields = [(name, value) for name, value in event.headers if name != ":status"]
        elif isinstance(event, h2.events.DataReceived):
            seen.body += event.data
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            seen.trailers = [tuple(field) for field in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            seen.whole = True
            self.over.add(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.over.add(event.stream_id)

    def read(self, until, seconds=10):
        deadline = time.monotonic() + seconds
        while not until() and not self.closed:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            data = self.socket.recv(65536)
            if not data:
                self.closed = True
            for event in self.h2.receive_data(data) if data else ():
                self.note(event)
            self.flush()
        return self

    def upload(self, stream, body):
        while body and stream not in self.over:
            size = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body))
            if size <= 0:
                before = self.h2.local_flow_control_window(stream)
                self.read(lambda: stream in self.over or self.h2.local_flow_control_window(stream) != before)
                continue
            self.h2.send_data(stream, body[:size])
            self.flush()
            body = body[size:]
        return stream not in self.over

    def finish(self, *streams):
        self.read(lambda: self.over.issuperset(streams))
        return [self.seen[stream] for stream in streams]


def ask2(port, path, method="GET", fields=(), body=None, trailers=(), pace=0.0):
    with Client2(port) as client:
        if body is not None and not trailers:
            fields = [*fields, ("content-length", str(len(body)))]
        stream = client.begin(path, method, fields, end=body is None)
        if body is not None and client.upload(stream, body):
            if trailers:
                client.h2.send_headers(stream, trailers, end_stream=True)
            else:
                client.h2.end_stream(stream)
            client.flush()
        if pace:
            time.sleep(pace)
        return client.finish(stream)[0]


ASK = {"h1": ask1, "h2": ask2}


class Site:
    def __init__(self, start):
        self.port = free_port()
        self.backends = {"h1": Backend(), "h2": Http2Backend()}
        name = f"http://127.0.0.1:{self.port}"
        self.server = start({
            "listen": [name], "timeouts": {"response": 3},
            "dispatch": [
                {"listener": name, "handler": "proxy", "path": "/h1/**", "strip_prefix": "/h1",
                 "proxy_pass": f"http://127.0.0.1:{self.backends['h1'].port}"},
                {"listener": name, "handler": "proxy", "path": "/h2/**", "strip_prefix": "/h2",
                 "proxy_pass": f"h2c://127.0.0.1:{self.backends['h2'].port}"}]})


@pytest.fixture(scope="module")
def site(start_shared):
    site = Site(start_shared)
    yield site
    for backend in site.backends.values():
        backend.close()


@pytest.fixture(autouse=True)
def only_ours(request):
    if "site" in request.fixturenames:
        site = request.getfixturevalue("site")
        site.backends["h1"].pace = site.backends["h2"].pace = 0.0


BIG = os.urandom(1 << 20) * 3

EXCHANGES = {
    "small": ("/bytes/5", {}),
    "empty": ("/bytes/0", {}),
    "large": ("/bytes/3000000", {}),
    "head": ("/bytes/1000", {"method": "HEAD"}),
    "no content": ("/status/204", {}),
    "not modified": ("/status/304", {}),
    "not found": ("/status/404", {}),
    "unknown length and trailers": ("/chunked/100000", {}),
    "in pieces": ("/trickle/5", {}),
    "early hints": ("/hints", {}),
    "upload": ("/sink", {"method": "POST", "body": b"x" * 1000}),
    "large upload": ("/sink", {"method": "PUT", "body": BIG}),
    "upload of no known length, with trailers": ("/sink", {"method": "POST", "body": b"y" * 70000,
                                                          "trailers": [("x-sum", "1")]}),
    "empty upload": ("/sink", {"method": "POST", "body": b""}),
    "slow client": ("/bytes/3000000", {"pace": 0.3}),
}


@pytest.mark.parametrize("name", EXCHANGES)
def test_all_four_pairs_see_the_same_exchange(site, name):
    path, options = EXCHANGES[name]
    seen = {(down, up): ASK[down](site.port, f"/{up}{path}", **options) for down in ASK for up in ASK}
    for pair, exchange in seen.items():
        assert exchange.whole and exchange.status, (pair, exchange)
        # A status phrase and the name of the field for trailers are HTTP/1's own.
        assert exchange.same() == seen["h1", "h1"].same(), pair


@pytest.mark.parametrize("down", ASK)
def test_the_endpoint_sees_the_same_request(site, down):
    heads = {}
    for up in ASK:
        answer = json.loads(ASK[down](site.port, f"/{up}/echo?a=%20b", "POST", body=BIG, fields=[
            ("Cookie", "a=1; b=2"), ("X-Twice", "1"), ("X-Twice", "2"), ("Accept", "*/*"), ("TE", "trailers")]).body)
        fields = sorted((name.lower(), value) for name, value in answer["headers"]
                        if name.lower() not in ("host", "te", "content-length", "connection", "x-request-id"))
        heads[up] = (answer["method"], answer["target"], fields, answer["size"], answer["sha256"])
        assert answer["sha256"] == hashlib.sha256(BIG).hexdigest() and answer["size"] == len(BIG)
    assert heads["h1"] == heads["h2"]


def test_pseudo_fields_and_trailers_reach_the_endpoint(site):
    answer = json.loads(ask2(site.port, "/h2/echo", "POST", body=b"abc", trailers=[("x-sum", "9"), ("authorization", "no")],
                             fields=[("te", "trailers")]).body)
    assert dict(answer["pseudo"]) == {":method": "POST", ":scheme": "http", ":path": "/echo", ":authority": "localhost"}
    assert answer["trailers"] == [["x-sum", "9"]] and ["te", "trailers"] in answer["headers"]
    assert not [name for name, _ in answer["headers"] if name in ("host", "connection", "transfer-encoding")]


@pytest.mark.parametrize("down", ASK)
def test_a_slow_endpoint_slows_the_upload_and_nothing_else(site, down):
    site.backends["h2"].pace = 0.01
    seen = ASK[down](site.port, "/h2/sink", "POST", body=BIG)
    assert seen.status == 200 and int(seen.body) == len(BIG)


@pytest.mark.parametrize("down", ASK)
@pytest.mark.parametrize("path", ["/partial", "/cut"])
def test_a_body_that_breaks_off_never_looks_whole(site, down, path):
    seen = ASK[down](site.port, "/h2" + path)
    assert not seen.whole, seen


@pytest.mark.parametrize("down", ASK)
def test_an_early_answer_ends_the_upload(site, down):
    for up in ASK:
        seen = ASK[down](site.port, f"/{up}/early", "POST", body=BIG * 3)
        assert seen.status == 413 and seen.body == b"enough", up


@pytest.mark.parametrize("down", ASK)
@pytest.mark.parametrize("path, status", [("/reset/2", 502), ("/reset/8", 502), ("/reset/13", 502), ("/die", 502),
                                          ("/hang", 504), ("/head/100", 502), ("/storm/500", 502)])
def test_failures_of_the_endpoint_have_their_status(site, down, path, status):
    assert ASK[down](site.port, "/h2" + path).status == status
    assert ASK[down](site.port, "/h2/bytes/3").body == b"012"


@pytest.mark.parametrize("down", ASK)
def test_what_was_not_processed_is_asked_again(site, down):
    before = len(site.backends["h2"].requests)
    for path, body in ((f"/h2/refuse/1?{down}", "answers"), (f"/h2/leave/{down}", "answers")):
        seen = ASK[down](site.port, path, "POST", body=b"not idempotent")
        assert seen.status == 200 and seen.whole, path
    assert len(site.backends["h2"].requests) == before + 2
    # The policy makes two attempts.
    assert ASK[down](site.port, f"/h2/refuse/9?{down}").status == 502


def test_streams_share_one_connection(site):
    backend = site.backends["h2"]
    ask2(site.port, "/h2/bytes/1")
    before = backend.connections
    with Client2(site.port) as client:
        streams = [client.begin("/h2/slow/0.3") for _ in range(50)]
        assert all(seen.status == 200 for seen in client.finish(*streams))
    others = [threading.Thread(target=ask1, args=(site.port, "/h2/slow/0.2")) for _ in range(30)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    assert backend.connections == before


def test_one_slow_reader_does_not_hold_up_the_others(site):
    """Its answer fills its own window upstream, and the connection's is given back at once."""
    with Raw(site.port) as slow:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        slow.send("GET /h2/bytes/60000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        for _ in range(5):
            assert len(ask2(site.port, "/h2/bytes/2000000").body) == 2000000


def test_a_client_that_leaves_resets_its_stream_only(site):
    backend = site.backends["h2"]
    ask2(site.port, "/h2/bytes/1")
    connections, resets = backend.connections, len(backend.resets)
    with Client2(site.port) as client:
        stay, leave = client.begin("/h2/slow/0.5"), client.begin("/h2/hang")
        time.sleep(0.1)
        client.h2.reset_stream(leave, 8)
        client.flush()
        assert client.finish(stay)[0].body == b"slow"
    wait_for(lambda: len(backend.resets) > resets, 5, "RST_STREAM upstream")
    assert backend.resets[-1] == 8 and backend.connections == connections


def test_the_limit_of_streams_opens_connections(start):
    with Http2Backend(streams=4) as backend:
        port = free_port()
        name = f"http://127.0.0.1:{port}"
        start({"listen": [name], "dispatch": [{"listener": name, "handler": "proxy",
                                               "proxy_pass": f"h2c://127.0.0.1:{backend.port}"}]})
        with Client2(port) as client:
            streams = [client.begin("/slow/0.3") for _ in range(30)]
            assert [seen.status for seen in client.finish(*streams)] == [200] * 30
        assert 2 <= backend.connections <= 30 and backend.refused == {}


def test_goaway_finishes_old_streams_and_moves_new_ones(site):
    backend = site.backends["h2"]
    with Client2(site.port) as client:
        slow = client.begin("/h2/slow/0.5")
        time.sleep(0.1)
        before = backend.connections
        assert client.finish(client.begin("/h2/goaway"))[0].body == b"last"
        assert client.finish(client.begin("/h2/bytes/2"))[0].body == b"01"
        assert client.finish(slow)[0].body == b"slow"
        assert backend.connections == before + 1


def test_a_restarted_endpoint_costs_nobody_a_request(start):
    backend = Http2Backend()
    port, where = free_port(), backend.port
    name = f"http://127.0.0.1:{port}"
    start({"listen": [name], "dispatch": [{"listener": name, "handler": "proxy", "proxy_pass": f"h2c://127.0.0.1:{where}"}]})
    for round in range(5):
        assert ask2(port, "/bytes/3").body == b"012"
        backend.close_connections(goaway=round % 2 == 0)
    backend.close()


@pytest.mark.parametrize("scheme", ["h2", "grpcs"])
def test_tls_chooses_h2_by_alpn(start, tmp_path, scheme):
    authority = Authority(tmp_path)
    tls = authority.server("back", "localhost", "127.0.0.1")
    tls.set_alpn_protocols(["h2"])
    with Http2Backend(tls=tls) as backend:
        port = free_port()
        name = f"http://127.0.0.1:{port}"
        server = start({"listen": [name], "upstreams": {"app": {"targets": [f"{scheme}://localhost:{backend.port}"],
                                                               "tls": {"ca": str(tmp_path / "ca.pem")}}},
                        "dispatch": [{"listener": name, "handler": "proxy", "proxy_pass": "upstream://app"}]})
        for ask in ASK.values():
            seen = ask(port, "/echo", "POST", body=BIG)
            answer = json.loads(seen.body)
            assert answer["size"] == len(BIG) and [":scheme", "https"] in answer["pseudo"]
    without = authority.server("back", "localhost", "127.0.0.1")
    with Http2Backend(tls=without) as backend:
        server.write({"listen": [name], "upstreams": {"app": {"targets": [f"{scheme}://localhost:{backend.port}"],
                                                              "tls": {"ca": str(tmp_path / "ca.pem")}}},
                      "dispatch": [{"listener": name, "handler": "proxy", "proxy_pass": "upstream://app"}]})
        server.reload()
        assert ask1(port, "/bytes/1").status == 502


def test_an_endpoint_that_speaks_http1_is_a_bad_gateway(start, backend):
    port = free_port()
    name = f"http://127.0.0.1:{port}"
    start({"listen": [name], "dispatch": [{"listener": name, "handler": "proxy", "proxy_pass": f"h2c://127.0.0.1:{backend.port}"}]})
    assert ask1(port, "/bytes/1").status == 502


# -- tunnels ----------------------------------------------------------------------------------------------------------

def tunnel1(port, path):
    client = Raw(port)
    client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    answer = client.response()
    return client, answer


@pytest.mark.parametrize("up", ["h1", "h2"])
@pytest.mark.parametrize("down", ["h1", "h2"])
def test_a_websocket_between_any_two_versions(start, down, up):
    message = b"\x81\x85\x01\x02\x03\x04" + bytes(a ^ b for a, b in zip(b"hello", b"\x01\x02\x03\x04\x01"))
    with Http2Backend() as h2_backend, WebSocketBackend() as h1_backend:
        port = free_port()
        name = f"http://127.0.0.1:{port}"
        target = f"http://127.0.0.1:{h1_backend.port}" if up == "h1" else f"h2c://127.0.0.1:{h2_backend.port}"
        start({"listen": [name], "dispatch": [{"listener": name, "handler": "proxy", "proxy_pass": target}]})
        # The WebSocket server answers with a frame of its own; the HTTP/2 one with our bytes.
        expected = message if up == "h2" else b"hello"
        if down == "h1":
            client, answer = tunnel1(port, "/echo")
            assert answer.status == 101 and answer["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
            client.send(message)
            got = b""
            while expected not in got:
                got += client.read_exactly(1)
            client.close()
        else:
            with Client2(port) as client:
                client.read(lambda: h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL in client.settings)
                stream = client.h2.get_next_available_stream_id()
                client.seen[stream] = Seen()
                client.h2.send_headers(stream, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                                                (":authority", "localhost"), (":path", "/echo"),
                                                ("sec-websocket-version", "13")])
                client.flush()
                client.read(lambda: client.seen[stream].status)
                assert client.seen[stream].status == 200
                client.h2.send_data(stream, message)
                client.flush()
                client.read(lambda: expected in client.seen[stream].body)
                client.h2.end_stream(stream)
                client.flush()
                client.read(lambda: stream in client.over)
        if up == "h2":
            _, fields, _ = h2_backend.requests[-1]
            assert (":protocol", "websocket") in fields and "sec-websocket-key" not in dict(fields)


def test_tunnels_that_the_endpoint_does_not_take(start):
    with Http2Backend(tunnels=False) as without, Http2Backend() as refusing:
        port = free_port()
        name = f"http://127.0.0.1:{port}"
        start({"listen": [name], "dispatch": [
            {"listener": name, "handler": "proxy", "path": "/without", "proxy_pass": f"h2c://127.0.0.1:{without.port}"},
            {"listener": name, "handler": "proxy", "proxy_pass": f"h2c://127.0.0.1:{refusing.port}"}]})
        assert tunnel1(port, "/without")[1].status == 502
        answer = tunnel1(port, "/refused-tunnel")[1]
        assert (answer.status, answer.body) == (403, b"no")


# -- real programs ----------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("nghttpd") or not shutil.which("h2load"), reason="needs nghttp2-server and nghttp2-client")
def test_h2load_through_us_to_nghttpd(start, tmp_path):
    (tmp_path / "index.html").write_text("hello\n")
    (tmp_path / "big").write_bytes(BIG)
    back, port = free_port(), free_port()
    nghttpd = subprocess.Popen(["nghttpd", "--no-tls", "-a", "127.0.0.1", "-m", "50", "-d", str(tmp_path), str(back)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        name = f"http://127.0.0.1:{port}"
        start({"listen": [name], "dispatch": [{"listener": name, "handler": "proxy", "proxy_pass": f"h2c://127.0.0.1:{back}"}]})
        wait_for(lambda: ask1(port, "/index.html").status == 200, 10, "nghttpd")
        for options in (["-n", "5000", "-c", "8", "-m", "32"], ["--h1", "-n", "2000", "-c", "16"]):
            out = subprocess.run(["h2load", *options, f"{name}/index.html"], capture_output=True, text=True, check=True).stdout
            count = options[options.index("-n") + 1]
            assert f"{count} succeeded, 0 failed, 0 errored" in out, out
        out = subprocess.run(["h2load", "-n", "60", "-c", "4", "-m", "8", f"{name}/big"], capture_output=True, text=True, check=True).stdout
        assert "60 succeeded, 0 failed, 0 errored" in out, out
        for version in ("--http1.1", "--http2-prior-knowledge"):
            got = subprocess.run(["curl", "-sS", version, f"{name}/big"], capture_output=True, check=True).stdout
            assert got == BIG
    finally:
        nghttpd.kill()
        nghttpd.wait()
