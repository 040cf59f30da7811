"""HTTP/2 towards clients: ALPN, prior knowledge, curl and h2load, drain, and clients that misbehave on purpose."""
import contextlib
import shutil
import socket
import ssl
import struct
import subprocess
import time

import pytest

from certificates import Authority
from clients import Raw
from headgate import free_port, memory_kib

h2_config = pytest.importorskip("h2.config", reason="needs python3-h2")
import h2.connection  # noqa: E402
import h2.errors  # noqa: E402
import h2.events  # noqa: E402
import h2.exceptions  # noqa: E402
import h2.settings  # noqa: E402

CALM = h2.errors.ErrorCodes.ENHANCE_YOUR_CALM


class Client:
    """An HTTP/2 connection that says what it is told to, and collects what comes."""

    def __init__(self, port, tls=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.h2 = h2.connection.H2Connection(h2_config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False))
        self.h2.initiate_connection()
        self.answers = {}
        self.ended = set()
        self.resets = {}
        self.goaways = []
        self.unread = b""
        self.closed = False
        self.mute = False  # what the library wants to say would fall between our own bytes
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def flush(self):
        if not self.mute:
            self.send(self.h2.data_to_send())

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True

    def request(self, path="/hello", method="GET", fields=(), body=None, end=True):
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path), *fields]
        self.h2.send_headers(stream, head, end_stream=body is None and end)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=end)
        return stream

    def read(self, seconds=0.2, until=lambda: False):
        deadline = time.monotonic() + seconds
        while not self.closed and not until() and time.monotonic() < deadline:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                data = self.socket.recv(65536)
            except (socket.timeout, TimeoutError):
                break
            except OSError:
                data = b""
            if not data:
                self.closed = True
                break
            self.note_goaways(data)
            with contextlib.suppress(h2.exceptions.ProtocolError):
                for event in self.h2.receive_data(data):
                    self.note(event)
            self.flush()
        return self

    def note_goaways(self, data):
        """By hand: the library stops listening at the first thing it does not like."""
        self.unread += data
        while len(self.unread) >= 9 and len(self.unread) >= 9 + int.from_bytes(self.unread[:3], "big"):
            size = int.from_bytes(self.unread[:3], "big")
            if self.unread[3] == 7:
                self.goaways.append(int.from_bytes(self.unread[13:17], "big"))
            self.unread = self.unread[9 + size:]

    def note(self, event):
        if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
            self.answers.setdefault(event.stream_id, {"body": b""}).update(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.answers[event.stream_id]["body"] += event.data
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.resets[event.stream_id] = event.error_code

    def get(self, *args, **keys):
        stream = self.request(*args, **keys)
        self.flush()
        self.read(10, lambda: stream in self.ended or stream in self.resets)
        return self.answers[stream]


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


HELLO = b"\x82\x86\x41\x01a\x84"  # GET http://a/


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("h2-ca"))


@pytest.fixture(scope="module")
def site(start_shared, shared_backend, authority):
    plain, secure = free_port(), free_port()
    cert, key = authority.issue("server", "localhost")
    rules = [{"handler": "respond", "path": "/hello", "status": 200, "body": "hello\n"},
             {"handler": "echo", "path": "/echo"},
             {"handler": "proxy", "path": "/app/**", "proxy_pass": shared_backend.url, "strip_prefix": "/app"},
             {"handler": "respond", "path": "/**", "status": 404}]
    server = start_shared({
        "listen": [{"name": "plain", "uri": f"http://127.0.0.1:{plain}"}, {"name": "tls", "uri": f"https://127.0.0.1:{secure}"}],
        "tls": {"certificates": [{"cert": str(cert), "key": str(key)}]},
        "timeouts": {"header": 2, "body": 2, "idle": 3},
        "dispatch": [{"listener": name, **rule} for name in ("plain", "tls") for rule in rules]})
    server.port, server.secure = plain, secure
    return server


def still_serves(site):
    with Client(site.port) as client:
        assert client.get()["body"] == b"hello\n"


def test_alpn_chooses_the_version(site):
    for offered, version in (("h2,http/1.1", "h2"), ("http/1.1", "http/1.1")):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(offered.split(","))
        with socket.create_connection(("127.0.0.1", site.secure)) as raw, context.wrap_socket(raw) as secure:
            assert secure.selected_alpn_protocol() == version
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with Client(site.secure, context) as client:
        assert client.get("/app/bytes/100000")["body"] == client.get("/app/bytes/100000")["body"]


def test_both_versions_on_one_plain_port(site):
    with Client(site.port) as two, Raw(site.port) as one:
        assert two.get()["body"] == b"hello\n" == one.request("/hello").body
    with socket.create_connection(("127.0.0.1", site.port)) as slow:  # the preface in pieces
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
            slow.sendall(bytes([byte]))
            time.sleep(0.002)
        slow.sendall(frame(4, 0, 0) + frame(1, 5, 1, HELLO))
        slow.settimeout(5)
        assert slow.recv(9)[3] == 4  # SETTINGS


def test_upgrade_to_h2c_is_ignored(site):
    with Raw(site.port) as client:
        answer = client.request("/app/echo", headers=[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
                                                      ("HTTP2-Settings", "AAMAAABkAAQAAP__")])
        assert answer.status == 200 and b"h2c" not in answer.body and b"HTTP2-Settings" not in answer.body


