"""Overload: no descriptors, no memory, too many connections, and clients that are slow on purpose."""
import contextlib
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import time

import pytest

from clients import Raw, fetch, is_turned_away
from headgate import free_port, memory_kib, wait_for

OK = {"listener": "web", "handler": "respond", "status": 200, "body": "ok\n"}


def site(port, **more):
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}], "dispatch": [OK], **more}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connect_many(port, count, first=b""):
    found = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port), timeout=20)
        if first:
            one.sendall(first)
        found.append(one)
    return found


def close_all(connections):
    for one in connections:
        one.close()


@contextlib.contextmanager
def many_files():
    """This process may hold as many files as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_accepting_pauses_and_resumes(start):
    port = free_port()
    server = start(site(port))
    pid = server.serving_pid()
    assert fetch(port, "/").status == 200
    used = len(os.listdir(f"/proc/{pid}/fd"))
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 20, limits[1]))
    held = connect_many(port, 40)  # the kernel takes what the process cannot
    server.wait_log("accepting paused")
    before, lines = cpu_seconds(pid), server.log().count("accepting paused")
    time.sleep(2)
    assert cpu_seconds(pid) - before < 0.5  # it does not spin
    assert server.log().count("accepting paused") - lines <= 25
    with Raw(port) as waiting:  # in the queue behind the others
        waiting.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        close_all(held)
        assert waiting.response().status == 200
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert fetch(port, "/").status == 200


CGROUP = pathlib.Path("/sys/fs/cgroup/memory")


@pytest.fixture
def group():
    """An empty control group with a limit on memory."""
    path = CGROUP / f"headgate-e2e-{os.getpid()}"
    try:
        path.mkdir()
        (path / "memory.limit_in_bytes").write_text(str(512 << 20))
    except OSError as error:
        pytest.skip(f"no control group to be made here: {error}")
    yield path

    def removed():
        with contextlib.suppress(OSError):
            path.rmdir()
        return not path.exists()

    wait_for(removed, 10, "the end of the group's processes")


@pytest.fixture
def ballast(group):
    """A process of 100 MiB in the group, so that a percent is more than a few pages."""
    code = "import sys\nopen(sys.argv[1], 'w').write('0')\nb = bytearray(b'x' * (100 << 20))\nprint('full', flush=True)\nsys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code, str(group / "cgroup.procs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"full\n"
    yield
    process.stdin.close()
    process.wait(10)


def test_near_the_memory_limit_requests_are_shed(start, group, ballast):
    port = free_port()
    server = start(site(port), wait=False)
    (group / "cgroup.procs").write_text(str(server.process.pid))
    server.wait_ready()
    # The serving process that is born in the group finds its limits.
    before = server.serving_pid()
    server.signal(signal.SIGKILL, before)
    wait_for(lambda: server.serving_pid() not in (before, server.process.pid) and server.admin_answers(), 10, "the new serving process")
    client = Raw(port)
    assert client.request("/").status == 200

    def limit(share):
        used = int((group / "memory.usage_in_bytes").read_text())
        spare = int(re.search(r"^total_inactive_file (\d+)", (group / "memory.stat").read_text(), re.M)[1])
        (group / "memory.limit_in_bytes").write_text(str(int((used - spare) / share)))

    limit(0.925)
    wait_for(lambda: fetch(port, "/").status == 503, 5, "503")
    answer = client.request("/")  # on old connections, too
    assert answer.status == 503 and answer.all("retry-after") == ["1"]
    assert server.admin("/livez")[0] == 200  # no reason to restart it
    assert server.metrics()["headgate_http_requests_shed_total"] >= 2
    limit(0.97)
    server.wait_log("nothing is accepted")
    accepted = server.metrics()["headgate_downstream_connections_total"]
    with Raw(port) as waiting:
        waiting.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)
        assert server.metrics()["headgate_downstream_connections_total"] == accepted
        (group / "memory.limit_in_bytes").write_text(str(512 << 20))
        assert waiting.response().status == 200
    wait_for(lambda: client.request("/").status == 200, 5, "200 again")
    client.close()
    server.close()


def test_connections_of_one_address(start):
    port = free_port()
    server = start(site(port, timeouts={"max_connections_per_ip": 5}))
    held = connect_many(port, 5)
    wait_for(lambda: server.metrics()["headgate_downstream_connections_active"] == 5, 5, "five connections")
    assert is_turned_away(port)
    other = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=("127.0.0.2", 0))
    other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert other.recv(100).startswith(b"HTTP/1.1 200")
    assert server.metrics()['headgate_downstream_connections_refused_total{reason="per_ip"}'] == 1
    close_all(held + [other])
    wait_for(lambda: server.metrics()["headgate_downstream_connections_active"] == 0, 5, "their end")
    assert fetch(port, "/").status == 200


SLOW = {"timeouts": {"header": 1, "body": 1, "idle": 1}}


def closes_within(connection, seconds):
    """What came until the other side closed."""
    deadline, data = time.monotonic() + seconds, b""
    while True:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            piece = connection.recv(65536)
        except ConnectionResetError:
            return data
        except TimeoutError:
            raise AssertionError(f"still open after {seconds} s; came: {data[:200]!r}") from None
        if not piece:
            return data
        data += piece


def test_slow_heads_are_cut_off(start):
    port = free_port()
    start(site(port, **SLOW))
    held = connect_many(port, 200, b"GET / HTTP/1.1\r\nHost: x\r\n")
    began = time.monotonic()
    while time.monotonic() - began < 0.8:  # a byte now and then is not progress
        for one in held[:20]:
            one.sendall(b"X-A: b\r\n")
        time.sleep(0.1)
    assert fetch(port, "/").status == 200
    for one in held:
        answer = closes_within(one, 5)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408"), answer
    close_all(held)


def test_slow_bodies_are_cut_off(start, backend):
    port = free_port()
    start({**site(port, **SLOW), "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": backend.url}]})
    held = connect_many(port, 50, b"POST /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
    for one in held:
        answer = closes_within(one, 6)
        assert answer.startswith(b"HTTP/1.1 408"), answer
    close_all(held)
    wait_for(lambda: backend.open == 0, 3, "the end of the connections behind")
    assert fetch(port, "/echo").status == 200


def test_a_body_at_a_trickle_is_cut_off(start, backend):
    """Each byte comes in time, but at that rate the body would take a day."""
    port = free_port()
    start({**site(port, **SLOW), "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": backend.url}]})
    one = socket.create_connection(("127.0.0.1", port))
    one.sendall(b"POST /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    one.settimeout(0.2)
    deadline = time.monotonic() + 20
    answer = b""
    while time.monotonic() < deadline:
        try:
            one.sendall(b"x")
            answer += one.recv(1000)
            break
        except TimeoutError:
            continue
        except OSError:
            break
    assert time.monotonic() < deadline, "still taken after 20 s"
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408"), answer


def test_clients_that_do_not_read_are_cut_off(start, backend):
    port = free_port()
    server = start({"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}], "timeouts": {"send": 1},
                    "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": backend.url}]})
    held = []
    for _ in range(4):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", port))
        one.sendall(b"GET /bytes/20000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        held.append(one)
    wait_for(lambda: server.metrics()["headgate_downstream_connections_active"] <= 1, 8, "the end of those that do not read")
    wait_for(lambda: backend.open <= 1, 3, "the end of the connections behind")
    close_all(held)


def test_idle_connections_are_closed(start):
    port = free_port()
    start(site(port, **SLOW))
    held = connect_many(port, 100)
    with Raw(port) as kept:
        assert kept.request("/").status == 200
        assert kept.is_closed(5)
    for one in held:
        assert closes_within(one, 5) == b""
    close_all(held)


@pytest.mark.deadline(120)
def test_fifteen_thousand_idle_connections(start):
    with many_files() as limit:
        if limit < 16000:
            pytest.skip(f"only {limit} files per process")
        port = free_port()
        server = start(site(port, timeouts={"idle": 300, "header": 300}), args=["-c", "4096"], workers=2)
        pid = server.serving_pid()
        empty = memory_kib(pid)
        held = []
        try:
            with Raw(port) as client:
                for index in range(15000):
                    # One address has some 28,000 ports; other tests need some, too.
                    held.append(socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(f"127.0.1.{index % 100}", 0)))
                    if index % 500 == 0:
                        assert client.request("/").status == 200
                wait_for(lambda: server.metrics()["headgate_downstream_connections_active"] >= 15000, 20, "all of them")
                assert fetch(port, "/").status == 200
                assert client.request("/").status == 200
                for one in held[::1000]:  # they still work
                    one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert one.recv(1000).startswith(b"HTTP/1.1 200")
            per_connection = (memory_kib(pid) - empty) * 1024 / 15000
            assert per_connection < 2048, per_connection
        finally:
            close_all(held)
        wait_for(lambda: server.metrics()["headgate_downstream_connections_active"] == 0, 20, "their end")
