"""The systems under test: how each is configured for the same jobs, and how it is started. One worker, no access log."""
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess

# What a system is asked to do. Every job of every peer has a port of its own.
JOBS = ("proxy", "proxy10k", "proxy100k", "static", "tls", "tlsstatic", "grpc", "h2", "tcp", "tcpbulk", "udp", "dns")

_ports = random.Random()


def free_port():
    for _ in range(200):
        port = _ports.randrange(20000, 32000)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
            return port
        except OSError:
            continue
    raise RuntimeError("no free port")


class Peer:
    name = ""
    jobs = ()
    signal_to_reload = None

    def __init__(self, bench):
        self.bench = bench
        self.directory = bench.directory / self.name
        self.directory.mkdir(parents=True, exist_ok=True)
        self.ports = {job: free_port() for job in self.jobs}
        self.configure()

    def configure(self):
        raise NotImplementedError

    def command(self, job):
        """The command line of a process that does this job (usually all of them)."""
        raise NotImplementedError

    def single_process(self, job):
        """The same for callgrind, which wants no daemon and no supervisor."""
        return self.command(job)

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    @staticmethod
    def available(bench):
        return True


class Headgate(Peer):
    name = "headgate"
    jobs = ("proxy", "proxy10k", "proxy100k", "static", "tls", "tlsstatic", "grpc", "h2")

    @staticmethod
    def available(bench):
        return bench.binary.exists()

    def configure(self):
        back, rules, listen = self.bench.backend_ports, [], []
        for job in self.jobs:
            scheme = "https" if job.startswith("tls") else "http"
            listen.append({"name": job, "uri": f"{scheme}://127.0.0.1:{self.ports[job]}"})
            if job in ("static", "tlsstatic"):
                rules.append({"listener": job, "handler": "static", "root": str(self.bench.www)})
            else:
                target = {"proxy10k": "10k", "proxy100k": "100k", "grpc": "grpc", "h2": "h2"}.get(job, "tiny")
                rules.append({"listener": job, "handler": "proxy", "path": "/**", "proxy_pass": f"upstream://{target}"})
        upstreams = {name: {"targets": [f"{'grpc' if name in ('grpc', 'h2') else 'http'}://127.0.0.1:{port}"], "keep_alive": {"connections": 512}}
                     for name, port in back.items()}
        config = {"listen": listen, "upstreams": upstreams, "tls": {"cert": str(self.bench.cert), "key": str(self.bench.key)}, "backlog": 4096,
                  "timeouts": {"idle": 300}, "logging": {"access_log": "off", "level": "warn"}, "dispatch": rules}
        self.file = self.write("site.json", json.dumps(config, indent=1))
        plain = {**config, "listen": [one for one in listen if one["name"] in ("proxy", "static")],
                 "dispatch": [rule for rule in rules if rule["listener"] in ("proxy", "static")]}
        del plain["tls"]
        self.plain = self.write("plain.json", json.dumps(plain, indent=1))
        self.extra()

    def extra(self):
        """Layer 4 and DNS live in files of their own, so that a build without them still measures the rest."""
        self.l4_ports = {job: free_port() for job in ("tcp", "tcpbulk", "udp", "dns")}
        for job, scheme, target in (("tcp", "tcp", self.bench.backend_ports["tiny"]), ("tcpbulk", "tcp", self.bench.iperf_port),
                                    ("udp", "udp", self.bench.udp_port)):
            self.write(f"{job}.json", json.dumps({
                "listen": [{"name": job, "uri": f"{scheme}://127.0.0.1:{self.l4_ports[job]}"}], "logging": {"access_log": "off", "level": "warn"},
                "dispatch": [{"listener": job, "handler": "forward", "forward_to": f"{scheme}://127.0.0.1:{target}"}]}))
        self.write("dns.json", json.dumps({
            "listen": [{"name": "dns", "uri": f"udp://127.0.0.1:{self.l4_ports['dns']}"}], "logging": {"access_log": "off", "level": "warn"},
            "zones": {"bench.test": str(self.bench.zone)}, "dns_rate_limit": 0, "dispatch": [{"listener": "dns", "handler": "dns"}]}))
        if self.bench.accepts_forward():
            self.jobs = (*self.jobs, "tcp", "tcpbulk", "udp")
            self.ports.update({job: self.l4_ports[job] for job in ("tcp", "tcpbulk", "udp")})
        if self.bench.accepts_dns():
            self.jobs = (*self.jobs, "dns")
            self.ports["dns"] = self.l4_ports["dns"]

    def command(self, job):
        file = {"plain": self.plain}.get(job, self.file)
        if job in ("tcp", "tcpbulk", "udp", "dns"):
            file = self.directory / f"{job}.json"
        return [self.bench.binary, "-config", file, "-workers", "1", "-admin", "off"]

    def single_process(self, job):
        return [*self.command(job), "-no-parent"]


