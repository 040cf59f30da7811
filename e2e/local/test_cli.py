"""The command line: the forms in use today, check, print, help, and what is said when something is wrong."""
import json
import re
import socket
import subprocess
import threading
import time

import pytest

from clients import Raw, fetch
from headgate import BINARY, ROOT, free_port, run_headgate, wait_for


def test_help_and_version():
    for option in ("--help", "-help", "-h"):
        result = run_headgate(option)
        assert result.returncode == 0
        for word in ("-config", "-root", "-cert", "-key", "-workers", "-to", "-admin", "check", "print", "reload", "status", "drain", "reopen", "upgrade",
                     "HEADGATE_WORKERS", "HEADGATE_LOG_LEVEL", "HEADGATE_CONFIG"):
            assert word in result.stdout, word
    result = run_headgate("--version")
    assert result.returncode == 0 and re.match(r"headgate \d+\.\d+\.\d+", result.stdout)


@pytest.mark.parametrize("args", [["-nosuch"], ["http://:notaport"], ["gopher://:70"], ["-config"], ["-config", "/nonexistent.json"], ["nonsense"],
                                  ["-workers", "0", "http://127.0.0.1:1"], ["-workers", "many", "http://127.0.0.1:1"]], ids=" ".join)
def test_wrong_arguments(args, tmp_path):
    result = run_headgate(*args, "-admin", "off", cwd=tmp_path)
    assert result.returncode in (1, 2) and result.stderr.strip() and len(result.stderr) < 4000, result
    assert result.stdout == ""


def test_no_arguments_reads_config_json(start, tmp_path):
    result = run_headgate("-admin", "off", cwd=tmp_path)
    assert result.returncode != 0 and "config.json" in result.stderr
    port = free_port()
    (tmp_path / "config.json").write_text(json.dumps({"listen": [f"http://127.0.0.1:{port}"],
                                                      "dispatch": [{"listener": f"http://127.0.0.1:{port}", "handler": "respond", "status": 200, "body": "found"}]}))
    start(directory=tmp_path)
    assert fetch(port).body == b"found"


def test_listen_serves_html(start, tmp_path):
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").write_text("from html")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text("from other")
    first, second = free_port(), free_port()
    server = start(args=[f"http://127.0.0.1:{first}"], directory=tmp_path)
    assert fetch(first).body == b"from html"
    server.close()
    start(args=["--root", str(tmp_path / "other"), f"http://:{second}", "-c", "4096"], directory=tmp_path)
    assert fetch(second).body == b"from other"
    assert fetch(second, host="::1").body == b"from other"


def test_two_listeners_with_tls(start, authority, tmp_path):
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "index.html").write_text("both")
    cert, key = authority.issue("default", "localhost")
    tls, plain = free_port(), free_port()
    start(args=[f"https://:{tls}", f"http://:{plain}", "-cert", cert, "-key", key], directory=tmp_path)
    assert fetch(plain).body == b"both" and fetch(tls, tls=authority.client()).body == b"both"


def test_https_without_a_certificate_is_an_error(tmp_path):
    result = run_headgate(f"https://127.0.0.1:{free_port()}", "-admin", "off", cwd=tmp_path)
    assert result.returncode != 0 and "certificate" in result.stderr


def test_http_proxy(start, backend, tmp_path):
    port = free_port()
    start(args=[f"http://127.0.0.1:{port}", "-to", backend.url], directory=tmp_path)
    assert json.loads(fetch(port, "/echo?x").body)["target"] == "/echo?x"


def test_unix_to_http(start, backend, tmp_path):
    path = tmp_path / "app.sock"
    start(args=[f"unix://{path}", "-to", backend.url], directory=tmp_path)
    with Raw(0, path=path) as client:
        assert client.request("/echo").status == 200


