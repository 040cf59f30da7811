"""gRPC through the proxy with real clients and servers: Python's grpcio, Go's interop programs, grpcurl and curl; deadlines,
errors of our own, rules by service and method, and gRPC-Web."""
import base64
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time

import pytest

from certificates import Authority
from clients import fetch
from headgate import free_port, wait_for

grpc = pytest.importorskip("grpc", reason="needs python3-grpcio")

SERVICE = "test.Echo"


class Server(grpc.GenericRpcHandler):
    """All four kinds of calls, of bytes; what a call does is in its first message."""

    def __init__(self, tls=None):
        self.seen, self.canceled = [], threading.Event()
        self.pool = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        self.pool.add_generic_rpc_handlers((self,))
        where = "127.0.0.1:0"
        self.port = self.pool.add_secure_port(where, tls) if tls else self.pool.add_insecure_port(where)
        self.pool.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pool.stop(None).wait(5)

    def service(self, details):
        kinds = {"Unary": grpc.unary_unary_rpc_method_handler(self.unary),
                 "Down": grpc.unary_stream_rpc_method_handler(self.down),
                 "Up": grpc.stream_unary_rpc_method_handler(self.up),
                 "Both": grpc.stream_stream_rpc_method_handler(self.both)}
        return kinds.get(details.method.rpartition("/")[2])

    def note(self, context):
        self.seen.append((dict(context.invocation_metadata()), context.time_remaining()))

    def unary(self, request, context):
        self.note(context)
        if request == b"fail":
            context.set_trailing_metadata((("x-why", "asked"), ("bin-bin", b"\x00\xff")))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as % asked ä")
        if request == b"slow":
            context.add_callback(self.canceled.set)
            time.sleep(3)
        context.send_initial_metadata((("x-early", "1"),))
        context.set_trailing_metadata((("x-late", "2"),))
        return request

    def down(self, request, context):
        context.add_callback(self.canceled.set)
        for index in range(int(request)):
            yield b"%d" % index
            if int(request) > 1000:
                time.sleep(0.01)

    def up(self, requests, context):
        return str(sum(len(request) for request in requests)).encode()

    def both(self, requests, context):
        for request in requests:
            if request == b"stop":
                return
            yield request.upper()


def call(channel, kind, method, service=SERVICE):
    return getattr(channel, kind)(f"/{service}/{method}")


class Site:
    def __init__(self, start, directory, tls):
        self.authority = Authority(directory)
        cert, key = self.authority.issue("localhost", "localhost")
        credentials = grpc.ssl_server_credentials([(pathlib.Path(key).read_bytes(), pathlib.Path(cert).read_bytes())])
        self.server = Server(credentials if tls else None)
        self.port = free_port()
        scheme = "https" if tls else "http"
        name = f"{scheme}://127.0.0.1:{self.port}"
        target = f"grpcs://localhost:{self.server.port}" if tls else f"grpc://127.0.0.1:{self.server.port}"
        self.headgate = start({
            "listen": [name], **({"tls": {"cert": str(cert), "key": str(key)}} if tls else {}),
            "upstreams": {"app": {"targets": [target], **({"tls": {"ca": str(self.authority.cert)}} if tls else {})},
                          "gone": {"targets": [f"grpc://127.0.0.1:{free_port()}"]}},
            "dispatch": [
                {"listener": name, "handler": "proxy", "grpc": {"service": SERVICE}, "proxy_pass": "upstream://app", "grpc_web": True},
                {"listener": name, "handler": "proxy", "grpc": {"service": "test.Gone"}, "proxy_pass": "upstream://gone"},
                {"listener": name, "handler": "respond", "grpc": {"service": "~admin\\..*", "method": "Status"}, "status": 403},
            ]})
        if tls:
            trust = grpc.ssl_channel_credentials(self.authority.cert.read_bytes())
            self.channel = grpc.secure_channel(f"localhost:{self.port}", trust)
        else:
            self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")


@pytest.fixture(scope="module", params=["plain", "tls"])
def site(request, start_shared, tmp_path_factory):
    site = Site(start_shared, tmp_path_factory.mktemp("grpc"), request.param == "tls")
    yield site
    site.channel.close()
    site.server.__exit__()


def test_unary_with_metadata_both_ways(site):
    answer, rpc = call(site.channel, "unary_unary", "Unary").with_call(b"hello", metadata=(("x-a", "b"), ("c-bin", b"\x01")))
    assert answer == b"hello" and rpc.code() is grpc.StatusCode.OK
    assert ("x-early", "1") in rpc.initial_metadata() and ("x-late", "2") in rpc.trailing_metadata()
    seen, _ = site.server.seen[-1]
    assert seen["x-a"] == "b" and seen["c-bin"] == b"\x01"


