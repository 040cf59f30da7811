"""Reloads under load: nothing lost, no connection closed, new rules on old connections, bad files refused with reasons."""
import contextlib
import json
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from clients import Load, Raw, fetch
from headgate import free_port, memory_kib, run_headgate, wait_for


def config(port, generation, backend=None, **extra):
    rules = [{"listener": "web", "handler": "respond", "path": "/generation", "status": 200, "body": str(generation)}]
    if backend:
        rules.append({"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": backend.url})
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}], "dispatch": rules, **extra}


def generation(port):
    return fetch(port, "/generation").body.decode()


def test_reload_command_returns_when_it_is_done(start):
    port = free_port()
    server = start(config(port, 0), workers=2)
    with Raw(port) as client:
        for number in range(1, 11):
            server.reload(config(port, number))
            assert client.request("/generation").body == str(number).encode()  # an old connection, the new rules
            assert generation(port) == str(number)
    assert server.metrics()['headgate_config_reloads_total{result="applied"}'] >= 10


def test_hangup_signal(start):
    port = free_port()
    server = start(config(port, 0))
    server.write(config(port, 1))
    server.signal(signal.SIGHUP)
    wait_for(lambda: generation(port) == "1", 3, "the new rules")


def test_a_changed_file_is_noticed(start):
    port = free_port()
    server = start(config(port, 0))
    server.write(config(port, 1))
    wait_for(lambda: generation(port) == "1", 5, "the new rules")
    server.file.write_text(json.dumps(config(port, 2)))  # in place, as `echo >` does
    wait_for(lambda: generation(port) == "2", 5, "the new rules")


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_lost_under_load(start, backend, workers):
    port = free_port()
    server = start(config(port, 0, backend), workers=workers)
    with Load(port, connections=32) as load, Load(port, connections=4, new_connections=True) as fresh:
        for number in range(1, 41):
            server.reload(config(port, number, backend))
            time.sleep(0.04)
        kept = load.assert_nothing_lost(at_least=128)
        fresh.assert_nothing_lost(at_least=16)
    assert kept.closed == 0 and kept.connections == 32, f"{kept.closed} connections were closed by reloads"
    assert generation(port) == "40"


def test_nothing_is_lost_under_wrk(start):
    port = free_port()
    server = start(config(port, 0), workers=2)
    wrk = subprocess.Popen(["wrk", "-t1", "-c64", "-d3s", f"http://127.0.0.1:{port}/generation"], stdout=subprocess.PIPE, text=True)
    count = 0
    while wrk.poll() is None:
        count += 1
        server.reload(config(port, count))
        time.sleep(0.03)
    output = wrk.stdout.read()
    assert "Socket errors" not in output and "Non-2xx" not in output, output
    assert count >= 3


