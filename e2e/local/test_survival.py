"""Crowds: thousands of connections that do nothing, or everything too slowly, beside clients that are served as before.

HEADGATE_CROWD=15000 holds as many connections as one process may have files for; the default keeps the run short.
"""
import os
import socket
import ssl
import statistics
import threading
import time

import pytest

from backends import Backend
from certificates import Authority
from clients import Raw
from headgate import free_port, memory_kib, wait_for
from test_overload import close_all, closes_within, many_files

CROWD = int(os.environ.get("HEADGATE_CROWD", "600"))
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def connect(port, index):
    """One address has some 28,000 ports, and other tests need some, too."""
    one = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(f"127.0.2.{index % 100}", 0))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one


def http2_get(host):
    """HEADERS of stream 1: GET / with that authority (shorter than 127 bytes), END_STREAM and END_HEADERS."""
    block = b"\x82\x84\x87\x41" + bytes([len(host)]) + host.encode()
    return len(block).to_bytes(3, "big") + b"\1\5\0\0\0\1" + block


def active(server):
    return server.metrics()["headgate_downstream_connections_active"]


class Bystander:
    """A client that asks one request after the other and wants 200 each time; how long each took is in `seconds`."""

    def __init__(self, port):
        self.client, self.seconds, self.wrong, self.stop = Raw(port), [], [], threading.Event()
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()

    def _ask(self):
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                status = self.client.request("/").status
            except (OSError, AssertionError) as error:
                status = error
            self.seconds.append(time.monotonic() - began)
            if status != 200:
                self.wrong.append(status)
                return
            self.stop.wait(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(30)
        self.client.close()
        assert not self.wrong, self.wrong
        assert len(self.seconds) > 10
        ranked = statistics.quantiles(self.seconds, n=100)
        print(f"bystander: {len(self.seconds)} requests, p50 {ranked[49] * 1e3:.1f} ms, p99 {ranked[98] * 1e3:.1f} ms")


def site(port, scheme="http", **more):
    return {"listen": [{"name": "web", "uri": f"{scheme}://127.0.0.1:{port}"}],
            "dispatch": [{"listener": "web", "handler": "respond", "path": "/**", "status": 200, "body": "ok\n"}], **more}


@pytest.mark.memory
@pytest.mark.deadline(300)
def test_idle_http2_connections_over_tls(start, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.issue("site", "localhost")
    port, plain = free_port(), free_port()
    config = site(port, "https", tls={"cert": str(cert), "key": str(key)}, timeouts={"idle": 600, "header": 600})
    config["listen"].append({"name": "plain", "uri": f"http://127.0.0.1:{plain}"})
    config["dispatch"].append({"listener": "plain", "handler": "respond", "path": "/**", "status": 200, "body": "ok\n"})
    context = ssl.create_default_context(cafile=str(authority.cert))
    context.set_alpn_protocols(["h2"])
    with many_files() as limit:
        if limit < CROWD + 1000:
            pytest.skip(f"only {limit} files per process")
        server = start(config, args=["-c", "4096"], workers=2)
        pid, held = server.serving_pid(), []

        def open_one(index):
            one = context.wrap_socket(connect(port, index), server_hostname="localhost")
            one.sendall(PREFACE + http2_get("localhost"))
            answer = b""
            while b"ok\n" not in answer:
                piece = one.recv(4096)
                assert piece, answer
                answer += piece
            one.sendall(b"\0\0\0\4\1\0\0\0\0")  # SETTINGS, acknowledged
            held.append(one)

        try:
            for index in range(50):  # what is made once is there already
                open_one(index)
            before = memory_kib(pid)
            with Bystander(plain):
                for index in range(CROWD):
                    open_one(index)
                wait_for(lambda: active(server) >= CROWD, 30, "all of them")
                for one in held[:: max(1, CROWD // 20)]:  # they still work: PING
                    one.sendall(b"\0\0\x08\6\0\0\0\0\0" + b"headgate")
                    while b"headgate" not in one.recv(4096):
                        pass
            per_connection = (memory_kib(pid) - before) * 1024 / CROWD
            print(f"{CROWD} idle HTTP/2 connections over TLS: {per_connection:.0f} bytes each")
            assert per_connection < 40 * 1024, per_connection
        finally:
            close_all(held)
        wait_for(lambda: active(server) <= 1, 30, "their end")


@pytest.mark.deadline(300)
def test_slow_clients_of_every_kind_at_once(start, tmp_path):
    """Slow heads, slow bodies and slow readers, all of them cut off, and nobody else notices."""
    heads, bodies, readers = CROWD * 6 // 10, CROWD * 2 // 10, CROWD * 2 // 10
    patience = 3 + CROWD // 500  # seconds: longer than opening them takes
    (tmp_path / "big").write_bytes(bytes(8 << 20))
    port = free_port()
    with many_files() as limit, Backend() as backend:
        if limit < CROWD + bodies + 1000:
            pytest.skip(f"only {limit} files per process")
        config = site(port, timeouts={"header": patience, "body": patience, "idle": 600, "send": patience})
        config["dispatch"] += [
            {"listener": "web", "handler": "proxy", "path": "/sink", "proxy_pass": backend.url},
            {"listener": "web", "handler": "static", "path": "/files/**", "root": str(tmp_path), "strip_prefix": "/files"}]
        server = start(config, args=["-c", "4096"], workers=2)
        pid, held = server.serving_pid(), []
        with Bystander(port):
            before = memory_kib(pid)
            try:
                for index in range(heads):
                    one = connect(port, index)
                    one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
                    held.append((one, (b"", b"HTTP/1.1 408")))
                for index in range(bodies):
                    one = connect(port, index)
                    one.sendall(b"POST /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
                    held.append((one, (b"HTTP/1.1 408",)))
                for index in range(readers):
                    one = socket.socket()
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    one.bind((f"127.0.2.{index % 100}", 0))
                    one.connect(("127.0.0.1", port))
                    one.sendall(b"GET /files/big HTTP/1.1\r\nHost: x\r\n\r\n")
                    held.append((one, (b"HTTP/1.1 200",)))
                per_connection = (memory_kib(pid) - before) * 1024 / CROWD
                print(f"{CROWD} slow clients: {per_connection:.0f} bytes each")
                assert per_connection < 64 * 1024, per_connection
                # Readers first: what they would read now is what the kernel had taken.
                wait_for(lambda: active(server) <= 1, 60 + 3 * patience, "the end of all of them")
                for one, answers in held:
                    said = closes_within(one, 30)
                    assert any(said.startswith(answer) if answer else said == b"" for answer in answers), said[:100]
                    assert len(said) < 8 << 20  # a reader's answer was cut short
            finally:
                close_all([one for one, _ in held])
        wait_for(lambda: backend.open == 0, 10, "the end of the connections behind")
