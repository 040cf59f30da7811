"""The DNS server with real clients, and the same bytes sent to Knot for the same zone."""
import contextlib
import re
import shutil
import socket
import struct
import subprocess
import threading
import time

import pytest

from headgate import free_port, memory_kib, run_headgate, wait_for

ZONE = """$ORIGIN lan.example.
$TTL 300
@ SOA ns1.lan.example. admin.lan.example. 7 3600 600 604800 300
@ NS ns1
ns1 A 192.0.2.1
shop A 192.0.2.10
shop A 192.0.2.11
shop AAAA 2001:db8::10
www CNAME shop
@ MX 10 mail
mail A 192.0.2.25
_http._tcp SRV 0 100 8080 shop
*.wild TXT "anything"
big TXT """ + "\n".join(f'"{i:03d}-{"x" * 180}"' for i in range(1)) + "\n" + "".join(
    f'big TXT "{i:03d}-{"x" * 180}"\n' for i in range(1, 12)) + """@ CAA 0 issue "ca.example"
svc HTTPS 1 . alpn=h2,h3
"""


def name_bytes(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def query(name="shop.lan.example", kind=1, *, klass=1, flags=0, identity=0x1234, edns=None):
    """edns: (udp size, version, flags, options)"""
    extra = b""
    if edns:
        size, version, bits, options = edns
        extra = b"\0" + struct.pack(">HHBBHH", 41, size, 0, version, bits, len(options)) + options
    return struct.pack(">HHHHHH", identity, flags, 1, 0, 0, 1 if edns else 0) + name_bytes(name) + struct.pack(
        ">HH", kind, klass) + extra


def read_name(message, at):
    labels, end = [], None
    while message[at]:
        if message[at] >= 192:
            end = end or at + 2
            at = (message[at] & 63) << 8 | message[at + 1]
            continue
        labels.append(message[at + 1:at + 1 + message[at]].decode("latin-1"))
        at += message[at] + 1
    return ".".join(labels), end or at + 1


class Answer:
    """What a response says, with compression and the order inside RRsets taken out."""

    def __init__(self, message):
        self.message = message
        self.id, self.flags, qd, an, ns, ar = struct.unpack(">HHHHHH", message[:12])
        at = 12
        self.question = None
        for _ in range(qd):
            name, at = read_name(message, at)
            self.question = (name, *struct.unpack(">HH", message[at:at + 4]))
            at += 4
        self.opt = None
        self.sections = []
        for count in (an, ns, ar):
            records = []
            for _ in range(count):
                owner, at = read_name(message, at)
                kind, klass, ttl, size = struct.unpack(">HHIH", message[at:at + 10])
                at += 10
                if kind == 41:
                    self.opt = (klass, ttl, message[at:at + size])
                else:
                    records.append((owner.lower(), kind, klass, ttl, self.data(kind, at, size)))
                at += size
            self.sections.append(sorted(records))
        assert at == len(message), "bytes after the last record"
        self.rcode = self.flags & 15 | ((self.opt[1] >> 24) << 4 if self.opt else 0)

    def data(self, kind, at, size):
        if kind in (2, 5, 12):
            return read_name(self.message, at)[0].lower()
        if kind == 15:
            return self.message[at:at + 2], read_name(self.message, at + 2)[0].lower()
        if kind == 6:
            mname, after = read_name(self.message, at)
            rname, after = read_name(self.message, after)
            return mname.lower(), rname.lower(), self.message[after:at + size]
        return self.message[at:at + size]


def ask(port, message, timeout=2.0):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        client.connect(("127.0.0.1", port))
        client.send(message)
        return client.recv(65535)


def ask_tcp(port, *messages):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"".join(struct.pack(">H", len(one)) + one for one in messages))
        stream = client.makefile("rb")
        return [stream.read(struct.unpack(">H", stream.read(2))[0]) for _ in messages]


