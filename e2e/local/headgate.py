"""Starts and watches the real `headgate` binary: one object per process, with its configuration, log and admin socket."""
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("HEADGATE_BINARY", ROOT / "build" / "headgate")).resolve()

# What a run must never print, whatever it was asked to do.
ALARMS = re.compile(
    r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|check failed|pure virtual|"
    r"terminate called|stack smashing")

_ports = random.Random(os.getpid())


def free_port():
    """A port free for TCP and UDP, below the range that clients are given, so that no connection of ours takes it."""
    for _ in range(200):
        port = _ports.randrange(20000, 32000)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::")):
                    with socket.socket(family, kind) as probe:
                        probe.bind((host, port))
        except OSError:
            continue
        return port
    raise RuntimeError("no free port")


def wait_for(condition, seconds, what, every=0.02):
    """The first true value of condition(); fails naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every)


def children(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found += [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    return found


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def memory_kib(pid, key="Pss"):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise AssertionError(f"no {key} for {pid}")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=5):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def run_headgate(*args, timeout=10, cwd=None, env=None, stdin=subprocess.DEVNULL):
    """One invocation that ends by itself; the CompletedProcess with text output."""
    return subprocess.run([str(BINARY), *map(str, args)], stdin=stdin, capture_output=True, text=True, timeout=timeout, cwd=cwd,
                          env={**os.environ, **(env or {})}, check=False)


class Headgate:
    """A running server. Use as a context manager, or call close(), which also asserts that it ended cleanly."""

    def __init__(self, config=None, *, args=(), workers=1, directory=None, env=None, wait=True, admin=None):
        if not BINARY.exists():
            raise AssertionError(f"there is no {BINARY}: build it, or set HEADGATE_BINARY")
        self.owns_directory = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="headgate-e2e-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file = self.directory / "site.json"
        self.log_file = self.directory / "headgate.log"
        self.socket = self.directory / "admin.sock"
        command = [str(BINARY)]
        if config is not None:
            self.write(config)
            command += ["-config", str(self.file)]
        if workers is not None:  # else as many as there are CPUs
            command += ["-workers", str(workers)]
        command += ["-admin", admin or f"unix://{self.socket}", *map(str, args)]
        self.closed = False
        self.command = command
        self.expected_exit = 0
        self.alarms_allowed = None
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, start_new_session=True)
        self.seen = {self.process.pid}
        if wait:
            self.wait_ready()

    # -- configuration

    def write(self, config):
        """Replaces the file in one step, as an editor or a deployment does."""
        text = config if isinstance(config, str) else json.dumps(config, indent=2)
        temporary = self.file.with_suffix(".new")
        temporary.write_text(text)
        os.replace(temporary, self.file)

    def reload(self, config=None, expect=0):
        """`headgate reload`: returns when all workers run the new file. expect=1: a refused one; returns what was said."""
        if config is not None:
            self.write(config)
        result = self.control("reload")
        assert result.returncode == expect, (result.returncode, result.stdout, result.stderr, self.log()[-2000:])
        return result.stdout + result.stderr

    def control(self, command, *args, timeout=20):
        return run_headgate(command, "-admin", f"unix://{self.socket}", *args, timeout=timeout)

    # -- state

    def wait_ready(self, seconds=15):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"ended at once with {self.process.returncode}:\n{self.log()[-4000:]}")
            return self.admin_answers()

        wait_for(ready, seconds, f"readiness of {' '.join(self.command)}\n{self.log()[-4000:]}")
        self.seen |= set(self.processes())

    def admin(self, path, method="GET"):
        """(status, text) of a request to the admin socket."""
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def admin_answers(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.admin("/readyz")[0] == 200
        return False

    def metrics(self):
        """{'name{labels}': value}"""
        status, text = self.admin("/metrics")
        assert status == 200, text
        found = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found

    def log(self):
        return self.log_file.read_text(errors="replace")

    def wait_log(self, pattern, seconds=5):
        return wait_for(lambda: re.search(pattern, self.log()), seconds, f"a log line like {pattern!r} in\n{self.log()[-3000:]}")

    # -- processes

    def processes(self):
        """The parent first, then every descendant that lives."""
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop(0)
            if is_alive(pid):
                found.append(pid)
            queue += children(pid)
        return found

    def serving_pid(self):
        """The youngest child of the parent: the process that serves."""
        found = [pid for pid in children(self.process.pid) if is_alive(pid)]
        return max(found) if found else self.process.pid

    def signal(self, number, pid=None):
        os.kill(pid or self.process.pid, number)

    def wait_exit(self, seconds=15):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"did not end within {seconds} s:\n{self.log()[-3000:]}") from None

    def close(self):
        """SIGTERM, then the clean end that every test expects: exit status, nobody left behind, nothing alarming in the log."""
        if self.closed:
            return
        self.closed = True
        failures = []
        self.seen |= set(self.processes())
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1.5)
            if self.process.poll() is None:  # a second one ends at once, whatever is still open
                self.signal(signal.SIGTERM)
            try:
                self.process.wait(8)
            except subprocess.TimeoutExpired:
                failures.append("had to be killed")
        leftover = [pid for pid in self.seen if is_alive(pid)]
        deadline = time.monotonic() + 2
        while leftover and time.monotonic() < deadline:
            time.sleep(0.05)
            leftover = [pid for pid in self.seen if is_alive(pid)]
        for pid in leftover:
            failures.append(f"process {pid} outlived its parent")
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.expected_exit is not None and self.process.returncode != self.expected_exit:
            failures.append(f"exit status {self.process.returncode}, expected {self.expected_exit}")
        log = self.log()
        alarm = ALARMS.search(log)
        if alarm and not (self.alarms_allowed and re.search(self.alarms_allowed, alarm[0])):
            failures.append(f"the log says {alarm[0]!r}")
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)
        if failures:
            raise AssertionError("; ".join(failures) + "\n" + log[-6000:])

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
        else:
            with contextlib.suppress(AssertionError):
                self.close()