def test_a_running_answer_is_finished_by_the_old_rules(start, backend):
    port = free_port()
    server = start(config(port, 0, backend))
    with Raw(port) as client:
        client.send("GET /trickle/20 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: backend.requests, 3, "the request at the back end")
        server.reload(config(port, 1))  # the proxy rule is gone
        assert client.response().body == b"".join(b"piece%02d" % i for i in range(20))
        assert client.request("/trickle/1").status == 404


def test_listeners_come_and_go(start):
    old, new = free_port(), free_port()
    server = start(config(old, 0))
    with Raw(old) as client:
        assert client.request("/generation").status == 200
        server.reload(config(new, 1))
        # What was open is served to its end.
        answer = client.request("/generation")
        assert answer.status in (200, 404) and answer["connection"] == "close"
        assert generation(new) == "1"
        with pytest.raises(ConnectionRefusedError):
            Raw(old)
    server.reload({**config(new, 2), "listen": [{"name": "web", "uri": f"http://127.0.0.1:{new}"}, {"name": "two", "uri": f"http://127.0.0.1:{old}"}],
                   "dispatch": [{"listener": name, "handler": "respond", "status": 200, "body": name} for name in ("web", "two")]})
    assert fetch(old).body == b"two" and fetch(new).body == b"web"


def test_what_has_gone_serves_its_connections(start, backend):
    """A listener, its route and their target leave the file; whoever is connected gets one more answer from all three."""
    old, new = free_port(), free_port()
    server = start({"listen": [{"name": "old", "uri": f"http://127.0.0.1:{old}"}], "upstreams": {"app": {"targets": [f"http://127.0.0.1:{backend.port}"]}},
                    "dispatch": [{"listener": "old", "handler": "proxy", "path": "/**", "proxy_pass": "upstream://app"}]})
    with Raw(old) as client:
        assert client.request("/tiny").status == 200
        for number in range(1, 4):
            server.reload(config(new, number))
        answer = client.request("/tiny")
        assert answer.status == 200 and answer["connection"] == "close", answer
    assert generation(new) == "3"


def test_answers_under_way_outlive_their_file(start, backend, tmp_path):
    """Whatever an answer still needs when its route, filters and target have left the file is there until it ends."""
    (tmp_path / "big.bin").write_bytes(bytes(range(256)) * 16384)
    port = free_port()
    rules = {"plain": {}, "packed": {"compress": {"encodings": ["gzip"], "min_bytes": 1}}, "metered": {"bandwidth": {"bytes_per_second": 200000, "after": 50000}},
             "watched": {"limit_connections": {"connections": 9}, "cors": {}, "hsts": {}, "error_pages": {"statuses": [404], "body": "lost"}}}
    server = start({"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}], "upstreams": {"app": {"targets": [backend.url]}},
                    "dispatch": [*({"listener": "web", "handler": "proxy", "path": f"/{name}/**", "strip_prefix": f"/{name}", "proxy_pass": "upstream://app",
                                    **filters} for name, filters in rules.items()),
                                 {"listener": "web", "handler": "static", "path": "/files/**", "strip_prefix": "/files", "root": str(tmp_path)}]})
    paths = {"/plain/trickle/30": 210, "/packed/trickle/30": None, "/metered/bytes/400000": 400000, "/watched/trickle/30": 210, "/files/big.bin": 4 << 20}
    with contextlib.ExitStack() as stack:
        clients = {path: stack.enter_context(Raw(port)) for path in paths}
        for path, client in clients.items():
            client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nAccept-Encoding: gzip\r\n\r\n")
        over_h2 = subprocess.Popen(["curl", "-sS", "--http2-prior-knowledge", f"http://127.0.0.1:{port}/plain/trickle/30"], stdout=subprocess.PIPE)
        wait_for(lambda: len(backend.requests) >= 5, 5, "the requests at the back end")
        time.sleep(0.2)
        for number in range(4):
            server.reload(config(port, number))
        for path, size in paths.items():
            answer = clients[path].response()
            assert answer.status == 200 and size in (None, len(answer.body)), (path, answer.status, len(answer.body))
            assert clients[path].request("/generation").body == b"3", path
        assert len(over_h2.communicate(timeout=10)[0]) == 210


BAD = [
    ("not json", "{", r":1:2|:1:1|:2:1"),
    ("unknown key", '{"listen": [], "lissten": []}', r"lissten"),
    ("duplicate key", '{"listen": [], "listen": []}', r"listen"),
    ("unknown listener", '{"listen": ["http://:PORT"], "dispatch": [{"listener": "nobody", "handler": "echo"}]}', r"nobody"),
    ("unknown handler", '{"listen": ["http://:PORT"], "dispatch": [{"listener": "http://:PORT", "handler": "magic"}]}', r"magic"),
    ("unknown upstream", '{"listen": ["http://:PORT"], "dispatch": [{"listener": "http://:PORT", "handler": "proxy", "proxy_pass": "upstream://x"}]}', r"x"),
]


@pytest.mark.parametrize(("text", "said"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_file_keeps_the_old_one(start, text, said):
    port = free_port()
    server = start(config(port, "good"))
    message = server.reload(text.replace("PORT", str(port)), expect=1)
    assert re.search(said, message) and re.search(r"site\.json:\d+:\d+", message), message
    assert generation(port) == "good"
    assert server.metrics()['headgate_config_reloads_total{result="refused"}'] >= 1
    server.reload(config(port, "better"))
    assert generation(port) == "better"


def test_all_problems_at_once(start, tmp_path):
    file = tmp_path / "bad.json"
    file.write_text('{\n  "listen": [{"name": "web", "uri": "gopher://:70"}],\n  "timeouts": {"header": -1},\n'
                    '  "dispatch": [{"listener": "web", "handler": "static"},\n               {"listener": "nobody", "handler": "echo"}]\n}\n')
    result = run_headgate("check", file)
    said = result.stdout + result.stderr
    assert result.returncode != 0
    for place in (":2:", ":3:", ":5:"):
        assert f"bad.json{place}" in said, said
    for path in ("$.listen[0].uri", "$.timeouts.header", "$.dispatch[1].listener"):
        assert path in said, said


def test_a_port_that_is_taken(start):
    port, taken = free_port(), free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen()
        server = start(config(port, "good"))
        message = server.reload(config(taken, "bad"), expect=1)
        assert str(taken) in message
        assert generation(port) == "good"


def test_reloads_at_once_are_all_answered(start):
    port = free_port()
    server = start(config(port, 0))
    results = []
    threads = [threading.Thread(target=lambda: results.append(server.control("reload").returncode)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == [0] * 8


@pytest.mark.memory
def test_memory_stays_flat_over_reloads(start):
    port = free_port()

    def big(number):
        more = [{"listener": "web", "handler": "respond", "path": f"/r{i}", "status": 200, "body": f"{i} {number}"} for i in range(500)]
        base = config(port, number)
        return {**base, "dispatch": base["dispatch"] + more}

    server = start(big(0))
    for number in range(10):
        server.reload(big(number))
    before = memory_kib(server.serving_pid(), "Private_Dirty")
    for number in range(60):
        server.reload(big(number))
    assert memory_kib(server.serving_pid(), "Private_Dirty") - before < 2048