@pytest.fixture(scope="module")
def server(start_shared, tmp_path_factory, authority):
    directory = tmp_path_factory.mktemp("dns")
    (directory / "lan.zone").write_text(ZONE)
    cert, key = authority.issue("dns", "localhost", "127.0.0.1")
    port, tls_port = free_port(), free_port()
    made = start_shared({
        "listen": [{"name": "u", "uri": f"udp://127.0.0.1:{port}"}, {"name": "t", "uri": f"tcp://127.0.0.1:{port}"},
                   {"name": "s", "uri": f"ssl://127.0.0.1:{tls_port}"}],
        "tls": {"cert": str(cert), "key": str(key)},
        "dns": {"flat.test": {"A": ["192.0.2.80", "192.0.2.81"], "TTL": 17}, "*.flat.test": {"TXT": "w"},
                "alias.test": {"CNAME": "flat.test"}},
        "dns_auto_ptr": True, "zones": {"lan.example": str(directory / "lan.zone")},
        "dispatch": [{"listener": one, "handler": "dns"} for one in "uts"],
    }, directory=directory)
    made.port, made.tls_port = port, tls_port
    return made


@pytest.fixture(scope="module")
def knot(tmp_path_factory):
    if shutil.which("knotd") is None:
        pytest.skip("knotd is not installed")
    directory = tmp_path_factory.mktemp("knot")
    port = free_port()
    (directory / "lan.zone").write_text(ZONE)
    (directory / "knot.conf").write_text(f"""server:
  rundir: {directory}
  listen: 127.0.0.1@{port}
  udp-max-payload: 1232
database:
  storage: {directory}
zone:
  - domain: lan.example
    storage: {directory}
    file: lan.zone
    zonefile-sync: -1
""")
    process = subprocess.Popen(["knotd", "-c", str(directory / "knot.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers():
        with contextlib.suppress(OSError):
            return Answer(ask(port, query(), 0.2)).rcode == 0

    wait_for(answers, 10, "an answer of Knot")
    yield port
    process.terminate()
    process.wait(10)


EDNS = (1232, 0, 0, b"")
COOKIE = struct.pack(">HH", 10, 8) + b"12345678"
PROBES = {
    "noedns-soa": query("lan.example", 6),
    "type1000": query(kind=1000),
    "cd": query(flags=0x0010),
    "ad": query(flags=0x0020),
    "z": query(flags=0x0040),
    "opcode15": struct.pack(">HHHHHH", 1, 15 << 11, 0, 0, 0, 0),
    "rd": query(flags=0x0100),
    "edns0": query(edns=EDNS),
    "edns100": query("lan.example", 6, edns=(1232, 100, 0, b"")),
    "option100": query(edns=(1232, 0, 0, struct.pack(">HH", 100, 0))),
    "flag40": query(edns=(1232, 0, 0x0040, b"")),
    "edns100-option": query(edns=(1232, 100, 0, struct.pack(">HH", 100, 0))),
    "edns100-flag": query(edns=(1232, 100, 0x0040, b"")),
    "bufsize512": query("big.lan.example", 16, edns=(512, 0, 0, b"")),
    "do": query(edns=(1232, 0, 0x8000, b"")),
    "edns100-do": query(edns=(1232, 100, 0x8000, b"")),
    "nsid-ecs-expire-cookie": query(edns=(1232, 0, 0, struct.pack(">HH", 3, 0) + struct.pack(">HHHBB", 8, 7, 1, 24, 0) +
                                          b"\xc0\0\2" + struct.pack(">HH", 9, 0) + COOKIE)),
    "other-zone": query("example.org", 6),
    "nxdomain": query("nobody.lan.example"),
    "nodata": query("mail.lan.example", 28),
    "cname": query("www.lan.example", 1),
    "wildcard": query("x.y.wild.lan.example", 16),
    "mx": query("lan.example", 15),
    "https": query("svc.lan.example", 65),
    "case": query("sHoP.LaN.eXample"),
    "class-hs": query(klass=4),
    "class-none": query(klass=254),
}


@pytest.mark.parametrize("probe", PROBES)
def test_the_same_answer_as_knot(server, knot, probe):
    ours, theirs = Answer(ask(server.port, PROBES[probe])), Answer(ask(knot, PROBES[probe]))
    assert (ours.rcode, hex(ours.flags)) == (theirs.rcode, hex(theirs.flags))
    assert ours.question == theirs.question
    assert ours.sections[:2] == theirs.sections[:2]
    assert (ours.opt is None) == (theirs.opt is None)
    if ours.opt:
        assert ours.opt[1] == theirs.opt[1]  # extended code, version and flags
    tcp_ours, tcp_theirs = Answer(ask_tcp(server.port, PROBES[probe])[0]), Answer(ask_tcp(knot, PROBES[probe])[0])
    assert (tcp_ours.rcode, tcp_ours.sections[:2]) == (tcp_theirs.rcode, tcp_theirs.sections[:2])


def test_classes_that_crash_others(server):
    for klass in (3, 4, 254, 255):
        assert Answer(ask(server.port, query(klass=klass))).rcode in (1, 5)
    for kind in (251, 252):
        assert Answer(ask(server.port, query("lan.example", kind))).rcode in (4, 5)
    assert len(Answer(ask(server.port, query(kind=255))).sections[0]) <= 2  # one RRset (RFC 8482)


def test_what_is_not_for_everybody(server):
    """Zone transfers, changes, and what the server is: refused or not implemented, over UDP and TCP."""
    for message in (query("lan.example", 252), query("lan.example", 251), query("lan.example", 6, flags=4 << 11),
                    query("lan.example", 6, flags=5 << 11), query("version.bind", 16, klass=3), query("id.server", 16, klass=3)):
        for answer in (Answer(ask(server.port, message)), Answer(ask_tcp(server.port, message)[0])):
            assert answer.rcode in (4, 5) and not answer.sections[0]


def test_never_answers_a_response_or_garbage(server):
    for message in (query(flags=0x8000), b"", b"\0" * 11):
        with pytest.raises(TimeoutError):
            ask(server.port, message, 0.3)
    assert Answer(ask(server.port, query())).rcode == 0


def test_flat_names_and_automatic_ptr(server):
    answer = Answer(ask(server.port, query("alias.test")))
    assert [record[1] for record in answer.sections[0]] == [5, 1, 1] and answer.flags & 0x0400
    assert {record[3] for record in answer.sections[0] if record[1] == 1} == {17}
    back = Answer(ask(server.port, query("80.2.0.192.in-addr.arpa", 12)))
    assert [record[4] for record in back.sections[0]] == ["flat.test"]
    assert Answer(ask(server.port, query("deep.er.flat.test", 16))).sections[0][0][4] == b"\1w"


def test_real_clients(server):
    def run(*command):
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout

    if shutil.which("dig"):
        assert sorted(run("dig", "@127.0.0.1", "-p", str(server.port), "+short", "www.lan.example").split()) == [
            "192.0.2.10", "192.0.2.11", "shop.lan.example."]
    if shutil.which("drill"):
        for over in ("-u", "-t"):
            said = run("drill", over, "-p", str(server.port), "@127.0.0.1", "lan.example", "MX")
            assert re.search(r"rcode: NOERROR.*flags: qr aa", said, re.S) and re.search(r"MX\s+10 mail\.lan\.example\.", said)
    if shutil.which("kdig"):
        over_tls = run("kdig", "@127.0.0.1", "-p", str(server.tls_port), "+tls", "+short", "shop.lan.example", "AAAA")
        assert over_tls.strip() == "2001:db8::10"
        truncated = run("kdig", "@127.0.0.1", "-p", str(server.port), "+short", "big.lan.example", "TXT")
        assert len(truncated.strip().split("\n")) == 12  # came back over TCP by itself


def test_tcp_pipelining_in_order_and_byte_by_byte(server):
    names = ["shop.lan.example", "mail.lan.example", "ns1.lan.example", "nobody.lan.example"] * 50
    answers = ask_tcp(server.port, *(query(name, identity=i) for i, name in enumerate(names)))
    assert [Answer(one).id for one in answers] == list(range(len(names)))
    message = query()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in struct.pack(">H", len(message)) + message:
            client.send(bytes([byte]))
        client.shutdown(socket.SHUT_WR)
        whole = client.makefile("rb").read()
        assert Answer(whole[2:]).rcode == 0


def test_addresses_of_both_families(start):
    """A client hears only from the address it asked: these sockets are connected."""
    port, v6 = free_port(), free_port()
    start({"listen": [{"name": "all", "uri": f"udp://:{port}"}, {"name": "tcp", "uri": f"tcp://:{port}"}, {"name": "six", "uri": f"udp://[::1]:{v6}"}],
           "dns": {"a.test": {"A": "192.0.2.1"}}, "dns_allow_wildcard": True,
           "dispatch": [{"listener": one, "handler": "dns"} for one in ("all", "tcp", "six")]})
    for family, address, where in ((socket.AF_INET, "127.0.0.1", port), (socket.AF_INET, "127.0.0.77", port), (socket.AF_INET6, "::1", port),
                                   (socket.AF_INET6, "::1", v6)):
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.settimeout(3)
            client.connect((address, where))
            for identity in range(3):
                client.send(query("a.test", identity=identity))
                answer = Answer(client.recv(4096))
                assert (answer.id, answer.sections[0][0][4]) == (identity, b"\xc0\0\2\1")
    for address in ("127.0.0.1", "127.0.0.77", "::1"):
        with socket.create_connection((address, port), timeout=5) as client:
            message = query("a.test")
            client.sendall(struct.pack(">H", len(message)) + message)
            stream = client.makefile("rb")
            assert Answer(stream.read(struct.unpack(">H", stream.read(2))[0])).sections[0]


REFUSED = 'headgate_downstream_connections_refused_total{reason="per_ip"}'


def test_connections_of_one_client_are_limited(start):
    port = free_port()
    server = start({"listen": [{"name": "t", "uri": f"tcp://127.0.0.1:{port}"}], "dns": {"a.test": {"A": "192.0.2.1"}},
                    "dispatch": [{"listener": "t", "handler": "dns"}]})
    message = struct.pack(">H", len(query("a.test"))) + query("a.test")

    def answered(held, source="127.0.0.1"):  # one that is refused may be reset before connect() comes back
        with contextlib.suppress(ConnectionError):
            client = held.enter_context(socket.create_connection(("127.0.0.1", port), 5, (source, 0)))
            client.sendall(message)
            return client.recv(4096) != b""
        return False

    with contextlib.ExitStack() as held:
        for _ in range(200):  # not at once, as long as whoever asked whether the port is open counts
            wait_for(lambda: answered(held), 10, "a connection below the limit")
        refused = server.metrics().get(REFUSED, 0)
        assert not answered(held)
        assert answered(held, "127.0.0.2")
        assert server.metrics()[REFUSED] == refused + 1


def test_idle_connections_are_closed(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        began = time.monotonic()
        assert client.recv(1) == b""
        assert 8 < time.monotonic() - began < 14


def test_rate_limit_slips_to_tcp(start):
    port = free_port()
    start({"listen": [{"name": "u", "uri": f"udp://127.0.0.1:{port}"}], "dns": {"a.test": {"A": "192.0.2.1"}},
           "dispatch": [{"listener": "u", "handler": "dns"}]})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(0.5)
        for i in range(400):
            client.send(query("a.test", identity=i))
            time.sleep(0.0005)
        full = cut = 0
        with contextlib.suppress(TimeoutError):
            while True:
                answer = Answer(client.recv(4096))
                if answer.flags & 0x0200:
                    cut += 1
                    assert not answer.sections[0]
                else:
                    full += 1
    assert 100 <= full < 250 and 50 < cut < 200 and full + cut < 360


@pytest.mark.memory
def test_a_hundred_thousand_names_take_little_memory(start):
    port = free_port()

    def config(count):
        return {"listen": [{"name": "u", "uri": f"udp://127.0.0.1:{port}"}], "dispatch": [{"listener": "u", "handler": "dns"}],
                "dns": {f"host{i}.bench.test": {"A": f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}"} for i in range(count)}}

    server = start(config(10))
    assert Answer(ask(port, query("host9.bench.test"))).sections[0]
    before = sum(map(memory_kib, server.processes()))
    server.reload(config(100_000))
    last = Answer(ask(port, query("host99999.bench.test"))).sections[0]
    assert last[0][4] == bytes([10, 99999 >> 16, 99999 >> 8 & 255, 99999 & 255])
    # The change of the file was noticed, too: it may be read once more.
    wait_for(lambda: sum(map(memory_kib, server.processes())) - before < 15 * 1024, 20, "the memory of 100,000 names below 15 MiB")
    status, text = server.admin("/config")  # made again from what was kept
    assert status == 200 and '"host99999.bench.test"' in text
    server.reload(config(5))
    assert Answer(ask(port, query("host9.bench.test"))).rcode == 5


def test_a_wildcard_bind_is_refused_and_says_why(tmp_path):
    file = tmp_path / "site.json"
    file.write_text('{"listen": ["udp://:5353"], "dns": {"a.test": {"A": "192.0.2.1"}},'
                    '"dispatch": [{"listener": "udp://:5353", "handler": "dns"}]}')
    result = run_headgate("check", file)
    assert result.returncode != 0 and "dns_allow_wildcard" in result.stdout + result.stderr


class Resolver:
    """Answers everything below up.test; TC for names that begin with big, silence for mute."""

    def __init__(self):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port = free_port()  # free for both
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.create_server(("127.0.0.1", self.port))
        self.asked, self.sources = [], []
        for loop in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=loop, daemon=True).start()

    def answer(self, message, over_udp):
        name, at = read_name(message, 12)
        self.asked.append(("udp" if over_udp else "tcp", name.lower()))
        head, question = struct.unpack(">H", message[:2])[0], message[12:at + 4]
        if name.lower().startswith("big") and over_udp:
            return struct.pack(">HHHHHH", head, 0x8380, 1, 0, 0, 0) + question
        if not name.lower().endswith("up.test"):
            soa = b"\xc0\x0c" + struct.pack(">HHIH", 6, 1, 60, 22) + b"\0\0" + struct.pack(">IIIII", 1, 2, 3, 4, 60)
            return struct.pack(">HHHHHH", head, 0x8183, 1, 0, 1, 0) + question + soa
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + b"\xc0\0\2\x63"
        return struct.pack(">HHHHHH", head, 0x8180, 1, 1, 0, 0) + question + record

    def serve_udp(self):
        while True:
            message, client = self.udp.recvfrom(4096)
            self.sources.append((client[1], message[:2]))
            name = read_name(message, 12)[0].lower()
            if name.startswith("mute"):
                self.asked.append(("udp", name))
                continue
            if name.startswith("slow"):
                time.sleep(0.3)
            self.udp.sendto(self.answer(message, True), client)

    def serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError, struct.error):
                message = stream.read(struct.unpack(">H", stream.read(2))[0])
                reply = self.answer(message, False)
                connection.sendall(struct.pack(">H", len(reply)) + reply)


def test_forwarding(start):
    resolver, port = Resolver(), free_port()
    server = start({
        "listen": [{"name": "u", "uri": f"udp://127.0.0.1:{port}"}, {"name": "t", "uri": f"tcp://127.0.0.1:{port}"}],
        "dns": {"mine.test": {"A": "192.0.2.1"}}, "dns_forward": [f"127.0.0.1:{resolver.port}"],
        "dispatch": [{"listener": one, "handler": "dns"} for one in "ut"]})
    own = Answer(ask(port, query("mine.test", flags=0x0100)))
    assert own.flags & 0x0400 and not resolver.asked
    for i in range(3):  # the first from the resolver, the others from the cache
        answer = Answer(ask(port, query("A.uP.test", flags=0x0100, identity=i)))
        assert (answer.id, answer.question[0], answer.rcode) == (i, "A.uP.test", 0)
        assert answer.flags & 0x0080 and not answer.flags & 0x0400
        assert answer.sections[0][0][4] == b"\xc0\0\2\x63"
    assert resolver.asked == [("udp", "a.up.test")]
    assert Answer(ask_tcp(port, query("a.up.test", flags=0x0100))[0]).sections[0]
    assert len(resolver.asked) == 1
    assert Answer(ask(port, query("nobody.test", flags=0x0100))).rcode == 3
    resolver.asked.clear()
    assert Answer(ask(port, query("big.up.test", flags=0x0100))).sections[0]
    assert resolver.asked == [("udp", "big.up.test"), ("tcp", "big.up.test")]
    # Equal questions are one exchange.
    resolver.asked.clear()
    threads = [threading.Thread(target=ask, args=(port, query("slow.up.test", flags=0x0100, identity=i))) for i in range(20)]
    [one.start() for one in threads]
    [one.join() for one in threads]
    assert resolver.asked == [("udp", "slow.up.test")]
    # Nobody answers: SERVFAIL, not silence.
    assert Answer(ask(port, query("mute.up.test", flags=0x0100), 6)).rcode == 2
    assert Answer(ask(port, query("other.up.test"))).rcode == 5  # recursion was not asked for
    assert len({source for source, _ in resolver.sources}) == len(resolver.sources)
    assert len({identity for _, identity in resolver.sources}) > 1
    assert server.metrics()["headgate_dns_cache_hits_total"] >= 3
