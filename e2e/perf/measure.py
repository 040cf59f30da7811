"""Processes on fixed cores, and what they cost: CPU from schedstat, system calls, instructions, allocations, memory."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import time

SERVER_CORE, LOAD_CORE = "0", "1"
_running = []


def start(command, core=SERVER_CORE, *, log=None, env=None):
    with open(log or os.devnull, "ab") as output:
        process = subprocess.Popen(["taskset", "-c", core, *map(str, command)], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
    _running.append(process)
    return process


def stop(process, number=signal.SIGTERM, patience=4):
    if process.poll() is None:
        everyone = tree(process.pid)
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        for pid in reversed(everyone):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
    if process in _running:
        _running.remove(process)


def stop_all():
    for process in list(_running):
        stop(process)


def run(command, core=LOAD_CORE, timeout=60):
    """What a load program printed. One that does not end in time is killed, and its round does not count.

    h2load -D does that now and then on a loaded machine: a connection that was still shaking hands when the time was over is
    not stopped, and goes on asking for ever.
    """
    try:
        return subprocess.run(["taskset", "-c", core, *map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False).stdout
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not end within {timeout} s"


def tree(pid):
    """The process and all its descendants."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += tree(int(child))
    return found


def cpu_ns(pids):
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, IndexError):
                total += int(task.read_text().split()[0])
    return total


def memory_kib(pids, *keys):
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.split(":")[0] in keys:
                    total += int(line.split()[1])
    return total


def system_calls(pids, work):
    """(calls while work() ran, what work() returned); perf where it may count, else strace, else None."""
    listed = ",".join(map(str, pids))
    for attempt in (_perf_calls, _strace_calls):
        calls, result = attempt(listed, work)
        if calls:
            return calls, result
    return None, result


def _perf_calls(pids, work):
    if not shutil.which("perf"):
        return None, None
    counter = subprocess.Popen(["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", pids], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stdin=subprocess.DEVNULL, text=True)
    time.sleep(0.4)
    if counter.poll() is not None:
        return None, None
    result = work()
    counter.send_signal(signal.SIGINT)
    _, said = counter.communicate(timeout=15)
    for line in said.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[2].startswith("raw_syscalls") and fields[0].isdigit():
            return int(fields[0]), result
    return None, result


def _strace_calls(pids, work):
    if not shutil.which("strace"):
        return None, work()
    output = pathlib.Path(f"/tmp/perf-strace-{os.getpid()}")
    tracer = subprocess.Popen(["strace", "-c", "-f", "-o", str(output), *(word for pid in pids.split(",") for word in ("-p", pid))],
                              stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    time.sleep(0.6)
    result = work()
    tracer.send_signal(signal.SIGINT)
    tracer.wait(15)
    total = re.search(r"^100\.00 +\S+ +\S+ +(\d+).* total$", output.read_text() if output.exists() else "", re.M)
    output.unlink(missing_ok=True)
    return (int(total[1]) if total else None), result


class AllocationCounter:
    """A file that a process started with `env` counts its allocations in."""

    def __init__(self, library, directory):
        self.file = pathlib.Path(directory) / "allocations"
        self.file.write_bytes(bytes(24))
        self.env = {"LD_PRELOAD": str(library), "MALLOC_COUNT_FILE": str(self.file)}

    def read(self):
        return struct.unpack("<3Q", self.file.read_bytes())[0]


def callgrind(command, directory, work, env=None, ready=lambda: True):
    """User instructions of everything `command` started while it lived; work() sends the load."""
    directory = pathlib.Path(directory)
    for old in directory.glob("callgrind.*"):
        old.unlink()
    process = start(["valgrind", "-q", "--tool=callgrind", "--trace-children=yes", f"--callgrind-out-file={directory}/callgrind.%p", *command],
                    log=directory / "valgrind.log", env=env)
    try:
        deadline = time.monotonic() + 20
        while not ready():
            if time.monotonic() > deadline or process.poll() is not None:
                return None
            time.sleep(0.1)
        work()
        for pid in reversed(tree(process.pid)):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    finally:
        stop(process)
    total = 0
    for file in directory.glob("callgrind.*"):
        for line in file.read_text(errors="replace").splitlines():
            if line.startswith(("summary:", "totals:")):
                total += int(line.split()[1])
                break
    return total or None


# What load programs print.

_SCALE = {"": 1, "us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}


def wrk(output):
    done = re.search(r"(\d+) requests in ([\d.]+)(s|m)", output)
    if not done:
        return None
    errors = re.search(r"Socket errors: .*|Non-2xx.*", output)
    return {"count": int(done[1]), "seconds": float(done[2]) * _SCALE[done[3]] / 1e6, "errors": errors[0].strip() if errors else ""}


def h2load(output):
    done = re.search(r"(\d+) succeeded, (\d+) failed", output)
    time_taken = re.search(r"finished in ([\d.]+)(us|ms|s)", output)
    body = re.search(r"\((\d+)\) data", output)
    if not done or not time_taken:
        return None
    return {"count": int(done[1]), "body": int(body[1]) if body else 0, "seconds": float(time_taken[1]) * _SCALE[time_taken[2]] / 1e6, "errors": f"{done[2]} failed" if int(done[2]) else ""}


def handshakes(output):
    done = re.search(r"handshakes=(\d+) resumed=(\d+) failed=(\d+)", output)
    return {"count": int(done[1]), "errors": f"{done[3]} failed" if int(done[3]) else ""} if done else None


def dnsperf(output):
    done = re.search(r"Queries completed:\s+(\d+)", output)
    lost = re.search(r"Queries lost:\s+(\d+)", output)
    return {"count": int(done[1]), "errors": f"{lost[1]} lost" if lost and int(lost[1]) else ""} if done else None


def iperf(output):
    """Counts in GB: microseconds per unit are then microseconds per GB."""
    try:
        received = json.loads(output)["end"]["sum_received"]["bytes"]
    except (ValueError, KeyError):
        return None
    return {"count": received / 1e9, "errors": ""}
