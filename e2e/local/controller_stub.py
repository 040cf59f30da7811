"""The controller's end of the configuration stream: `controller_stub`, the real server without Kubernetes."""
import json
import pathlib
import subprocess
import tempfile

from headgate import BINARY

STUB = BINARY.parent / "controller_stub"


class Controller:
    """Runs the stub; publishes files in the users' language. Use as a context manager."""

    def __init__(self, port=0, name="stub"):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="headgate-control-"))
        self.process = subprocess.Popen([str(STUB), f"127.0.0.1:{port}", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        self.files = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def arguments(self):
        return ["-control", f"127.0.0.1:{self.port}", "-control-insecure"]

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer == "ok", (line, answer)

    def publish(self, config, name="gw"):
        self.files += 1
        path = self.directory / f"{self.files}.json"
        path.write_text(json.dumps(config))
        self.say(f"file {name} {path}")

    def publish_manifests(self, text, http, https=0, default_backend="", name="gw"):
        """What the translation of Ingress objects makes of these manifests (YAML or JSON, several documents)."""
        self.files += 1
        path = self.directory / f"{self.files}.yaml"
        path.write_text(text)
        self.say(f"manifests {name} {path} {http} {https} {default_backend}".rstrip())

    def facts(self):
        """[ProxyFacts as a dict], one per dataplane."""
        self.process.stdin.write("facts\n")
        self.process.stdin.flush()
        found = []
        while (line := self.process.stdout.readline().strip()) != ".":
            assert line, "the stub has ended"
            found.append(json.loads(line))
        return found

    def kill(self):
        self.process.kill()
        self.process.wait()
