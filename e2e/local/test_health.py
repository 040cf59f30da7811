"""Active health checks: over TLS, over HTTP/2, by connecting, and by grpc.health.v1."""
import socket
import threading

import h2.config
import h2.connection
import h2.events
import pytest

from backends import Backend
from clients import fetch
from headgate import free_port, wait_for
from http2_backend import Http2Backend

QUICK = {"interval": 0.1, "timeout": 1, "healthy": 1, "unhealthy": 1}


class GrpcHealth:
    """A grpc.health.v1 server: `statuses` by service; 1 is SERVING. A service it does not know is NOT_FOUND."""

    def __init__(self, **statuses):
        self.statuses = {name.replace("_", "."): status for name, status in statuses.items()}
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        state.initiate_connection()
        connection.sendall(state.data_to_send())
        body, heads = {}, {}
        try:
            while data := connection.recv(65536):
                for event in state.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        heads[event.stream_id] = dict(event.headers)
                    elif isinstance(event, h2.events.DataReceived):
                        body[event.stream_id] = body.get(event.stream_id, b"") + event.data
                        state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, h2.events.StreamEnded):
                        self._answer(state, event.stream_id, heads[event.stream_id], body.get(event.stream_id, b""))
                connection.sendall(state.data_to_send())
        except OSError:
            pass
        connection.close()

    def _answer(self, state, stream, head, body):
        assert head[":path"] == "/grpc.health.v1.Health/Check" and head["content-type"].startswith("application/grpc"), head
        assert head["te"] == "trailers" and body[0] == 0 and int.from_bytes(body[1:5], "big") == len(body) - 5
        service = body[7:].decode() if len(body) > 5 else ""
        self.asked.append(service)
        if service not in self.statuses:
            state.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5")], end_stream=True)
            return
        state.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        state.send_data(stream, b"\0\0\0\0\2\x08" + bytes([self.statuses[service]]))
        state.send_headers(stream, [("grpc-status", "0")], end_stream=True)


def config(port, targets, check, **upstream):
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
            "upstreams": {"app": {"targets": targets, "health_check": {**QUICK, **check}, **upstream}},
            "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": "upstream://app"}]}


def answers_from(port, name):
    return lambda: fetch(port, "/echo").all("x-backend") == [name]


def test_https_targets_are_checked_over_tls(start, authority):
    with Backend(name="first", tls=authority.server("first", "localhost")) as first, \
            Backend(name="spare", tls=authority.server("spare", "localhost")) as spare:
        port = free_port()
        server = start(config(port, [f"https://localhost:{first.port}", {"url": f"https://localhost:{spare.port}", "priority": 1}],
                              {"path": "/echo"}, tls={"ca": str(authority.cert)}))
        wait_for(lambda: first.requests and spare.requests, 5, "checks")
        assert "GET /echo HTTP/1.1" in first.heads()[0] and "headgate-health-check" in first.heads()[0]
        assert answers_from(port, "first")()
        assert "unhealthy" not in server.log()
        first.failing = True
        wait_for(answers_from(port, "spare"), 5, "the second group")
        first.failing = False
        wait_for(answers_from(port, "first"), 5, "the first group again")


def test_a_check_verifies_what_a_request_would_verify(start, authority):
    with Backend(name="wrong", tls=authority.server("wrong", "other.test")) as wrong, \
            Backend(name="right", tls=authority.server("right", "localhost")) as right:
        port = free_port()
        server = start(config(port, [f"https://localhost:{wrong.port}", {"url": f"https://localhost:{right.port}", "priority": 1}],
                              {"path": "/echo"}, tls={"ca": str(authority.cert)}))
        server.wait_log("unhealthy.*TLS handshake failed")
        wait_for(answers_from(port, "right"), 5, "the target whose certificate is right")
        assert not wrong.requests


