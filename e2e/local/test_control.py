"""The configuration stream with the real binary: pushes, rejects, a controller that dies, starts without one."""
import os
import signal
import socket
import stat
import time

import pytest

from clients import Load, fetch
from controller_stub import Controller
from headgate import free_port, memory_kib, run_headgate, wait_for


def site(port, body="first", name="web", **routes):
    rules = [{"listener": name, "handler": "respond", "path": "/hello", "status": 200, "body": body}]
    rules += [{"listener": name, "handler": "respond", "path": path, "status": 200, "body": text}
              for path, text in routes.items()]
    return {"listen": [{"name": name, "uri": f"http://127.0.0.1:{port}"}], "dispatch": rules}


def says(port, text, path="/hello"):
    def answer():
        try:
            return fetch(port, path).body.decode() == text
        except OSError:
            return False
    return answer


@pytest.fixture
def controller():
    with Controller() as running:
        yield running


def test_a_push_is_served_and_answered(start, controller):
    port = free_port()
    controller.publish(site(port))
    server = start(args=[*controller.arguments, "-node-id", "edge-1"], workers=2)
    assert fetch(port, "/hello").body == b"first", "ready means that the first complete state serves"
    facts = wait_for(lambda: [one for one in controller.facts() if one.get("digest")], 5, "an Ack")[0]
    assert facts["node"]["id"] == "edge-1" and "rejects" not in facts
    wait_for(lambda: controller.facts()[0].get("lifecycle") == "LIFECYCLE_READY", 5, "the report of readiness")
    assert controller.facts()[0]["listeners"] == [{"name": "web", "state": "BOUND"}]
    controller.publish(site(port, "second"))
    wait_for(says(port, "second"), 5, "the second push")
    assert server.metrics()["headgate_control_connected"] == 1
    assert server.control("reload").returncode == 0, "there is no file: nothing to do, no mistake"


def test_not_ready_before_the_controller_has_spoken(start, controller):
    port = free_port()
    server = start(args=controller.arguments, wait=False)
    wait_for(lambda: server.socket.exists(), 5, "the admin socket")
    time.sleep(0.3)
    status, text = server.admin("/readyz")
    assert status == 503 and "controller" in text
    controller.publish(site(port))
    server.wait_ready()
    assert fetch(port, "/hello").body == b"first"


def test_a_controller_that_is_killed_changes_nothing(start):
    port = free_port()
    with Controller() as first:
        first.publish(site(port))
        server = start(args=first.arguments, workers=2)
        control_port = first.port
        with Load(port, connections=4, target="/hello", check=lambda *_: True) as load:
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait()
            wait_for(lambda: server.metrics()["headgate_control_connected"] == 0, 5, "the end of the stream")
            time.sleep(0.5)
            assert server.admin("/readyz")[0] == 200
            with Controller(control_port) as second:
                second.publish(site(port, "second"))
                wait_for(says(port, "second"), 20, "the push of the controller that came back")
            tally = load.stop()
    assert tally.answered > 0 and not tally.lost and not tally.refused


def test_names_are_not_remembered_for_long_without_a_controller(start):
    port = free_port()
    names = {"listen": [{"name": "names", "uri": f"udp://127.0.0.1:{port}"}], "dispatch": [{"listener": "names", "handler": "dns"}],
             "dns": {"app.test": {"A": "192.0.2.1", "TTL": 3600}}}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(("127.0.0.1", port))

        def ttl():
            client.send(b"\0\7\1\0\0\1\0\0\0\0\0\0\3app\4test\0\0\1\0\1")
            answer = client.recv(512)
            assert answer.endswith(b"\0\4\xc0\0\2\1")
            return int.from_bytes(answer[-10:-6], "big")

        with Controller() as first:
            first.publish(names)
            start(args=first.arguments)
            control_port = first.port
            assert ttl() == 3600
        wait_for(lambda: ttl() == 30, 20, "a short TTL", every=0.5)
        with Controller(control_port) as second:
            second.publish(names)
            wait_for(lambda: ttl() == 3600, 20, "the TTL of before", every=0.2)


def test_restart_without_a_controller_serves_what_was_last_good(start, tmp_path):
    port = free_port()
    with Controller() as controller:
        controller.publish(site(port))
        server = start(args=[*controller.arguments, "-state-dir", tmp_path])
        wait_for(lambda: (tmp_path / "last-good").exists(), 10, "the last-good file")
        assert stat.S_IMODE((tmp_path / "last-good").stat().st_mode) == 0o600
        arguments = controller.arguments
    server.close()
    again = start(args=[*arguments, "-state-dir", tmp_path], wait=False)
    wait_for(says(port, "first"), 10, "the last-good resources")
    wait_for(again.socket.exists, 10, "the admin socket")
    assert again.admin("/readyz")[0] == 503, "the controller still has 15 seconds"
    again.wait_ready(20)
    with open(tmp_path / "last-good", "r+b") as file:
        file.seek(40)
        file.write(b"xxxx")
    again.close()
    damaged = start(args=[*arguments, "-state-dir", tmp_path], wait=False)
    damaged.wait_log("last-good file cannot be used")


