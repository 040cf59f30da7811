"""What upstreams are asked to take, and what happens when their targets fail: limits, retries, ejection, groups, zones."""
import collections
import json
import socket
import threading
import time

from backends import Backend
from clients import Closed, Raw, fetch
from headgate import free_port, wait_for


def site(port, upstream, workers=None, **more):
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
            "upstreams": {"app": upstream},
            "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": "upstream://app"}], **more}


class Asker:
    """Sends requests at the same time, each on a connection and a thread of its own."""

    def __init__(self, port, targets, **more):
        self.answers = [None] * len(targets)

        def ask(index, target):
            self.answers[index] = fetch(port, target, **more)

        self.threads = [threading.Thread(target=ask, args=pair, daemon=True) for pair in enumerate(targets)]
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join(30)
        assert all(self.answers), self.answers
        return self.answers


def statuses(answers):
    return collections.Counter(answer.status for answer in answers)


def servers_of(port, count, target="/echo"):
    """How often each back end answered."""
    seen = collections.Counter()
    with Raw(port) as client:
        for _ in range(count):
            answer = client.request(target)
            assert answer.status == 200, answer
            seen[answer.all("x-backend")[0]] += 1
    return seen


def test_connections_are_limited_over_all_workers(start, backend):
    port = free_port()
    server = start(site(port, {"targets": [backend.url], "limits": {"connections": 3}}), workers=2)
    answers = Asker(port, ["/slow/0.05"] * 30).join()
    assert statuses(answers) == {200: 30}
    assert 1 <= backend.connections and backend.peak_open <= 3, (backend.connections, backend.peak_open)
    assert server.metrics().get('headgate_upstream_refused_total{limit="connections"}', 0) == 0


def test_connections_per_target_prefer_the_one_with_room(start, backend):
    port = free_port()
    with Backend(name="second") as second:
        start(site(port, {"targets": [backend.url, second.url], "limits": {"connections_per_target": 1}}))
        answers = Asker(port, ["/slow/0.3"] * 2).join()
        assert statuses(answers) == {200: 2}
        assert sorted(answer.all("x-backend")[0] for answer in answers) == ["app", "second"]
        answers = Asker(port, ["/slow/0.05"] * 12).join()
        assert statuses(answers) == {200: 12}
        assert backend.peak_open == 1 and second.peak_open == 1


def test_who_waits_too_long_for_a_connection_gets_503(start, backend):
    port = free_port()
    server = start(site(port, {"targets": [backend.url], "limits": {"connections": 1}}, timeouts={"connect": 0.3}))
    answers = Asker(port, ["/slow/1.2", "/slow/1.2"]).join()
    assert statuses(answers) == {200: 1, 503: 1}
    refused = next(answer for answer in answers if answer.status == 503)
    assert not refused.all("retry-after")
    assert server.metrics()['headgate_upstream_refused_total{limit="connections"}'] == 1
    assert fetch(port, "/echo").status == 200


def test_too_many_waiting_and_too_many_in_flight(start, backend):
    port = free_port()
    server = start(site(port, {"targets": [backend.url], "limits": {"connections": 1, "pending": 2}}))
    answers = Asker(port, ["/slow/0.4"] * 6).join()
    assert statuses(answers) == {200: 3, 503: 3}
    assert server.metrics()['headgate_upstream_refused_total{limit="pending"}'] == 3
    server.reload(site(port, {"targets": [backend.url], "limits": {"requests": 2}}))
    answers = Asker(port, ["/slow/0.4"] * 6).join()
    assert statuses(answers) == {200: 2, 503: 4}
    assert server.metrics()['headgate_upstream_refused_total{limit="requests"}'] == 4
    answers = Asker(port, ["/slow/0.1"] * 2).join()  # what was counted is given back
    assert statuses(answers) == {200: 2}


def test_grpc_clients_get_a_grpc_status_for_a_limit(start, backend):
    port = free_port()
    start(site(port, {"targets": [backend.url], "limits": {"requests": 1}}))
    slow = Asker(port, ["/slow/1"])
    wait_for(lambda: backend.open == 1, 3, "the first request at the back end")
    answer = fetch(port, "/shop.Cart/Get", "POST", headers=[("Content-Type", "application/grpc"), ("TE", "trailers")], body=b"\0\0\0\0\0")
    assert answer.status == 200 and answer.all("grpc-status") == ["14"], answer
    slow.join()


def test_connections_end_with_their_age(start, backend):
    port = free_port()
    start(site(port, {"targets": [backend.url], "keep_alive": {"max_age": 0.5}}))
    with Raw(port) as client:
        assert client.request("/echo").status == 200
        assert client.request("/echo").status == 200
        assert backend.connections == 1
        wait_for(lambda: backend.open == 0, 3, "the end of the old connection")
        assert client.request("/echo").status == 200
        assert backend.connections == 2


def test_requests_per_connection(start, backend):
    port = free_port()
    start(site(port, {"targets": [backend.url], "keep_alive": {"requests": 2}}))
    with Raw(port) as client:
        numbers = [json.loads(client.request("/echo").body)["connection"] for _ in range(5)]
    assert numbers == [1, 1, 2, 2, 3]


