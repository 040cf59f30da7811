"""Processes and signals: drain, crashes of the serving process, upgrades in place, log rotation, exact limits."""
import os
import pathlib
import resource
import signal
import socket
import threading
import time

import pytest

from clients import Closed, Load, Raw, fetch
from headgate import children, free_port, is_alive, memory_kib, wait_for


def config(port, backend=None, **extra):
    rules = [{"listener": "web", "handler": "respond", "path": "/hello", "status": 200, "body": "hello"}]
    if backend:
        rules.append({"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": backend.url})
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}], "dispatch": rules, **extra}


def test_a_parent_and_a_serving_process(start):
    port = free_port()
    server = start(config(port))
    parent, child = server.process.pid, server.serving_pid()
    assert parent != child and children(parent) == [child]
    assert len(os.listdir(f"/proc/{parent}/task")) == 1, "the parent is one thread"


def test_without_a_parent(start):
    port = free_port()
    server = start(config(port), args=["-no-parent"])
    assert children(server.process.pid) == []
    assert fetch(port, "/hello").status == 200


@pytest.mark.memory
def test_idle_memory(start):
    server = start(config(free_port()))
    time.sleep(0.5)
    total = sum(memory_kib(pid) for pid in server.processes())
    assert total <= 9 * 1024, f"{total} KiB"


def test_terminate_drains(start, backend):
    port = free_port()
    server = start(config(port, backend, timeouts={"drain": 5}))
    with Raw(port) as busy, Raw(port) as idle:
        assert idle.request("/hello").status == 200
        busy.send("GET /slow/1 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: backend.requests, 3, "the request at the back end")
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        answer = busy.response()
        assert answer.status == 200 and answer.body == b"slow" and answer["connection"] == "close"
    assert server.wait_exit(3) == 0
    assert 0.5 < time.monotonic() - began < 3, "ends with the last request, not at the deadline"


def test_drain_deadline(start, backend):
    port = free_port()
    server = start(config(port, backend, timeouts={"drain": 1}))
    with Raw(port) as client:
        client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: backend.requests, 3, "the request at the back end")
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait_exit(4) == 0
        assert 0.7 < time.monotonic() - began < 2.5


def test_second_signal_ends_at_once(start, backend):
    port = free_port()
    server = start(config(port, backend, timeouts={"drain": 30}))
    with Raw(port) as client:
        client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: backend.requests, 3, "the request at the back end")
        server.signal(signal.SIGTERM)
        time.sleep(0.3)
        server.signal(signal.SIGTERM)
        server.wait_exit(2)
    server.expected_exit = server.process.returncode
    assert server.process.returncode in (0, 1, -signal.SIGTERM, 128 + signal.SIGTERM)


def test_drain_command(start):
    port = free_port()
    server = start(config(port))
    assert server.control("drain").returncode == 0
    assert server.wait_exit(5) == 0


def kill_and_watch(server, port, number, times):
    """Kills the serving process under load: connections to it end, but none is refused and a new one serves soon."""
    with Load(port, connections=16, target="/echo") as load:
        for _ in range(times):
            before = server.serving_pid()
            os.kill(before, number)
            wait_for(lambda before=before: server.serving_pid() not in (before, server.process.pid), 5, "a new serving process")
            answered = load.tally.answered
            wait_for(lambda answered=answered: load.tally.answered > answered + 30, 8, "answers again")
        tally = load.stop()
    assert not tally.refused, tally.refused[:3]
    assert not tally.wrong, tally.wrong[:3]
    assert len(tally.lost) <= 16 * times, (len(tally.lost), tally.lost[:5])  # at most one request per connection


def test_killed_serving_process_refuses_nobody(start, backend):
    port = free_port()
    server = start(config(port, backend), workers=2)
    kill_and_watch(server, port, signal.SIGKILL, 3)
    server.wait_log(r"(?i)signal 9|killed", 2)


def test_crashed_serving_process_refuses_nobody(start, backend):
    port = free_port()
    server = start(config(port, backend), workers=2)
    server.alarms_allowed = "AddressSanitizer"  # a sanitizer build reports the SIGSEGV that we send
    kill_and_watch(server, port, signal.SIGSEGV, 2)
    server.wait_log(r"(?i)signal 11|segmentation|segv", 2)