@pytest.fixture
def echo_server():
    """TCP that answers what it is sent in capitals."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return

            def talk(connection=connection):
                with connection:
                    while data := connection.recv(65536):
                        connection.sendall(data.upper())

            threading.Thread(target=talk, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@pytest.mark.parametrize("scheme", ["", "tcp://"])
def test_tcp_tunnel(start, echo_server, tmp_path, scheme):
    port = free_port()
    start(args=[f"tcp://127.0.0.1:{port}", "-to", f"{scheme}127.0.0.1:{echo_server}"], directory=tmp_path)
    with Raw(port) as client:
        client.send(b"through the tunnel")
        assert client.read_exactly(18) == b"THROUGH THE TUNNEL"
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest() == b""


def test_udp_tunnel(start, tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        target.bind(("127.0.0.1", 0))
        target.settimeout(5)
        client.settimeout(5)
        port = free_port()
        start(args=[f"udp://127.0.0.1:{port}", "-to", f"udp://127.0.0.1:{target.getsockname()[1]}"], directory=tmp_path)
        for message in (b"one", b"", b"x" * 1400):
            client.sendto(message, ("127.0.0.1", port))
            data, source = target.recvfrom(2000)
            assert data == message
            target.sendto(b"re:" + data, source)
            assert client.recvfrom(2000)[0] == b"re:" + message


def test_environment(start, tmp_path):
    port = free_port()
    file = tmp_path / "elsewhere.json"
    file.write_text(json.dumps({"listen": [f"http://127.0.0.1:{port}"],
                                "dispatch": [{"listener": f"http://127.0.0.1:{port}", "handler": "respond", "status": 200, "body": "env"}]}))
    server = start(directory=tmp_path, env={"HEADGATE_CONFIG": str(file), "HEADGATE_LOG_LEVEL": "error"})
    assert fetch(port).body == b"env"
    assert not re.search(r" info ", server.log())


def test_check_accepts_every_example():
    examples = sorted((ROOT / "manifests" / "standalone").glob("*.json"))
    assert examples
    for example in examples:
        result = run_headgate("check", example)
        assert result.returncode == 0 or re.search(r"(?i)no such file|cannot (open|read)", result.stdout + result.stderr), (example.name, result)


def test_check_of_nothing():
    assert run_headgate("check", "/nonexistent.json").returncode != 0
    assert run_headgate("check").returncode != 0


def test_print_is_accepted_again_and_stable(tmp_path):
    for example in sorted((ROOT / "manifests" / "standalone").glob("*.json")):
        first = run_headgate("print", example)
        if first.returncode != 0:  # a file it names is not in the tree (certificates)
            assert re.search(r"(?i)no such file|cannot (open|read)", first.stdout + first.stderr), (example.name, first)
            continue
        again = example.parent / f".printed-{example.name}"  # beside it: relative paths mean the same
        try:
            again.write_text(first.stdout)
            assert run_headgate("check", again).returncode == 0, example.name
            assert run_headgate("print", again).stdout == first.stdout, example.name
        finally:
            again.unlink()
        resources = run_headgate("print", "--resources", example)
        assert resources.returncode == 0 and resources.stdout.strip(), example.name


def test_check_names_rules_that_can_never_match(tmp_path):
    file = tmp_path / "twice.json"
    file.write_text(json.dumps({"listen": [{"name": "s", "uri": "tcp://127.0.0.1:9000"}],
                                "dispatch": [{"listener": "s", "handler": "forward", "forward_to": "tcp://127.0.0.1:1"},
                                             {"listener": "s", "handler": "forward", "forward_to": "tcp://127.0.0.1:2"}]}))
    result = run_headgate("check", file)
    said = result.stdout + result.stderr
    assert result.returncode == 0 and "dispatch[1]" in said and "warning" in said, result


def test_ready_in_a_tenth_of_a_second(start, tmp_path):
    (tmp_path / "html").mkdir()
    port = free_port()
    began = time.monotonic()
    server = start(args=[f"http://127.0.0.1:{port}"], directory=tmp_path, wait=False)

    def connects():
        try:
            return fetch(port).status
        except OSError:
            return None

    wait_for(connects, 5, "an answer", every=0.005)
    assert time.monotonic() - began < 1, "starts in well under a second"
    server.wait_ready()


def test_output_that_nobody_reads(tmp_path):
    """`headgate print FILE | head -1` must not crash."""
    process = subprocess.Popen(f"{BINARY} --help | true", shell=True, stderr=subprocess.PIPE, text=True)
    _, errors = process.communicate(timeout=10)
    assert "Aborted" not in errors and "dumped" not in errors
