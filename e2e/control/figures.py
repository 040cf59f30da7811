"""How fast changes arrive at clients, and what they cost: run by `run figures COUNT...`, a table for each count of Ingresses.

The API server, the controller, one dataplane with one worker, the back ends and this program share one machine: compare
figures of one machine only, and look at the CPU time where it is busy. Nothing here is a test: nothing is asserted about
time.
"""
import concurrent.futures
import http.client
import json
import os
import pathlib
import ssl
import sys
import tempfile
import threading
import time

from api_server import ADDRESS, ApiServer
from headgate import children, memory_kib, wait_for
from parts import BACKENDS, CLASS, HTTP_PORT, Backend, Controller, Load, dataplane, endpoints, ingress, service, wait_answer

CHANGES = 100      # of each kind that is timed
EDITS = 1000       # under load
INGRESSES_PER_SERVICE = 5
NETWORKING = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses"
DISCOVERY = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
SERVICES = "/api/v1/namespaces/shop/services"


class Api:
    """One connection to the API server: a call costs what the server needs, no program is started."""

    _local = threading.local()

    def __init__(self, server):
        self.trust = ssl.create_default_context(cafile=server.directory / "ca.crt")

    def call(self, method, path, body=None):
        headers = {"Authorization": "Bearer admin-token", "Content-Type": "application/json"}
        for attempt in range(5):
            if getattr(self._local, "owner", None) is not self:
                self._local.owner = self
                self._local.connection = http.client.HTTPSConnection(ADDRESS, 6443, timeout=60, context=self.trust)
            connection = self._local.connection
            try:
                connection.request(method, path, json.dumps(body) if body else None, headers)
                answer = connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException):  # the server ends connections now and then
                self._local.owner = None
                if attempt == 4:
                    raise
        if answer.status >= 300 and not (attempt and answer.status == 409):
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text)

    def fill(self, count):
        """Services of five Ingresses each, every Ingress with a host of its own."""
        objects = []
        for number in range(0, count, INGRESSES_PER_SERVICE):
            name = f"app-{number // INGRESSES_PER_SERVICE}"
            objects += [(SERVICES, service(name, clusterIP="None")), (DISCOVERY, endpoints(name, BACKENDS[0]))]
        objects += [(NETWORKING, ingress(f"i-{i}", f"h{i}.test", f"app-{i // INGRESSES_PER_SERVICE}")) for i in range(count)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda one: self.call("POST", *one), objects))