def test_a_crash_comes_back_with_the_last_good_file(start):
    port = free_port()
    server = start(config(port))
    server.reload("{ this is broken", expect=1)
    before = server.serving_pid()
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: server.serving_pid() not in (before, server.process.pid), 5, "a new serving process")
    wait_for(lambda: fetch(port, "/hello").body == b"hello", 5, "the last good configuration")


def test_parent_that_dies_takes_the_child_along(start):
    server = start(config(free_port()))
    child = server.serving_pid()
    os.kill(server.process.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(child), 5, "the serving process ends")
    server.expected_exit = -signal.SIGKILL


@pytest.mark.parametrize("how", ["signal", "command"])
def test_upgrade_under_load(start, backend, how):
    port = free_port()
    server = start(config(port, backend, timeouts={"drain": 3}), workers=2)
    parent = server.process.pid
    with Load(port, connections=16) as load, Load(port, connections=2, new_connections=True) as fresh:
        for _ in range(3):
            before = server.serving_pid()
            if how == "signal":
                server.signal(signal.SIGUSR2)
            else:
                assert server.control("upgrade").returncode == 0
            wait_for(lambda before=before: server.serving_pid() not in (before, parent) and server.admin_answers(), 8, "the new serving process")
            wait_for(lambda before=before: not is_alive(before), 8, "the old one has drained")
            server.seen |= set(server.processes())
        load.assert_nothing_lost(at_least=64)
        fresh.assert_nothing_lost(at_least=16)
    assert server.process.poll() is None and server.process.pid == parent, "the pid stays"
    assert children(parent) == [server.serving_pid()]


def workers_of(pid):
    names = [pathlib.Path(f"/proc/{pid}/task/{task}/comm").read_text() for task in os.listdir(f"/proc/{pid}/task")]
    return sum(name.startswith("worker-") for name in names)


def test_upgrade_to_fewer_workers_and_back_under_load(start, backend):
    port = free_port()
    all_cpus = os.sched_getaffinity(0)
    server = start(config(port, backend, timeouts={"drain": 3}), workers=None)
    most = workers_of(server.serving_pid())
    if most < 2:
        pytest.skip("one CPU, one worker")
    parent = server.process.pid
    with Load(port, connections=8) as load, Load(port, connections=8, new_connections=True) as fresh:
        for cpus, expected in [({min(all_cpus)}, 1), (all_cpus, most), ({min(all_cpus)}, 1)]:
            before, answered = server.serving_pid(), fresh.tally.answered
            os.sched_setaffinity(parent, cpus)  # the next serving process inherits it
            assert server.control("upgrade").returncode == 0
            wait_for(lambda before=before: server.serving_pid() not in (before, parent) and server.admin_answers(), 8, "the new serving process")
            wait_for(lambda before=before: not is_alive(before), 8, "the old one has drained")
            server.seen |= set(server.processes())
            assert workers_of(server.serving_pid()) == expected
            wait_for(lambda answered=answered: fresh.tally.answered > answered + 200, 20, "answers to new connections")
        load.assert_nothing_lost(at_least=64)
        fresh.assert_nothing_lost(at_least=64)


def test_drain_waits_for_datagram_flows(start):
    port = free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        target.bind(("127.0.0.1", 0))
        target.settimeout(5)
        client.settimeout(5)
        server = start({"listen": [{"name": "game", "uri": f"udp://127.0.0.1:{port}"}], "timeouts": {"drain": 10},
                        "dispatch": [{"listener": "game", "handler": "forward", "timeout": 2,
                                      "forward_to": f"udp://127.0.0.1:{target.getsockname()[1]}"}]})
        client.sendto(b"hello", ("127.0.0.1", port))
        data, flow = target.recvfrom(100)
        assert data == b"hello"
        server.signal(signal.SIGTERM)
        server.wait_log("draining")
        time.sleep(0.5)
        assert is_alive(server.serving_pid())
        target.sendto(b"late", flow)
        assert client.recv(100) == b"late"
        assert server.wait_exit(8) == 0  # when the flow was idle for its time