def test_bodies_and_trailers(site):
    body = bytes(range(256)) * 2000
    with Client(site.port) as client:
        for path in ("/echo", "/app/sink"):
            stream = client.request(path, "POST", end=False)
            sent = 0
            while sent < len(body):
                room = min(client.h2.local_flow_control_window(stream), client.h2.max_outbound_frame_size, len(body) - sent)
                if room == 0:
                    client.read(1, lambda: client.h2.local_flow_control_window(stream) > 0)
                    continue
                client.h2.send_data(stream, body[sent:sent + room])
                sent += room
                client.flush()
            client.h2.end_stream(stream)
            client.flush()
            client.read(10, lambda: stream in client.ended)
            assert stream in client.ended
            if path == "/echo":
                assert client.answers[stream]["body"] == body
        answer = client.get("/app/chunked/3000", fields=[("te", "trailers")])
        assert answer["body"] == b"c" * 3000 and answer["x-sum"] == "done"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl(site):
    def curl(*args):
        return subprocess.run(["curl", "-sk", "--max-time", "10", "-w", " %{http_version}", *args], capture_output=True,
                              text=True, check=True).stdout

    assert curl("--http2-prior-knowledge", f"http://127.0.0.1:{site.port}/hello") == "hello\n 2"
    assert curl("--http2", f"https://127.0.0.1:{site.secure}/hello") == "hello\n 2"
    assert curl("--http1.1", f"https://127.0.0.1:{site.secure}/hello") == "hello\n 1.1"
    assert curl("--http2", f"http://127.0.0.1:{site.port}/hello") == "hello\n 1.1"


@pytest.mark.skipif(shutil.which("h2load") is None, reason="needs nghttp2-client")
def test_h2load(site):
    for url in (f"http://127.0.0.1:{site.port}/app/bytes/1000", f"https://127.0.0.1:{site.secure}/hello"):
        said = subprocess.run(["h2load", "-n", "2000", "-c", "8", "-m", "32", url], capture_output=True, text=True, check=True,
                              timeout=50).stdout
        assert "2000 succeeded, 0 failed, 0 errored" in said


def expect_calm(client, seconds=5):
    client.read(seconds, lambda: bool(client.goaways) and client.closed)
    assert client.goaways and client.goaways[-1] == CALM, client.goaways
    client.read(5, lambda: client.closed)
    assert client.closed


def test_rapid_reset(site):
    with Client(site.port) as client:
        for _ in range(100):
            for _ in range(20):
                stream = client.request("/app/slow/5")
                client.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
            client.flush()
            if client.closed:
                break
        expect_calm(client)
    still_serves(site)


FLOODS = [
    ("settings", frame(4, 0, 0) * 500),
    ("ping", frame(6, 0, 0, b"12345678") * 500),
    ("priority", frame(2, 0, 3, b"\0\0\0\0\x10") * 3000),
    ("empty data", frame(1, 4, 1, b"\x83\x86\x41\x01a\x04\x05/echo") + frame(0, 0, 1) * 1000),
    ("unknown frames", frame(0x77, 0, 0) * 1000),
    ("window updates", frame(8, 0, 0, b"\0\0\0\x01") * 3000),
    ("continuation", frame(1, 0, 1, b"\x82") + frame(9, 0, 1) * 50),
    ("made to reset", b"".join(frame(1, 5, 1 + 2 * i, b"\x82\x86\x41\x01a\x84\x84") for i in range(1200))),
]


@pytest.mark.parametrize("bytes_", [bytes_ for _, bytes_ in FLOODS], ids=[name for name, _ in FLOODS])
def test_floods(site, bytes_):
    with Client(site.port) as client:
        client.read(0.1)
        client.mute = True
        for start in range(0, len(bytes_), 800):
            client.send(bytes_[start:start + 800])
            client.read(0.002)
        expect_calm(client)
    still_serves(site)


def test_header_bombs(site):
    before = memory_kib(site.processes()[-1])
    with Client(site.port) as client:
        client.read(0.1)
        # One entry of 4,000 bytes in the table, then 4,000 references to it: 16 MB out of 4 kB.
        entry = b"\x40\x01x\x7f" + b"\xa1\x1e" + b"v" * 4000
        client.send(frame(1, 4 | 1, 1, b"\x82\x86\x41\x01a\x84" + entry + b"\xbe" * 4000))
        expect_calm(client)
    with Client(site.port) as client:
        assert client.get(fields=[("x", "y" * 40000)])[":status"] == "431"
        assert client.get(fields=[(f"x{i}", "y") for i in range(200)])[":status"] == "431"
        assert client.get(fields=[("cookie", "a=b")] * 300)[":status"] == "200"  # one field after joining
        assert client.get()[":status"] == "200"
    assert memory_kib(site.processes()[-1]) - before < 20000


@pytest.mark.deadline(90)
def test_shut_window(site):
    with Client(site.port) as client:
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        streams = [client.request("/app/bytes/100000") for _ in range(20)]
        client.flush()
        client.read(40, lambda: len(client.resets) == len(streams))
        assert set(client.resets) == set(streams)
    still_serves(site)


def test_unfinished_header_block(site):
    with Client(site.port) as client:
        client.read(0.1)
        client.send(frame(1, 0, 1, b"\x82"))
        expect_calm(client, 6)


def test_idle_connection_is_closed_politely(site):
    with Client(site.port) as client:
        client.get()
        client.read(10, lambda: client.closed)
        assert client.goaways == [0] and client.closed


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_drain_answers_what_is_in_flight(start, backend):
    port = free_port()
    server = start({"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
                    "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": backend.url}]})
    # Not with the client above: its library takes the first GOAWAY for the end.
    with subprocess.Popen(["curl", "-s", "--max-time", "10", "--http2-prior-knowledge", "-w", " %{http_code}",
                           f"http://127.0.0.1:{port}/slow/2"], stdout=subprocess.PIPE, text=True) as curl:
        time.sleep(0.7)
        server.process.terminate()
        said, _ = curl.communicate(timeout=15)
        assert curl.returncode == 0 and said.endswith(" 200")