class Client:
    """One connection to the dataplane, asked again and again."""

    def __init__(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", HTTP_PORT, timeout=5)

    def ask(self, host):
        self.connection.request("GET", "/", headers={"Host": host})
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def wait(self, host, right):
        """Seconds until the answer is right."""
        begin = time.monotonic()
        while not right(self.ask(host)):
            if time.monotonic() - begin > 60:
                raise RuntimeError(f"{host}: no right answer in 60 s")
            time.sleep(0.0005)
        return time.monotonic() - begin


class Cpu:
    """Seconds that processes spent, threads included."""

    def __init__(self, **processes):
        self.processes = processes
        self.begin = {name: self.spent(pids) for name, pids in processes.items()}

    @staticmethod
    def spent(pids):
        total = 0
        for pid in pids:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def per(self, changes):
        return "  ".join(f"{name} {(self.spent(pids) - self.begin[name]) / changes * 1000:.1f} ms"
                         for name, pids in self.processes.items())


def family(pid):
    """The process and those it started."""
    return [pid] + [each for child in children(pid) for each in family(child)]


def mib(pids):
    return sum(memory_kib(pid) for pid in pids) / 1024


def percentiles(seconds):
    ordered = sorted(seconds)
    return tuple(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 for share in (0.5, 0.99))


def row(what, figure):
    print(f"  {what:<58} {figure}", flush=True)


def timed_changes(what, change, cpu):
    spent = []
    for number in range(CHANGES):
        spent.append(change(number))
        time.sleep(0.05)  # each on its own: bursts are the edits under load
    median, worst = percentiles(spent)
    row(what, f"p50 {median:.1f} ms  p99 {worst:.1f} ms")
    row("  CPU for each", cpu.per(CHANGES))


def changes(api, parts):
    client = Client()

    def create(number):
        api.call("POST", NETWORKING, ingress(f"new-{number}", f"new-{number}.test", "app-0"))
        return client.wait(f"new-{number}.test", lambda answer: answer[0] == 200)

    def move(number):
        to = BACKENDS[(number + 1) % 2]
        api.call("PUT", f"{DISCOVERY}/app-0-1", endpoints("app-0", to))
        return client.wait("h0.test", lambda answer: answer == (200, to))

    timed_changes("Ingress created -> first answer", create, Cpu(**parts))
    timed_changes("EndpointSlice changed -> traffic moved", move, Cpu(**parts))


def edits(api, parts, count):
    load = Load("h0.test", 30, rate=1000)
    time.sleep(1)
    cpu = Cpu(**parts)
    begin = time.monotonic()
    for number in range(EDITS):
        one = number % min(count, 50)
        api.call("PUT", f"{NETWORKING}/i-{one}",
                 ingress(f"i-{one}", f"h{one}.test", f"app-{one // INGRESSES_PER_SERVICE}",
                         annotations={"nginx.ingress.kubernetes.io/proxy-read-timeout": str(60 + number)}))
        if time.monotonic() - begin > 27:
            number += 1
            break
    else:
        number = EDITS
    elapsed = time.monotonic() - begin
    requests, lost = load.result()
    row(f"{number} edits in {elapsed:.1f} s, {requests} requests meanwhile", f"{lost} failed")
    row("  CPU for each edit, requests included", cpu.per(number))


def measure(count):
    print(f"{count} Ingresses:", flush=True)
    server = ApiServer()
    backends = [Backend(address) for address in BACKENDS[:2]]
    server.apply(CLASS)
    api = Api(server)
    controller = Controller(server)
    base = dataplane(server, controller)
    wait_for(lambda: base.admin("/readyz")[0] == 200, 60, "the dataplane is ready")
    base_memory = (mib(family(controller.process.pid)), mib(family(base.process.pid)))
    begin = time.monotonic()
    api.fill(count)
    wait_answer(f"h{count - 1}.test", seconds=120)
    row("objects made and served", f"{time.monotonic() - begin:.1f} s")
    try:
        parts = {"controller": family(controller.process.pid), "dataplane": family(base.process.pid)}
        changes(api, parts)
        edits(api, parts, count)
        time.sleep(3)
        row("memory of the controller (Pss)", f"{mib(parts['controller']):.1f} MiB, {base_memory[0]:.1f} with nothing")
        row("memory of the dataplane (Pss)", f"{mib(parts['dataplane']):.1f} MiB, {base_memory[1]:.1f} with nothing")
        cold_start(server, controller, base, count)
    finally:
        controller.close()
        for backend in backends:
            backend.close()
        server.close()


def cold_start(server, controller, warm, count):
    host = f"h{count - 1}.test"
    warm.close()
    begin = time.monotonic()
    cold = dataplane(server, controller, wait=False)
    asked = time.monotonic() - begin
    wait_answer(host, seconds=60)
    row("dataplane: start -> first answer, no last-good file", f"{(time.monotonic() - begin) * 1000:.0f} ms"
        f", of them {asked * 1000:.0f} for kubectl")
    row("memory of that dataplane (Pss)", f"{mib(family(cold.process.pid)):.1f} MiB")
    cold.close()
    controller.close()
    begin = time.monotonic()
    controller.start(ready=False)
    wait_for(lambda: controller.get("/readyz")[0] == 200, 60, "the controller is ready", every=0.005)
    row("controller: start -> ready", f"{(time.monotonic() - begin) * 1000:.0f} ms")


if __name__ == "__main__":
    for given in sys.argv[1:] or ["100", "3000"]:
        measure(int(given))
