#!/usr/bin/python3
"""headgate beside its peers: what one request costs each of them, in one run.

The system under test has core 0, load and back end core 1. All systems that do a job are up at once and are measured in
rotation, so that a busy neighbour on the machine hits each alike; the figure of a case is the median over the rounds,
and the ratio is the median of the ratios of each round. See README.md for how to read the table.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import measure
import peers


@dataclasses.dataclass
class Case:
    name: str
    job: str                # which port of a peer; peers without it are left out
    load: object            # (port, seconds) -> command
    read: object            # output -> {"count": requests, "errors": text}
    unit: str = "us/req"
    count: object = None    # (port, requests) -> command with an exact number of requests, for callgrind
    body: int = None        # what each answer of `count` carries, where a refusal looks like success
    goal: dict = dataclasses.field(default_factory=dict)  # peer -> how many times cheaper we mean to be
    one_by_one: bool = False  # a load that talks to one system only while the others must be idle anyway


def wrk(path="/", connections=64, scheme="http", headers=()):
    fields = [word for header in headers for word in ("-H", header)]
    return lambda port, seconds: ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *fields, f"{scheme}://127.0.0.1:{port}{path}"]


def exact(path="/", scheme="http"):
    return lambda port, requests: ["h2load", "--h1", "-t1", "-c16", f"-n{requests}", f"{scheme}://127.0.0.1:{port}{path}"]


def h2(path="/", connections=16, streams=32):
    return lambda port, seconds: ["h2load", "-t1", f"-c{connections}", f"-m{streams}", "-D", str(seconds), f"https://127.0.0.1:{port}{path}"]


def exact_h2(connections=2, streams=32):
    return lambda port, requests: ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-n{requests}", f"https://127.0.0.1:{port}/"]


MESSAGE = b"\0" + (32).to_bytes(4, "big") + b"m" * 32
GRPC_FIELDS = [word for field in ("content-type: application/grpc", "te: trailers") for word in ("-H", field)]


def calls(connections, streams):
    """Unary calls as gRPC shapes them: a message up, a message down, and trailers."""
    return lambda port, seconds: ["h2load", "-t1", f"-c{connections}", f"-m{streams}", "-D", str(seconds), "-d", BENCH.message, *GRPC_FIELDS,
                                  f"http://127.0.0.1:{port}/test.Service/Call"]


def answers(connections, streams):
    """gRPC as far as nobody looks into it: no message up, 64 bytes down, and no trailers."""
    return lambda port, seconds: ["h2load", "-t1", f"-c{connections}", f"-m{streams}", "-D", str(seconds), *GRPC_FIELDS,
                                  f"http://127.0.0.1:{port}/index.html"]


def exact_calls(connections=2, streams=32):
    return lambda port, requests: ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-n{requests}", "-d", BENCH.message, *GRPC_FIELDS,
                                   f"http://127.0.0.1:{port}/test.Service/Call"]


CASES = [
    Case("proxy tiny", "proxy", wrk(), measure.wrk, count=exact(), goal={"haproxy": 1.05}),
    Case("proxy 10 KiB", "proxy10k", wrk(), measure.wrk, count=exact(), goal={"haproxy": 1.05}),
    Case("proxy 100 KiB", "proxy100k", wrk(connections=16), measure.wrk, count=exact(), goal={"haproxy": 1.2, "nginx": 2.5}),
    Case("static 1 KiB", "static", wrk("/1k.bin"), measure.wrk, count=exact("/1k.bin"), goal={"nginx": 1.5, "h2o": 1.0}),
    Case("static 100 KiB", "static", wrk("/100k.bin", 16), measure.wrk, count=exact("/100k.bin"), goal={"nginx": 1.2}),
    Case("tls proxy tiny", "tls", wrk(scheme="https"), measure.wrk, count=exact(scheme="https")),
    Case("tls 100 KiB", "tlsstatic", wrk("/100k.bin", 16, "https"), measure.wrk, goal={"nginx": 1.4}),
    Case("h2 TLS to h1 16x32", "tls", h2(), measure.h2load, count=exact_h2(), goal={"haproxy": 1.05, "nginx": 1.6}),
    Case("gRPC h2 to h2 16x32", "grpc", calls(16, 32), measure.h2load, count=exact_calls(), body=len(MESSAGE),
         goal={"haproxy": 1.3, "nginx": 7.0}),
    Case("h2 to h2, no trailers 16x32", "h2", answers(16, 32), measure.h2load, goal={"haproxy": 1.3, "nginx": 7.0}),
    Case("gRPC h2 to h2 64x1", "grpc", calls(64, 1), measure.h2load, count=exact_calls(16, 1), body=len(MESSAGE)),
    Case("new connection", "proxy", wrk(headers=("Connection: close",)), measure.wrk, goal={"nginx": 1.0}),
    Case("tls handshake", "tls", lambda port, seconds: [BENCH.tool("perf_handshake"), port, seconds, "full"], measure.handshakes),
    Case("tls resumed", "tls", lambda port, seconds: [BENCH.tool("perf_handshake"), port, seconds, "resume"], measure.handshakes),
    Case("dns", "dns", lambda port, seconds: ["dnsperf", "-s", "127.0.0.1", "-p", port, "-d", BENCH.queries, "-l", seconds, "-c", 8, "-T", 1, "-q", 200],
         measure.dnsperf, "us/query", goal={"knot": 1 / 1.1, "coredns": 2.5}),
    Case("tcp relay small", "tcp", wrk(), measure.wrk),
    Case("tcp relay bulk", "tcpbulk", lambda port, seconds: ["iperf3", "-J", "-c", "127.0.0.1", "-p", port, "-t", seconds, "-P", 1], measure.iperf, "us/GB",
         goal={"nginx": 1.3, "haproxy": 1.3}),
    Case("tcp relay bulk 8", "tcpbulk", lambda port, seconds: ["iperf3", "-J", "-c", "127.0.0.1", "-p", port, "-t", seconds, "-P", 8], measure.iperf, "us/GB",
         goal={"haproxy": 1.0}),
    Case("udp relay", "udp", lambda port, seconds: ["dnsperf", "-s", "127.0.0.1", "-p", port, "-d", BENCH.queries, "-l", seconds, "-c", 8, "-T", 1, "-q", 100],
         measure.dnsperf, "us/pair", goal={"nginx": 1.1}),
]
MEMORY_CASES = ("idle connection", "idle memory")
LATENCY_CASE = "latency"
DEFAULT = [case.name for case in CASES if case.job in ("proxy", "proxy10k", "proxy100k", "static", "tls", "tlsstatic", "grpc", "h2")]
BENCH = None


class Bench:
    def __init__(self, options):
        self.options = options
        self.build = pathlib.Path(options.build).resolve()
        self.binary = pathlib.Path(os.environ.get("HEADGATE_BINARY", self.build / "headgate")).resolve()
        self.may_build = options.build_peers
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="headgate-perf-"))
        self.directory.chmod(0o755)
        self.backend_ports = {name: peers.free_port() for name in ("tiny", "10k", "100k", "grpc", "h2")}
        self.message = self.directory / "message"
        self.message.write_bytes(MESSAGE)
        self.udp_port, self.iperf_port = peers.free_port(), peers.free_port()
        self.www, self.zone, self.queries = self.directory / "www", self.directory / "bench.zone", self.directory / "queries"
        self.cert, self.key, self.pem = (self.directory / name for name in ("site.pem", "site.key", "both.pem"))
        self.files()

    def tool(self, name):
        path = self.build / "e2e" / "perf" / name
        if not path.exists():
            sys.exit(f"bench: {path} is missing; `ninja -C {self.build} perf_tools` builds it")
        return path

    def files(self):
        self.www.mkdir()
        for name, size in (("1k.bin", 1024), ("100k.bin", 102400)):
            (self.www / name).write_bytes(os.urandom(size))
        (self.www / "test.Service").mkdir()
        (self.www / "test.Service" / "Call").write_bytes(self.message.read_bytes())
        (self.www / "index.html").write_text("x" * 64)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                        "/CN=bench.local", "-addext", "subjectAltName=DNS:bench.local,IP:127.0.0.1", "-keyout", self.key, "-out", self.cert],
                       check=True, capture_output=True)
        self.pem.write_bytes(self.cert.read_bytes() + self.key.read_bytes())
        names = self.options.names
        self.zone.write_text("$ORIGIN bench.test.\n$TTL 300\n@ SOA ns1 root 1 3600 600 86400 300\n@ NS ns1\nns1 A 127.0.0.1\n" +
                             "".join(f"host{i} A 10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}\n" for i in range(names)))
        lines = []
        for i in range(20000):  # 80 % answers, 10 % of a type that is not there, 10 % of a name that is not
            host = f"host{i * 7919 % names}.bench.test"
            lines.append(f"{host} A" if i % 10 < 8 else f"{host} MX" if i % 10 == 8 else f"no{i}.bench.test A")
        self.queries.write_text("\n".join(lines) + "\n")

    def accepts_forward(self):
        return self._check({"listen": ["tcp://127.0.0.1:1"], "dispatch": [{"listener": "tcp://127.0.0.1:1", "handler": "forward", "forward_to": "tcp://127.0.0.1:2"}]})

    def accepts_dns(self):
        return self._check({"listen": ["udp://127.0.0.1:1"], "zones": {"bench.test": str(self.zone)}, "dispatch": [{"listener": "udp://127.0.0.1:1", "handler": "dns"}]})

    def _check(self, config):
        file = self.directory / "probe.json"
        file.write_text(json.dumps(config))
        return subprocess.run([self.binary, "check", file], capture_output=True, check=False, timeout=20).returncode == 0

    def start_backends(self):
        for name, size in (("tiny", 0), ("10k", 10240), ("100k", 102400)):
            measure.start([self.tool("perf_backend"), "http", self.backend_ports[name], size], measure.LOAD_CORE)
        if shutil.which("nghttpd"):
            for name, trailer in (("grpc", ("--trailer", "grpc-status: 0")), ("h2", ())):
                measure.start(["nghttpd", "--no-tls", "-a", "127.0.0.1", "-d", self.www, *trailer,
                               "-m", "1000", "-w", "20", "-W", "24", self.backend_ports[name]], measure.LOAD_CORE)
        measure.start([self.tool("perf_backend"), "udp", self.udp_port], measure.LOAD_CORE)
        if shutil.which("iperf3"):
            measure.start(["iperf3", "-s", "-p", self.iperf_port], measure.LOAD_CORE)
        time.sleep(0.2)

    def start_peer(self, peer, job, **options):
        process = measure.start(peer.command(job), log=peer.directory / "output", **options)
        port = peer.ports["proxy" if job == "plain" and "proxy" in peer.ports else job if job in peer.ports else next(iter(peer.ports))]
        if not self.wait_port(port, process, udp=job in ("udp", "dns")):
            print(f"{peer.name}: did not start for {job}: {(peer.directory / 'output').read_text(errors='replace')[-400:].strip()}")
            measure.stop(process)
            return None
        return process

    @staticmethod
    def wait_port(port, process, udp=False, seconds=10):
        if udp:
            time.sleep(1.2)
            return process.poll() is None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return True
            time.sleep(0.02)
        return False


def measure_cpu(bench, case, systems, rounds, seconds):
    """{peer: [microseconds per request of each round]}; prints as it goes."""
    running, found, errors = {}, {}, {}
    try:
        for peer in systems:
            process = bench.start_peer(peer, case.job)
            if process:
                running[peer] = process
                measure.run(case.load(peer.ports[case.job], 1), timeout=30)  # warm-up
        for _ in range(rounds):
            for peer, process in running.items():
                pids = measure.tree(process.pid)
                before = measure.cpu_ns(pids)
                output = measure.run(case.load(peer.ports[case.job], seconds), timeout=seconds + 10)
                spent = measure.cpu_ns(pids) - before
                result = case.read(output)
                if not result or not result["count"]:
                    errors[peer.name] = output.strip()[-200:]
                    continue
                if result["errors"]:
                    errors[peer.name] = result["errors"]
                found.setdefault(peer.name, []).append(spent / 1000 / result["count"])
    finally:
        for process in running.values():
            measure.stop(process)
    for name, said in errors.items():
        print(f"  {case.name}, {name}: {said}")
    return found


def measure_calls(bench, case, peer):
    """System calls per request."""
    process = bench.start_peer(peer, case.job)
    if not process:
        return None
    try:
        port = peer.ports[case.job]
        measure.run(case.load(port, 1), timeout=30)
        calls, result = measure.system_calls(measure.tree(process.pid), lambda: case.read(measure.run(case.load(port, 1), timeout=30)))
        return calls / result["count"] if calls and result and result["count"] else None
    finally:
        measure.stop(process)


def measure_allocations(bench, case, peer):
    counter = measure.AllocationCounter(bench.tool("libperf_malloc.so"), peer.directory)
    process = bench.start_peer(peer, case.job, env=counter.env)
    if not process:
        return None
    try:
        port = peer.ports[case.job]
        measure.run(case.load(port, 1), timeout=30)
        if not counter.read():
            return None  # the library was not loaded: a static program
        if case.count:  # two runs on equally many connections: what a connection allocates cancels out
            grown = []
            for requests in (2000, 12000):
                before = counter.read()
                measure.run(case.count(port, requests), timeout=60)
                grown.append(counter.read() - before)
            return (grown[1] - grown[0]) / 10000
        before = counter.read()
        result = case.read(measure.run(case.load(port, 1), timeout=30))
        return (counter.read() - before) / result["count"] if result and result["count"] else None
    finally:
        measure.stop(process)


def measure_instructions(bench, case, peer, few=500, many=2500):
    """Two runs that differ in nothing but the number of requests: start and stop cancel out."""
    totals = []
    port = peer.ports[case.job]

    def ready():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def work(requests, done):
        # What runs for the first time under valgrind is so slow that headgate would refuse requests: some first, one by one.
        measure.run([*case.count(port, 32), "-c1", "-m1"], timeout=60)
        time.sleep(2.5)
        done.append(measure.h2load(measure.run(case.count(port, requests), timeout=60)))

    for requests in (few, many):
        done = []
        total = measure.callgrind(peer.single_process(case.job), peer.directory, lambda requests=requests, done=done: work(requests, done), ready=ready)
        if not total or not done or not done[0] or done[0]["count"] < requests:
            return None
        if case.body is not None and done[0]["body"] != case.body * requests:
            print(f"  {case.name}, {peer.name}: answers without the message")
            return None
        totals.append(total)
    return (totals[1] - totals[0]) / (many - few)


def measure_memory(bench, systems):
    """Rows of (case, {peer: figure}, unit): an idle process, and what an idle connection adds in user space."""
    idle, connection = {}, {}
    for peer in systems:
        if "proxy" not in peer.jobs:
            continue
        process = bench.start_peer(peer, "plain")
        if not process:
            continue
        try:
            time.sleep(0.6)
            pids = measure.tree(process.pid)
            idle[peer.name] = measure.memory_kib(pids, "Pss") / 1024
            count = 4000
            port = peer.ports["static" if "static" in peer.jobs else "proxy"]
            warm = measure.run([bench.tool("perf_load"), "idle", port, 200, 0.2], timeout=30)
            before = measure.memory_kib(pids, "Private_Dirty", "Private_Clean")
            log = peer.directory / "idle"
            holder = measure.start([bench.tool("perf_load"), "idle", port, count, 60], measure.LOAD_CORE, log=log)
            deadline = time.monotonic() + 20
            while "open" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(0.5)
            opened = int(log.read_text().split()[-1]) if "open" in log.read_text() else 0
            grown = measure.memory_kib(pids, "Private_Dirty", "Private_Clean") - before
            measure.stop(holder)
            if "open 200" in warm and opened == count:
                connection[peer.name] = grown * 1024 / opened
        finally:
            measure.stop(process)
    return [("idle connection", connection, "bytes"), ("idle memory", idle, "MiB Pss")]


def measure_latency(bench, systems, rps=10000):
    found = {}
    direct = measure.run([bench.tool("perf_load"), "rate", bench.backend_ports["tiny"], 64, rps, 3], timeout=30)
    print(f"  direct: {direct.strip()}")
    for peer in systems:
        if "proxy" not in peer.jobs:
            continue
        process = bench.start_peer(peer, "proxy")
        if process:
            output = measure.run([bench.tool("perf_load"), "rate", peer.ports["proxy"], 64, rps, 3], timeout=30)
            measure.stop(process)
            print(f"  {peer.name}: {output.strip()}")
            fields = dict(part.split("=") for part in output.split() if "=" in part)
            found[peer.name] = float(fields.get("p99", 0))
    return [(f"latency p99 at {rps}/s", found, "us")]


def table(rows, names):
    """Markdown: one row per case, one column per system."""
    lines = ["| case | unit | " + " | ".join(names) + " | ratio to us |", "|---|---|" + "---:|" * len(names) + "---|"]
    for name, unit, figures, ratios in rows:
        cells = [format_figure(figures.get(peer)) for peer in names]
        lines.append(f"| {name} | {unit} | " + " | ".join(cells) + f" | {ratios} |")
    return "\n".join(lines)


def format_figure(value):
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def ratios_of(found, goal):
    """`haproxy 1.12 (goal 1.05)`: how many times the peer's cost is ours, median of the rounds."""
    ours = found.get("headgate")
    if not ours:
        return ""
    parts = []
    for peer, theirs in found.items():
        if peer == "headgate":
            continue
        ratio = statistics.median([b / a for a, b in zip(ours, theirs)])
        wanted = f" (goal {goal[peer]:.2g}{'' if ratio >= goal[peer] else ', MISSED'})" if peer in goal else ""
        parts.append(f"{peer} {ratio:.2f}{wanted}")
    return ", ".join(parts)