class Nginx(Peer):
    name = "nginx"
    jobs = ("proxy", "proxy10k", "proxy100k", "static", "tls", "tlsstatic", "grpc", "h2", "tcp", "tcpbulk", "udp")

    @staticmethod
    def available(bench):
        return shutil.which("nginx")

    def configure(self):
        self.file = self.write("nginx.conf", self.text(self.jobs))
        self.plain = self.write("plain.conf", self.text(("proxy", "static")))

    def text(self, jobs):
        bench, ports, top = self.bench, self.ports, self.directory
        pass_to = 'location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Connection ""; }}'.format
        tls = f"ssl_certificate {bench.cert}; ssl_certificate_key {bench.key}; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;"
        bodies = {"proxy": pass_to("tiny"), "proxy10k": pass_to("k10"), "proxy100k": pass_to("k100"), "static": f"root {bench.www};",
                  "tls": tls + pass_to("tiny"), "tlsstatic": f"{tls} root {bench.www};",
                  "grpc": "location / { grpc_pass grpc://grpc; }", "h2": "location / { grpc_pass grpc://h2; }"}
        servers = "\n".join(f"server {{ listen 127.0.0.1:{ports[job]} {'ssl http2' if job.startswith('tls') else 'http2' if job in ('grpc', 'h2') else ''} backlog=4096; {bodies[job]} }}"
                            for job in jobs if job in bodies)
        pools = "\n".join(f"upstream {name} {{ server 127.0.0.1:{bench.backend_ports[key]}; keepalive 512; keepalive_requests 1000000000; }}"
                          for name, key in (("tiny", "tiny"), ("k10", "10k"), ("k100", "100k"), ("grpc", "grpc"), ("h2", "h2")))
        module = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
        stream = ""
        if module.exists() and "tcp" in jobs:
            stream = (f"stream {{ server {{ listen 127.0.0.1:{ports['tcp']} backlog=4096; proxy_pass 127.0.0.1:{bench.backend_ports['tiny']}; }}\n"
                      f"server {{ listen 127.0.0.1:{ports['tcpbulk']}; proxy_pass 127.0.0.1:{bench.iperf_port}; proxy_buffer_size 64k; }}\n"
                      f"server {{ listen 127.0.0.1:{ports['udp']} udp; proxy_pass 127.0.0.1:{bench.udp_port}; proxy_timeout 20s; }} }}")
        paths = " ".join(f"{kind}_temp_path {top}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.getuid() == 0 else ""
        return f"""{f'load_module {module};' if module.exists() else ''}
{user} worker_processes 1; worker_rlimit_nofile 20000; pid {top}/pid; error_log {top}/error.log;
events {{ worker_connections 18000; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_timeout 300s; keepalive_requests 1000000000;
types {{ application/octet-stream bin; text/html html; }} {paths}
{pools}
{servers}
}}
{stream}
"""

    def command(self, job):
        return ["nginx", "-c", self.plain if job == "plain" else self.file, "-g", "daemon off;"]

    def single_process(self, job):
        return ["nginx", "-c", self.file, "-g", "daemon off; master_process off;"]


class Haproxy(Peer):
    name = "haproxy"
    jobs = ("proxy", "proxy10k", "proxy100k", "tls", "grpc", "h2", "tcp", "tcpbulk")

    @staticmethod
    def available(bench):
        return shutil.which("haproxy")

    def configure(self):
        self.file = self.write("haproxy.cfg", self.text(self.jobs))
        self.plain = self.write("plain.cfg", self.text(("proxy",)))

    def text(self, jobs):
        bench, ports = self.bench, self.ports
        backs = {"proxy": "tiny", "proxy10k": "10k", "proxy100k": "100k", "tls": "tiny", "grpc": "grpc", "h2": "h2"}
        text = ("global\n  nbthread 1\n  maxconn 9000\n  no strict-limits\n  maxpipes 200\ndefaults\n  mode http\n  timeout client 300s\n"
                "  timeout server 300s\n  timeout connect 5s\n  timeout http-keep-alive 300s\n  http-reuse always\n  option http-keep-alive\n")
        for job, key in backs.items():
            if job in jobs:
                tls = f" ssl crt {bench.pem} alpn h2,http/1.1" if job == "tls" else " proto h2" if job in ("grpc", "h2") else ""
                proto = " proto h2" if job in ("grpc", "h2") else ""
                text += (f"frontend {job}\n  bind 127.0.0.1:{ports[job]}{tls}\n  default_backend b_{job}\n"
                         f"backend b_{job}\n  server s 127.0.0.1:{bench.backend_ports[key]}{proto} pool-max-conn 512\n")
        for job, port in (("tcp", bench.backend_ports["tiny"]), ("tcpbulk", bench.iperf_port)):
            if job in jobs:
                splice = "  option splice-request\n  option splice-response\n" if job == "tcpbulk" else ""
                text += f"listen {job}\n  mode tcp\n{splice}  bind 127.0.0.1:{ports[job]}\n  server s 127.0.0.1:{port}\n"
        return text

    def command(self, job):
        return ["haproxy", "-db", "-f", self.plain if job == "plain" else self.file]


class H2o(Peer):
    name = "h2o"
    jobs = ("proxy", "proxy10k", "proxy100k", "static", "tls", "tlsstatic")

    @staticmethod
    def available(bench):
        return shutil.which("h2o")

    def configure(self):
        self.file = self.write("h2o.conf", self.text(self.jobs))
        self.plain = self.write("plain.conf", self.text(("proxy", "static")))

    def text(self, jobs):
        bench = self.bench
        text = (("user: root\n" if os.getuid() == 0 else "") + "num-threads: 1\nmax-connections: 15000\nhttp1-request-timeout: 300\n"
                "proxy.timeout.keepalive: 60000\nproxy.timeout.io: 60000\nhosts:\n")
        for job in jobs:
            back = {"proxy10k": "10k", "proxy100k": "100k"}.get(job, "tiny")
            body = f"file.dir: {bench.www}" if "static" in job else f"proxy.reverse.url: http://127.0.0.1:{bench.backend_ports[back]}/"
            ssl = f"      ssl: {{certificate-file: {bench.cert}, key-file: {bench.key}}}\n" if job.startswith("tls") else ""
            text += (f'  "{job}":\n    listen:\n      host: 127.0.0.1\n      port: {self.ports[job]}\n{ssl}'
                     f'    paths:\n      "/":\n        {body}\n')
        return text

    def command(self, job):
        return ["h2o", "-c", self.plain if job == "plain" else self.file]


class Floor(Peer):
    """No proxy could cost less; see floor.cc."""
    name = "floor"
    jobs = ("proxy", "proxy10k", "proxy100k", "tcp")

    def configure(self):
        pass

    def command(self, job):
        back = self.bench.backend_ports[{"proxy10k": "10k", "proxy100k": "100k"}.get(job, "tiny")]
        job = "proxy" if job == "plain" else job
        return [self.bench.tool("perf_floor"), self.ports[job], back]


class Knot(Peer):
    name = "knot"
    jobs = ("dns",)

    @staticmethod
    def available(bench):
        return shutil.which("knotd")

    def configure(self):
        self.file = self.write("knot.conf", f"""server:
    rundir: {self.directory}
    listen: 127.0.0.1@{self.ports['dns']}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {self.directory}
zone:
  - domain: bench.test
    file: {self.bench.zone}
    zonefile-sync: -1
    journal-content: none
""")

    def command(self, job):
        return ["knotd", "-c", self.file]


class CoreDns(Peer):
    """Not in Debian: built with `go install` once, where Go and a module proxy are there."""
    name = "coredns"
    jobs = ("dns",)
    version = "v1.11.3"

    @staticmethod
    def find():
        places = [os.environ.get("COREDNS", ""), shutil.which("coredns") or "", os.path.expanduser("~/go/bin/coredns")]
        return next((place for place in places if place and os.access(place, os.X_OK)), None)

    @staticmethod
    def available(bench):
        if CoreDns.find():
            return True
        if not bench.may_build or not shutil.which("go"):
            return False
        print(f"building CoreDNS {CoreDns.version} with go install (some minutes, once) ...", flush=True)
        built = subprocess.run(["go", "install", f"github.com/coredns/coredns@{CoreDns.version}"], capture_output=True, text=True, timeout=1800, check=False,
                               cwd="/")
        if built.returncode:
            print("coredns: left out:", built.stderr.strip().splitlines()[-1:] or built.returncode)
        return built.returncode == 0 and CoreDns.find()

    def configure(self):
        self.file = self.write("Corefile", f"bench.test:{self.ports['dns']} {{\n  bind 127.0.0.1\n  file {self.bench.zone}\n}}\n")

    def command(self, job):
        return ["env", "GOMAXPROCS=1", self.find(), "-conf", self.file, "-quiet"]


ALL = (Headgate, Nginx, Haproxy, H2o, Floor, Knot, CoreDns)
