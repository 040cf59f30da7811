"""PROXY headers before TLS and HTTP: from balancers in front of us, and to HTTP targets behind us."""
import contextlib
import json
import re
import socket
import ssl
import struct
import threading

import pytest

from clients import Raw, fetch
from headgate import free_port, run_headgate, wait_for

LOOPBACK = "127.0.0.1"
V2 = b"\r\n\r\n\0\r\nQUIT\n"


class NamedServer:
    """An HTTP/1.1 server that insists on a PROXY header; each answer is the header of its connection."""

    def __init__(self, tls=None):
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        self.tls, self.headers = tls, []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    @staticmethod
    def _header(connection):
        first = connection.recv(12, socket.MSG_WAITALL)
        if first == V2:
            command, family, size = struct.unpack(">BBH", connection.recv(4, socket.MSG_WAITALL))
            addresses = connection.recv(size, socket.MSG_WAITALL) if size else b""
            if command == 0x20:
                return "local"
            assert family == 0x11
            ports = struct.unpack(">HH", addresses[8:12])
            return f"{socket.inet_ntoa(addresses[:4])} {socket.inet_ntoa(addresses[4:8])} {ports[0]} {ports[1]}"
        assert first.startswith(b"PROXY "), first
        while not first.endswith(b"\r\n"):
            first += connection.recv(1)
        return first.decode().strip().removeprefix("PROXY TCP4 ").replace("PROXY UNKNOWN", "local")

    def _one(self, connection):
        with contextlib.suppress(OSError), connection:
            header = self._header(connection)
            self.headers.append(header)
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            stream = connection.makefile("rb")
            while stream.readline():
                while stream.readline() not in (b"\r\n", b""):
                    pass
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(header), header.encode()))


def serve(start, backend, version, *, uri="http://127.0.0.1:{}", upstream=None, **options):
    port = free_port()
    rule = {"listener": "web", "handler": "proxy", "proxy_pass": "upstream://app"}
    server = start({"listen": [{"name": "web", "uri": uri.format(port)}], "dispatch": [rule],
                    "upstreams": {"app": {"targets": [f"{'https' if backend.tls else 'http'}://{LOOPBACK}:{backend.port}"],
                                          "proxy_protocol": version, **(upstream or {})}}}, **options)
    return server, port



@pytest.mark.parametrize("version", ["v1", "v2"])
def test_each_client_has_connections_of_its_own(start, version):
    backend = NamedServer()
    _, port = serve(start, backend, version)
    with Raw(port) as one, Raw(port) as two:
        names = []
        for client in (one, two):
            answers = {client.request("/").body.decode() for _ in range(4)}  # turn by turn, so that the other's is idle
            assert len(answers) == 1
            names += answers
            assert names[-1] == f"{LOOPBACK} {LOOPBACK} {client.socket.getsockname()[1]} {port}"
        for client, name in zip((two, one, two), (names[1], names[0], names[1])):
            assert client.request("/").body.decode() == name
    assert sorted(backend.headers) == sorted(names)  # each client's connection was kept for it, and opened once


def test_many_clients_at_once_under_a_limit(start):
    backend = NamedServer()
    _, port = serve(start, backend, "v1", upstream={"limits": {"connections": 3}})
    wrong = []

    def talk():
        for _ in range(10):
            with Raw(port) as client:
                for _ in range(2):
                    body = client.request("/").body.decode()
                    if body.split()[2:3] != [str(client.socket.getsockname()[1])]:
                        wrong.append(body)

    threads = [threading.Thread(target=talk) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong


def test_before_tls_and_of_an_asked_address(start, authority):
    cert, key = authority.issue("named", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    backend = NamedServer(tls=context)
    _, port = serve(start, backend, "v2", uri="http://:{}", upstream={"tls": {"ca": str(authority.cert), "sni": "localhost"}})
    with Raw(port, host="127.0.0.5") as client:  # bound to every address: the header names the one that was asked
        assert client.request("/").body.decode().split()[1] == "127.0.0.5"


def test_health_checks_speak_for_nobody(start):
    backend = NamedServer()
    _, port = serve(start, backend, "v2", upstream={"health_check": {"path": "/", "interval": 0.2, "healthy": 1}})
    wait_for(lambda: backend.headers.count("local") >= 2, 10, "health checks")
    assert fetch(port).status == 200


def test_http2_targets_are_refused(tmp_path):
    file = tmp_path / "site.json"
    file.write_text(json.dumps({"listen": ["http://:8080"], "dispatch": [
        {"listener": "http://:8080", "handler": "proxy", "proxy_pass": "grpc://127.0.0.1:1", "proxy_protocol": "v2"}]}))
    result = run_headgate("check", file)
    assert result.returncode != 0 and re.search("serves many clients", result.stdout + result.stderr)


def test_in_before_http_and_tls(start, authority):
    """The address that a trusted balancer names is the client's."""
    cert, key = authority.issue("in", "localhost", LOOPBACK)
    backend = NamedServer()
    plain, secure, stranger = free_port(), free_port(), free_port()
    listen = [{"name": name, "uri": f"{scheme}://{LOOPBACK}:{port}", "proxy_protocol": {"trusted": [trusted]}}
              for name, scheme, port, trusted in (("web", "http", plain, "127.0.0.1/32"), ("tls", "https", secure, "127.0.0.1/32"),
                                                  ("far", "http", stranger, "192.0.2.0/24"))]
    start({"listen": listen, "tls": {"cert": str(cert), "key": str(key)},
           "dispatch": [{"listener": one["name"], "handler": "proxy", "proxy_pass": f"http://{LOOPBACK}:{backend.port}", "proxy_protocol": "v1"}
                        for one in listen]})
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    v1 = b"PROXY TCP4 192.0.2.9 192.0.2.1 4444 80\r\n"
    v2 = V2 + b"\x21\x11\0\x0c\xc0\0\2\x09\xc0\0\2\1" + struct.pack(">HH", 4444, 80)
    for header in (v1, v2):
        with socket.create_connection((LOOPBACK, plain), timeout=5) as client:
            client.sendall(header + request)
            assert b"192.0.2.9 127.0.0.1 4444 %d" % plain in client.makefile("rb").read()
        with socket.create_connection((LOOPBACK, secure), timeout=5) as client:
            client.sendall(header)
            with authority.client().wrap_socket(client, server_hostname="localhost") as tls:
                tls.sendall(request)
                assert b"192.0.2.9 127.0.0.1 4444 %d" % secure in tls.makefile("rb").read()
    with socket.create_connection((LOOPBACK, plain), timeout=5) as client:  # must send one, and does not
        client.sendall(request)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""
    with socket.create_connection((LOOPBACK, stranger), timeout=5) as client:  # must not, and does: no header, no request
        client.sendall(v1 + request)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = client.makefile("rb").read()
        assert not answer.startswith(b"HTTP/1.1 200")