@pytest.mark.parametrize("size", [0, 1, 70000, 3_000_000])
def test_messages_of_any_size(site, size):
    message = os.urandom(size)
    assert call(site.channel, "unary_unary", "Unary")(message) == message


def test_streams_in_every_direction(site):
    assert list(call(site.channel, "unary_stream", "Down")(b"500")) == [b"%d" % index for index in range(500)]
    assert list(call(site.channel, "unary_stream", "Down")(b"0")) == []
    assert call(site.channel, "stream_unary", "Up")(iter([b"x" * 10000] * 300)) == b"3000000"
    assert list(call(site.channel, "stream_stream", "Both")(iter([b"a", b"b", b"stop", b"c"]))) == [b"A", b"B"]


def test_a_stream_of_ping_and_pong_is_not_held_back(site):
    turn = threading.Semaphore(1)

    def ask():
        for index in range(20):
            turn.acquire()
            yield b"q%d" % index

    got = []
    for answer in call(site.channel, "stream_stream", "Both")(ask(), timeout=20):
        got.append(answer)
        turn.release()
    assert got == [b"Q%d" % index for index in range(20)]


def test_errors_of_the_server_come_as_they_are(site):
    with pytest.raises(grpc.RpcError) as caught:
        call(site.channel, "unary_unary", "Unary")(b"fail")
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION and caught.value.details() == "as % asked ä"
    assert ("bin-bin", b"\x00\xff") in caught.value.trailing_metadata()
    with pytest.raises(grpc.RpcError) as caught:
        call(site.channel, "unary_unary", "NoSuch")(b"x")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("service, method, code", [
    ("test.Gone", "X", grpc.StatusCode.UNAVAILABLE), ("no.Rule", "X", grpc.StatusCode.UNIMPLEMENTED),
    ("admin.Door", "Status", grpc.StatusCode.PERMISSION_DENIED), ("admin.Door", "Other", grpc.StatusCode.UNIMPLEMENTED)])
def test_our_own_errors_have_a_grpc_status(site, service, method, code):
    with pytest.raises(grpc.RpcError) as caught:
        call(site.channel, "unary_unary", method, service)(b"x", timeout=10)
    assert caught.value.code() is code