def main():
    global BENCH
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help="names, or words of names (`proxy`, `dns`); default: HTTP and memory")
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--peers", default="", help="only these, comma separated")
    parser.add_argument("--names", type=int, default=1000, help="names in the DNS zone")
    parser.add_argument("--counts", default="calls,allocations,instructions", help="what to count besides CPU; empty: nothing")
    parser.add_argument("--build-peers", action="store_true", help="build CoreDNS with go install when it is missing")
    parser.add_argument("--json", help="write the figures to this file too")
    parser.add_argument("--list", action="store_true", help="names of the cases")
    options = parser.parse_args()
    if options.list:
        print("\n".join([*names, *MEMORY_CASES, LATENCY_CASE]))
        return 0
    everything = [*names, *MEMORY_CASES, LATENCY_CASE]
    wanted = [name for name in everything if any(word in name for word in options.cases)] if options.cases else [*DEFAULT, *MEMORY_CASES]
    if not wanted:
        sys.exit(f"bench: no case like {options.cases}; --list names them")
    if (os.cpu_count() or 1) < 2:
        sys.exit("bench: needs two cores, one for the system under test and one for the load")
    BENCH = bench = Bench(options)
    try:
        chosen = [name for name in options.peers.split(",") if name]
        jobs = {case.job for case in CASES if case.name in wanted} | ({"proxy"} if set(wanted) & {*MEMORY_CASES, LATENCY_CASE} else set())
        bench.start_backends()
        systems = []
        for kind in peers.ALL:
            if chosen and kind.name not in chosen:
                continue
            if kind is not peers.Headgate and not set(kind.jobs) & jobs:
                continue
            if kind.available(bench):
                systems.append(kind(bench))
            else:
                print(f"{kind.name}: not on this machine, left out")
        rows, counts = [], [word for word in options.counts.split(",") if word]
        for case in CASES:
            if case.name not in wanted:
                continue
            able = [peer for peer in systems if case.job in peer.jobs]
            if not able:
                continue
            print(f"{case.name} ...", flush=True)
            found = measure_cpu(bench, case, able, options.rounds, options.seconds)
            rows.append((case.name, case.unit, {name: statistics.median(values) for name, values in found.items()}, ratios_of(found, case.goal)))
            for word, unit, function, possible in (("calls", "syscalls", measure_calls, case.read in (measure.wrk, measure.h2load)),
                                                   ("allocations", "allocations", measure_allocations, case.read in (measure.wrk, measure.h2load, measure.dnsperf)),
                                                   ("instructions", "instructions", measure_instructions, case.count)):
                if word in counts and possible:
                    figures = {peer.name: function(bench, case, peer) for peer in able if not (word != "calls" and peer.name in ("floor", "coredns"))}
                    rows.append(("", unit, figures, ""))
        if set(wanted) & set(MEMORY_CASES):
            print("memory ...", flush=True)
            rows += [(name, unit, figures, "") for name, figures, unit in measure_memory(bench, systems) if name in wanted]
        if LATENCY_CASE in wanted:
            print("latency ...", flush=True)
            rows += [(name, unit, figures, "") for name, figures, unit in measure_latency(bench, systems)]
        columns = [peer.name for peer in systems if any(peer.name in figures for _, _, figures, _ in rows)]
        print("\n" + table(rows, columns))
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps([{"case": name, "unit": unit, **figures} for name, unit, figures, _ in rows], indent=1))
        return 0
    finally:
        measure.stop_all()
        shutil.rmtree(bench.directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