def test_log_files_are_reopened(start, tmp_path):
    port = free_port()
    log = tmp_path / "access.log"
    server = start(config(port, logging={"access_log": str(log), "format": "json"}))
    fetch(port, "/hello?before")
    wait_for(lambda: log.exists() and "before" in log.read_text(), 3, "a line")
    log.rename(tmp_path / "access.log.1")
    server.signal(signal.SIGUSR1)
    wait_for(log.exists, 3, "a new file")
    fetch(port, "/hello?after")
    wait_for(lambda: "after" in log.read_text(), 3, "a line in the new file")
    assert "after" not in (tmp_path / "access.log.1").read_text()
    log.rename(tmp_path / "access.log.2")
    assert server.control("reopen").returncode == 0
    wait_for(log.exists, 3, "a new file")


@pytest.mark.parametrize("workers", [1, 2])
def test_max_connections_is_exact_over_all_workers(start, workers):
    port = free_port()
    start(config(port, limits={"connections": 50}), workers=workers)
    time.sleep(0.3)  # the connection that found the server ready has left by then
    clients = []
    try:
        for number in range(50):
            clients.append(Raw(port))
            assert clients[-1].request("/hello").status == 200, number
        for _ in range(10):
            try:  # one too many is reset, which may show as early as in connect()
                with Raw(port) as extra:
                    assert extra.request("/hello").status == 503
            except (Closed, ConnectionError):
                pass
        clients.pop().close()
        wait_for(lambda: answered(port), 3, "a free place is given away")
    finally:
        for client in clients:
            client.close()


def answered(port):
    try:
        return fetch(port, "/hello").status == 200
    except (Closed, ConnectionError):
        return False


def test_max_connections_per_ip(start):
    port = free_port()
    start(config(port, timeouts={"max_connections_per_ip": 10}), workers=2)
    clients = [Raw(port) for _ in range(10)]
    try:
        for client in clients:
            assert client.request("/hello").status == 200
        assert not answered(port)
        for client in clients[:5]:
            client.close()
        wait_for(lambda: answered(port), 3, "a free place")
    finally:
        for client in clients:
            client.close()


def cpu_ticks(pid):
    return sum(int(ticks) for ticks in pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])


def wake_ups(pids):
    tasks = [pathlib.Path(f"/proc/{pid}/task/{task}/status") for pid in pids for task in os.listdir(f"/proc/{pid}/task")]
    return sum(int(line.split()[1]) for task in tasks for line in task.read_text().splitlines() if line.startswith("voluntary"))


def test_out_of_descriptors_recovers(start):
    port = free_port()
    server = start(config(port))
    resource.prlimit(server.serving_pid(), resource.RLIMIT_NOFILE, (80, 80))
    clients = []
    try:
        for _ in range(120):  # more than it may hold
            clients.append(Raw(port))
        time.sleep(0.3)
        before = cpu_ticks(server.serving_pid())
        time.sleep(1)
        assert cpu_ticks(server.serving_pid()) - before <= 10, "spins while it has no descriptors"
        assert len(server.log().splitlines()) < 60
    finally:
        for client in clients:
            client.close()
    wait_for(lambda: answered(port), 3, "accepts again")


def test_stuck_log_pipe_does_not_stop_the_server(start, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # there, but never reads
    try:
        port = free_port()
        start(config(port, logging={"access_log": str(pipe)}))
        with Raw(port) as client:
            for _ in range(3000):
                assert client.request("/hello").status == 200
    finally:
        os.close(reader)


def test_idle_process_sleeps(start):
    server = start(config(free_port()), workers=2)
    time.sleep(1)
    before = wake_ups(server.processes())
    time.sleep(3)
    assert wake_ups(server.processes()) - before <= 12, "wakes up although there is nothing to do"


def test_many_at_once(start, backend):
    """Connections from several threads while the configuration and the process change under them."""
    port = free_port()
    server = start(config(port, backend, timeouts={"drain": 2}), workers=2)
    stop = threading.Event()

    def reloads():
        number = 0
        while not stop.wait(0.1):
            number += 1
            server.reload(config(port, backend, timeouts={"drain": 2}, dns_ttl=number))

    thread = threading.Thread(target=reloads)
    with Load(port, connections=24) as load:
        thread.start()
        time.sleep(3)
        stop.set()
        thread.join()
        tally = load.assert_nothing_lost(at_least=96)
    assert tally.closed == 0