def test_deadlines_reach_the_server_and_hold_here(site):
    with pytest.raises(grpc.RpcError) as caught:
        call(site.channel, "unary_unary", "Unary")(b"slow", timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    _, remaining = site.server.seen[-1]
    assert 0 < remaining < 1  # a while is lost in clocks
    assert site.server.canceled.wait(5)


def test_a_canceled_stream_is_canceled_at_the_server(site):
    site.server.canceled.clear()
    stream = call(site.channel, "unary_stream", "Down")(b"100000")
    assert next(stream) == b"0"
    stream.cancel()
    assert site.server.canceled.wait(5)


def test_calls_of_many_channels_at_once(site):
    unary = call(site.channel, "unary_unary", "Unary")
    calls = [unary.future(b"%d" % index) for index in range(300)]
    assert [one.result(20) for one in calls] == [b"%d" % index for index in range(300)]


# -- a deadline whose client does not watch it itself, and gRPC-Web: by hand --------------------------------------------

def frame(message, flags=0):
    return bytes([flags]) + len(message).to_bytes(4, "big") + message


def frames(body):
    found = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        found.append((body[0], body[5:5 + size]))
        body = body[5 + size:]
    return found


def web(site, method, message, *, text=False, fields=()):
    kind = "application/grpc-web-text+proto" if text else "application/grpc-web+proto"
    body = frame(message)
    tls = site.authority.client() if site.headgate.file.read_text().find("https://") >= 0 else None
    return fetch(site.port, f"/{SERVICE}/{method}", "POST", [("Content-Type", kind), ("X-Grpc-Web", "1"), *fields],
                 base64.b64encode(body) if text else body, tls=tls)


@pytest.mark.parametrize("text", [False, True])
def test_grpc_web(site, text):
    for method, message, expected in (("Unary", b"hello", [b"hello"]), ("Down", b"3", [b"0", b"1", b"2"])):
        answer = web(site, method, message, text=text)
        assert answer.status == 200 and answer["content-type"] == ("application/grpc-web-text" if text else "application/grpc-web")
        body = answer.body
        if text:  # padded where a frame ends
            body = b"".join(base64.b64decode(piece + b"=" * (-len(piece) % 4)) for piece in body.replace(b"=", b" ").split())
        *messages, (flags, trailers) = frames(body)
        assert [message for _, message in messages] == expected and flags == 0x80
        assert b"grpc-status: 0\r\n" in trailers and not answer.trailers
    answer = web(site, "Unary", b"fail", text=text)
    status = answer["grpc-status"] or dict(line.split(": ") for line in frames(
        base64.b64decode(answer.body) if text else answer.body)[-1][1].decode().splitlines())["grpc-status"]
    assert status == "9"


def test_a_deadline_is_kept_for_the_client(site):
    answer = web(site, "Unary", b"slow", fields=[("grpc-timeout", "200m")])
    assert answer["grpc-status"] == "4"


# -- Go -----------------------------------------------------------------------------------------------------------------

GO_VERSION = "v1.85.0"
# Those that need no account with anybody. The others ask a cloud for credentials.
INTEROP = ["empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
           "timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message",
           "special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service"]


@pytest.fixture(scope="module")
def interop(tmp_path_factory):
    """The folder of gRPC's own interoperability programs, built once; HEADGATE_GRPC_INTEROP names one that is there."""
    folder = pathlib.Path(os.environ.get("HEADGATE_GRPC_INTEROP", tmp_path_factory.mktemp("go")))
    if not (folder / "client").exists():
        if not shutil.which("go"):
            pytest.skip("needs go, or HEADGATE_GRPC_INTEROP")
        programs = [f"google.golang.org/grpc/interop/{name}@{GO_VERSION}" for name in ("client", "server")]
        built = subprocess.run(["go", "install", *programs], env={**os.environ, "GOBIN": str(folder)}, capture_output=True,
                               text=True, timeout=800, check=False)
        if built.returncode != 0:
            pytest.skip("go install: " + built.stderr.strip().splitlines()[-1])
    return folder


@pytest.mark.deadline(900)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_go_interop(start, interop, tmp_path, tls):
    back, port = free_port(), free_port()
    authority = Authority(tmp_path)
    cert, key = authority.issue("localhost", "localhost")
    server = subprocess.Popen([interop / "server", f"-port={back}", f"-use_tls={str(tls).lower()}", f"-tls_cert_file={cert}",
                               f"-tls_key_file={key}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        name = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        start({"listen": [name], **({"tls": {"cert": str(cert), "key": str(key)}} if tls else {}),
               "upstreams": {"app": {"targets": [f"grpcs://localhost:{back}" if tls else f"grpc://localhost:{back}"],
                                     **({"tls": {"ca": str(authority.cert)}} if tls else {})}},
               "dispatch": [{"listener": name, "handler": "proxy", "proxy_pass": "upstream://app"}]})
        client = [interop / "client", "-server_host=localhost", f"-server_port={port}"]
        if tls:
            client += ["-use_tls=true", "-use_test_ca=true", f"-ca_file={authority.cert}", "-server_host_override=localhost"]

        def run(case, *more):
            return subprocess.run([*client, f"-test_case={case}", *more], capture_output=True, text=True, timeout=60, check=False)

        wait_for(lambda: run("empty_unary").returncode == 0, 20, "the interop server", every=0.2)
        failed = {case: result.stderr[-500:] for case in INTEROP if (result := run(case)).returncode != 0}
        assert not failed, json.dumps(failed, indent=1)
        for soak in ("rpc_soak", "channel_soak"):
            result = run(soak, "-soak_iterations=200", "-soak_overall_timeout_seconds=40", "-soak_max_failures=0",
                         "-soak_per_iteration_max_acceptable_latency_ms=30000")
            assert result.returncode == 0, result.stderr[-2000:]
    finally:
        server.kill()
        server.wait()


@pytest.mark.skipif(not shutil.which("grpcurl"), reason="needs grpcurl")
def test_grpcurl_lists_services_by_reflection(start, interop):
    back, port = free_port(), free_port()
    server = subprocess.Popen([interop / "server", f"-port={back}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        name = f"http://127.0.0.1:{port}"
        start({"listen": [name], "dispatch": [{"listener": name, "handler": "proxy", "proxy_pass": f"grpc://127.0.0.1:{back}"}]})

        def listed():
            return subprocess.run(["grpcurl", "-plaintext", f"127.0.0.1:{port}", "list"], capture_output=True, text=True, check=False)

        wait_for(lambda: listed().returncode in (0, 1), 10, "the server")
        assert "grpc.testing.TestService" in listed().stdout or "reflection" in listed().stderr
    finally:
        server.kill()
        server.wait()