def test_a_target_that_fails_is_left_out_and_comes_back(start, backend):
    port = free_port()
    bad = Backend(name="bad")
    with bad:
        server = start(site(port, {"targets": [backend.url, bad.url], "retry_timeout_seconds": 1,
                                   "passive_health": {"failures": 3, "statuses": ["500-599"]}}))
        bad.failing = True  # answers 500 to everything
        seen = collections.Counter(fetch(port, "/echo").status for _ in range(20))
        assert seen == {200: 17, 500: 3}
        assert server.metrics()["headgate_upstream_ejections_total"] == 1
        bad.failing = False
        wait_for(lambda: fetch(port, "/echo").all("x-backend") == ["bad"], 4, "the target that recovered")


def test_groups_take_over_and_give_back(start, backend):
    port = free_port()
    spare = Backend(name="spare")
    with spare:
        start(site(port, {"targets": [backend.url, {"url": spare.url, "priority": 1}],
                          "health_check": {"path": "/echo", "interval": 0.1, "timeout": 0.5, "healthy": 1, "unhealthy": 1}}))
        assert servers_of(port, 20) == {"app": 20}
        backend.failing = True
        wait_for(lambda: fetch(port, "/echo").all("x-backend") == ["spare"], 4, "the next group")
        assert servers_of(port, 20) == {"spare": 20}
        backend.failing = False
        wait_for(lambda: fetch(port, "/echo").all("x-backend") == ["app"], 4, "the first group")
        assert servers_of(port, 20) == {"app": 20}


def test_zones(start, backend):
    port = free_port()
    with Backend(name="far") as far:
        targets = [{"url": backend.url, "zone": "a"}, {"url": far.url, "zone": "b"}]
        server = start(site(port, {"targets": targets, "zones": {"prefer_local": True}}, zone="a"))
        assert servers_of(port, 20) == {"app": 20}
        server.reload(site(port, {"targets": targets, "zones": {"prefer_local": True}}, zone="b"))
        assert servers_of(port, 20) == {"far": 20}
        server.reload(site(port, {"targets": targets, "zones": {"prefer_local": False}}, zone="b"))
        assert servers_of(port, 20) == {"app": 10, "far": 10}


def test_slow_start(start, backend):
    port = free_port()
    with Backend(name="new") as new:
        server = start(site(port, {"targets": [backend.url], "slow_start": 600}))
        assert servers_of(port, 5) == {"app": 5}
        server.reload(site(port, {"targets": [backend.url, new.url], "slow_start": 600}))
        seen = servers_of(port, 110)
        assert 5 <= seen["new"] <= 20, seen  # a tenth of its weight at first


def test_time_for_one_attempt(start, backend):
    port = free_port()
    with Backend(name="stuck") as stuck:
        stuck.pause = 5.0  # seconds before each answer
        server = start(site(port, {"targets": [stuck.url, backend.url],
                                   "retry": {"attempts": 2, "on": ["timeout"], "per_try": 0.3}, "passive_health": {"failures": 0}}))
        started = time.monotonic()
        for _ in range(4):
            answer = fetch(port, "/echo")
            assert answer.status == 200 and answer.all("x-backend") == ["app"]
        assert time.monotonic() - started < 4
        assert server.metrics()["headgate_upstream_retries_total"] >= 1
        server.reload(site(port, {"targets": [stuck.url], "retry": {"attempts": 1, "per_try": 0.3}}))
        assert fetch(port, "/echo").status == 504


def test_retries_by_status_and_on_a_rule(start, backend):
    port = free_port()
    with Backend(name="bad") as bad:
        bad.failing = True
        config = site(port, {"targets": [bad.url, backend.url], "retry": {"attempts": 2, "on": ["connect", 500]},
                             "retry_budget": {"percent": 100}, "passive_health": {"failures": 0}})
        config["dispatch"].append({"listener": "web", "handler": "proxy", "path": "/once/**", "proxy_pass": "upstream://app",
                                   "retry": {"attempts": 1}})
        start(config)
        assert collections.Counter(fetch(port, "/echo").status for _ in range(10)) == {200: 10}
        # Sent, and not idempotent: not repeated.
        assert 500 in {fetch(port, "/echo", "POST", body=b"x").status for _ in range(4)}
        assert collections.Counter(fetch(port, "/once/echo").status for _ in range(10)) == {200: 5, 500: 5}


class UntilClose:
    """Answers over TLS with a body that lasts until the end of the connection, which is announced (close_notify) or not."""

    def __init__(self, context, announced):
        self.context, self.announced = context, announced
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            try:
                secure = self.context.wrap_socket(plain, server_side=True)
                secure.recv(65536)
                secure.sendall(b"HTTP/1.1 200 OK\r\n\r\nall there is")
                if self.announced:
                    secure.unwrap()
                secure.close()
            except OSError:
                continue


def test_a_body_until_the_end_must_be_announced_over_tls(start, authority):
    for announced in (True, False):
        peer = UntilClose(authority.server(f"until-{announced}", "localhost"), announced)
        port = free_port()
        start(site(port, {"targets": [f"https://localhost:{peer.port}"], "tls": {"ca": str(authority.cert)}}))
        with Raw(port) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            if announced:
                assert client.response().body == b"all there is"
            else:  # never a complete message
                try:
                    answer = client.response()
                except (Closed, OSError, ValueError, AssertionError):
                    continue
                assert answer.status == 502, answer
        peer.listener.close()
