"""The container that the injector adds, run as the kubelet would: its command, its probes, its volume that is swapped."""
import json
import os
import signal
import socket
import subprocess
import time

from clients import Raw, fetch
from headgate import BINARY, ROOT, free_port, wait_for

GOLDEN = ROOT / "tests" / "golden" / "inject"


def injected(name):
    """(container, compiled configuration) out of the patch that the injector makes for a Pod."""
    patch = json.loads((GOLDEN / f"{name}.patch.json").read_text())["patch"]
    container = next(op["value"] for op in patch if op["path"] in ("/spec/initContainers/0", "/spec/containers/0"))
    config = next((op["value"] for op in patch if op["path"].endswith("compiled-config")), None)
    return container, config


class Volume:
    """A downward API volume: the files are links through ..data, which is replaced in one step."""

    def __init__(self, folder):
        self.folder, self.number = folder, 0
        folder.mkdir()

    def write(self, text):
        self.number += 1
        version = self.folder / f"..{self.number}"
        version.mkdir()
        (version / "config.json").write_text(text)
        (self.folder / "..next").symlink_to(version.name)
        os.rename(self.folder / "..next", self.folder / "..data")
        if self.number == 1:
            (self.folder / "config.json").symlink_to("..data/config.json")


class Container:
    def __init__(self, spec, folder):
        self.spec, self.folder = spec, folder
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(self.words(spec["command"] + spec["args"]), stdout=self.log, stderr=self.log)

    def words(self, words):
        """Paths of the container are folders of the test."""
        words = [word.replace("unix:///tmp/", f"unix://{self.folder}/") for word in words]
        words = [word.replace("/etc/headgate/config/", f"{self.folder}/config/") for word in words]
        return [str(BINARY)] + words[1:]

    def probe(self, name):
        command = self.words(self.spec[name]["exec"]["command"])
        return subprocess.run(command, capture_output=True, text=True, timeout=10).returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()


def test_presets_are_served_and_reloaded(backend, tmp_path):
    spec, config = injected("preset-several")
    web, database, stats = free_port(), free_port(), free_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(5)
        for old, new in ((":8081", f":{web}"), (":5432\"\n    }", f":{database}\"\n    }}"), ("127.0.0.1:8125", f"127.0.0.1:{stats}"),
                         ("10.0.0.9:8125", f"127.0.0.1:{collector.getsockname()[1]}"),
                         ("http://127.0.0.1:8080", backend.url)):
            assert old in config, old
            config = config.replace(old, new)
        volume = Volume(tmp_path / "config")
        volume.write(config)
        with Container(spec, tmp_path) as sidecar:
            wait_for(lambda: sidecar.probe("startupProbe") == 0, 10, "the startup probe")
            assert fetch(web, "/ok").status == 200
            with socket.create_connection(("127.0.0.1", stats)) as application:
                application.sendall(b"hits:1|c\nhits:2|c\n")
                assert collector.recv(100) == b"hits:1|c" and collector.recv(100) == b"hits:2|c"

            # The annotation was edited: the kubelet swaps the volume, nothing is restarted.
            moved = free_port()
            volume.write(config.replace(f":{web}", f":{moved}").replace(f"http-{web}", f"http-{moved}"))
            wait_for(lambda: can_connect(moved), 10, "the new port")
            assert fetch(moved, "/ok").status == 200
            assert sidecar.process.poll() is None and sidecar.probe("readinessProbe") == 0
            # A broken one is not used.
            volume.write("{")
            time.sleep(0.5)
            assert fetch(moved, "/ok").status == 200 and sidecar.probe("readinessProbe") == 0
            sidecar.process.send_signal(signal.SIGTERM)
            assert sidecar.process.wait(10) == 0
            assert sidecar.probe("readinessProbe") == 1


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def test_drain_seconds_win_over_the_file(backend, tmp_path):
    spec, config = injected("not-native")
    assert spec["args"][-2:] == ["-drain-seconds", "60"]
    spec["args"][-1] = "1"
    port = free_port()
    config = config.replace('"http://:80"', f'"http://127.0.0.1:{port}"').replace("http://127.0.0.1:8080", backend.url)
    Volume(tmp_path / "config").write(config[:-1] + ', "timeouts": { "drain": 60 } }')
    with Container(spec, tmp_path) as sidecar:
        wait_for(lambda: sidecar.probe("startupProbe") == 0, 10, "the startup probe")
        with Raw(port) as client:
            client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_for(lambda: backend.requests, 3, "the request at the back end")
            sidecar.process.send_signal(signal.SIGTERM)
            assert sidecar.process.wait(10) == 0