@pytest.mark.parametrize("tls", [False, True])
def test_connecting_is_enough(start, authority, tls):
    name = "localhost" if tls else "127.0.0.1"
    scheme = "https" if tls else "http"
    more = {"tls": {"ca": str(authority.cert)}} if tls else {}
    dead = free_port()
    with Backend(name="alive", tls=authority.server("alive", "localhost") if tls else None) as alive:
        port = free_port()
        server = start(config(port, [f"{scheme}://{name}:{dead}", {"url": f"{scheme}://{name}:{alive.port}", "priority": 1}],
                              {"kind": "tcp"}, **more))
        server.wait_log("unhealthy.*connection refused")
        wait_for(answers_from(port, "alive"), 5, "the target that accepts")
        assert all("/echo" in head for head in alive.heads())  # ours; a check sends nothing


def test_tcp_relays_avoid_targets_that_do_not_accept(start, backend):
    port, dead = free_port(), free_port()
    server = start({"listen": [{"name": "relay", "uri": f"tcp://127.0.0.1:{port}"}],
                    "upstreams": {"app": {"targets": [f"tcp://127.0.0.1:{dead}", f"tcp://127.0.0.1:{backend.port}"], "health_check": QUICK,
                                          "retry": {"attempts": 1}}},
                    "dispatch": [{"listener": "relay", "handler": "forward", "forward_to": "upstream://app"}]})
    server.wait_log("unhealthy.*connection refused")
    assert all(fetch(port, "/echo").status == 200 for _ in range(6))


def test_grpc_health(start, backend):
    port = free_port()
    with GrpcHealth(shop_Cart=1) as health, Backend(name="spare") as spare:
        targets = [backend.url, {"url": spare.url, "priority": 1}]
        server = start(config(port, targets, {"kind": "grpc", "port": health.port, "service": "shop.Cart"}))
        wait_for(lambda: "shop.Cart" in health.asked, 5, "a check")
        assert answers_from(port, "app")()
        health.statuses["shop.Cart"] = 2
        server.wait_log("unhealthy.*not serving")
        health.statuses["shop.Cart"] = 1
        server.wait_log("endpoint is healthy")
        del health.statuses["shop.Cart"]  # NOT_FOUND
        server.wait_log("unhealthy.*the gRPC call failed")
        health.statuses[""] = 1
        server.reload(config(port, targets, {"kind": "grpc", "port": health.port}))
        wait_for(lambda: "" in health.asked, 5, "a check of the whole server")


@pytest.mark.parametrize("tls", [False, True])
def test_http2_targets_are_asked_over_http2(start, authority, tls):
    context = authority.server("h2", "localhost") if tls else None
    if tls:
        context.set_alpn_protocols(["h2"])
    scheme, name, more = ("h2", "localhost", {"tls": {"ca": str(authority.cert)}}) if tls else ("h2c", "127.0.0.1", {})
    with Http2Backend(tls=context) as first, Http2Backend(tls=context) as spare:
        def targets(path):
            port = free_port()
            upstreams = [f"{scheme}://{name}:{first.port}", {"url": f"{scheme}://{name}:{spare.port}", "priority": 1}]
            return config(port, upstreams, {"path": path, "expect": [200]}, **more)

        def checks(backend):
            return [fields for _, fields, _ in backend.requests if dict(fields).get("user-agent") == "headgate-health-check"]

        server = start(targets("/echo"))
        wait_for(lambda: checks(first) and checks(spare), 5, "checks")
        asked = dict(checks(first)[0])
        assert (asked[":method"], asked[":path"], asked[":scheme"]) == ("GET", "/echo", "https" if tls else "http")
        assert asked[":authority"] == f"{name}:{first.port}"
        assert "unhealthy" not in server.log()
        server.reload(targets("/status/503"))
        server.wait_log("unhealthy.*unexpected status")
        server.reload(targets("/status/200"))
        server.wait_log("endpoint is healthy")
        server.reload(targets("/reset/2"))
        server.wait_log("unhealthy.*stream reset")
