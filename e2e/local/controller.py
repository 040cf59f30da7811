"""Starts the real `headgate-controller` on loopback: one object per process."""
import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess
import tempfile

from headgate import ALARMS, BINARY, free_port, wait_for

CONTROLLER = pathlib.Path(os.environ.get("HEADGATE_CONTROLLER", BINARY.parent / "headgate-controller")).resolve()


def run_controller(*args, timeout=20, env=None):
    return subprocess.run([str(CONTROLLER), *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, env={**os.environ, **(env or {})}, check=False)


class Controller:
    """A running controller with a JSON file. A context manager; close() asserts that it ended cleanly."""

    def __init__(self, config, *, args=("-insecure",), directory=None, port=None):
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="headgate-controller-"))
        self.file = self.directory / "site.json"
        self.log_file = self.directory / "controller.log"
        self.port = port or free_port()
        self.admin_port = free_port()
        self.args = args
        self.write(config)
        self.start()

    def start(self):
        command = [str(CONTROLLER), "-config", str(self.file), "-stream-address", f"127.0.0.1:{self.port}",
                   "-admin-address", f"127.0.0.1:{self.admin_port}", *map(str, self.args)]
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                            start_new_session=True)
        wait_for(lambda: self.process.poll() is not None or self.get("/livez")[0] == 200, 15, "the controller lives")
        assert self.process.poll() is None, self.log()

    def write(self, config):
        text = config if isinstance(config, str) else json.dumps(config, indent=2)
        temporary = self.file.with_suffix(".new")
        temporary.write_text(text)
        os.replace(temporary, self.file)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def metric(self, name):
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        return None

    def log(self):
        return self.log_file.read_text(errors="replace")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("had to be killed\n" + self.log()[-3000:]) from None
        assert self.process.returncode in (0, -signal.SIGKILL), self.log()[-3000:]
        assert not ALARMS.search(self.log()), self.log()[-3000:]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
        else:
            with contextlib.suppress(AssertionError):
                self.close()