def test_a_crash_without_a_controller_loses_no_configuration(start):
    port = free_port()
    with Controller() as controller:
        controller.publish(site(port))
        server = start(args=controller.arguments)
        time.sleep(2.5)  # until the parent has it
    child = server.serving_pid()
    server.signal(signal.SIGKILL, child)
    wait_for(lambda: server.serving_pid() != child, 5, "another serving process")
    wait_for(says(port, "first"), 10, "what the process before served")


def test_a_listener_that_cannot_be_bound_is_reported_and_the_rest_serves(start, controller):
    port, taken = free_port(), free_port()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", taken))
        other.listen()
        both = site(port)
        both["listen"].append({"name": "late", "uri": f"http://127.0.0.1:{taken}"})
        both["dispatch"].append({"listener": "late", "handler": "respond", "path": "/hello", "status": 200, "body": "late"})
        controller.publish(both)
        start(args=controller.arguments)
        assert fetch(port, "/hello").body == b"first"
        facts = wait_for(lambda: [one for one in controller.facts() if one.get("rejects")], 5, "a reject")[0]
        assert facts["rejects"][0]["rule"] == "bind" and facts["rejects"][0]["key"]["name"] == "late"
        states = wait_for(lambda: controller.facts()[0].get("listeners"), 5, "states of listeners")
        assert {one["name"]: one["state"] for one in states} == {"web": "BOUND", "late": "BIND_FAILED"}
    wait_for(says(taken, "late"), 10, "the next try, when the address is free")
    states = wait_for(lambda: all(one["state"] == "BOUND" for one in controller.facts()[0]["listeners"]), 5, "the report")
    assert states


def test_a_file_and_a_stream(start, controller):
    port, static = free_port(), free_port()
    controller.publish(site(port, name="cluster"))
    server = start(site(static, "from the file", name="static"), args=controller.arguments)
    assert fetch(port, "/hello").body == b"first"
    assert fetch(static, "/hello").body == b"from the file"
    server.reload(site(static, "file again", name="static"))
    assert fetch(static, "/hello").body == b"file again" and fetch(port, "/hello").body == b"first"
    # The controller wants a name that the file has: the file wins, and the controller is told.
    controller.publish(site(port, "conflict", name="static"))
    facts = wait_for(lambda: [one for one in controller.facts() if one.get("rejects")], 5, "a reject")[0]
    assert {one["rule"] for one in facts["rejects"]} == {"conflict"}
    assert fetch(static, "/hello").body == b"file again"
    server.reload("{ nonsense", expect=1)
    assert fetch(static, "/hello").body == b"file again"


def test_an_upgrade_of_the_binary_keeps_what_the_controller_sent(start, controller):
    port = free_port()
    controller.publish(site(port))
    server = start(args=controller.arguments)
    time.sleep(2.5)  # until the parent has it
    before = server.serving_pid()
    with Load(port, connections=4, target="/hello", check=lambda *_: True) as load:
        result = server.control("upgrade", timeout=40)
        assert result.returncode == 0, result.stdout + result.stderr
        wait_for(lambda: server.serving_pid() != before, 5, "the new process")
        tally = load.stop()
    assert not tally.lost and not tally.refused
    controller.publish(site(port, "second"))
    wait_for(says(port, "second"), 5, "a push to the new process")


@pytest.mark.memory
def test_memory_on_the_stream(start, controller):
    controller.publish(site(free_port()))
    server = start(args=controller.arguments)
    time.sleep(0.5)
    total = sum(memory_kib(pid) for pid in server.processes())
    assert total <= 12 * 1024, f"{total} KiB"


@pytest.mark.parametrize("arguments, part", [
    (["-control", "controller:8443"], "needs -control-token-file"),
    (["-control", "192.0.2.1:8443", "-control-insecure"], "loopback"),
    (["-control", "127.0.0.1", "-control-insecure"], "HOST:PORT"),
    (["-control-ca", "x"], "need -control"),
    (["-control", "a:1", "-control-cert", "x"], "-control-key"),
    (["-control", "a:1", "-control-insecure", "-persist-secrets"], "-state-dir"),
    (["-control", "a:1", "-control-insecure", "http://:8080"], "not URIs"),
])
def test_flags_that_do_not_fit(arguments, part):
    result = run_headgate(*arguments, "-no-parent")
    assert result.returncode == 2 and part in result.stderr, result.stderr
