"""Forwarding between every pair of TCP, TLS, Unix streams, UDP and Unix datagrams, with real clients."""
import contextlib
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

from headgate import free_port, wait_for

LOOPBACK = "127.0.0.1"


class Stream:
    """A stream server; talk(connection) runs in a thread per connection. `address` as a target has it."""

    def __init__(self, talk, *, path=None, tls=None):
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.listener.listen(64)
            self.target = f"unix://{path}"
        else:
            self.listener = socket.create_server((LOOPBACK, 0))
            self.port = self.listener.getsockname()[1]
            self.target = f"{'ssl' if tls else 'tcp'}://{LOOPBACK}:{self.port}"
        self.tls, self.talk, self.connections = tls, talk, 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with contextlib.suppress(OSError), connection:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            self.talk(connection)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Datagrams:
    """Sends everything back with `prefix`, and remembers it."""

    def __init__(self, prefix=b"", path=None, answer=True):
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(str(path) if path else (LOOPBACK, 0))
        self.target = f"unixgram://{path}" if path else f"udp://{LOOPBACK}:{self.socket.getsockname()[1]}"
        self.prefix, self.answer, self.got, self.clients = prefix, answer, [], set()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                data, client = self.socket.recvfrom(65535)
                self.got.append(data)
                self.clients.add(client)
                if self.answer:
                    self.socket.sendto(self.prefix + data, client)


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


def rules(start, *pairs, **extra):
    """pairs: (uri, rule or list of rules). Starts headgate with one listener each."""
    listen, dispatch = [], []
    for i, (uri, wanted) in enumerate(pairs):
        listen.append({"name": f"l{i}", "uri": uri} if isinstance(uri, str) else {"name": f"l{i}", **uri})
        dispatch += [{"listener": f"l{i}", "handler": "forward", **rule} for rule in (wanted if isinstance(wanted, list) else [wanted])]
    return start({"listen": listen, "dispatch": dispatch, **extra})


def tcp(port, timeout=5):
    return socket.create_connection((LOOPBACK, port), timeout=timeout)


def udp(port, timeout=3):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(timeout)
    client.connect((LOOPBACK, port))
    return client


def read_all(connection):
    parts = []
    while data := connection.recv(1 << 20):
        parts.append(data)
    return b"".join(parts)


def test_streams_of_every_kind(start, tmp_path, authority):
    cert, key = authority.issue("relay", "localhost", LOOPBACK)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    backends = [Stream(echo), Stream(echo, path=tmp_path / "b.sock"), Stream(echo, tls=context)]
    pairs, clients = [], []
    trusting = ssl.create_default_context(cafile=str(authority.cert))
    for backend in backends:
        rule = {"forward_to": backend.target} | ({"tls": {"ca": str(authority.cert), "sni": "localhost"}} if backend.tls else {})
        port, tls_port, path = free_port(), free_port(), tmp_path / f"l{len(pairs)}.sock"
        pairs += [(f"tcp://{LOOPBACK}:{port}", rule), (f"ssl://{LOOPBACK}:{tls_port}", rule), (f"unix://{path}", rule)]
        clients += [lambda port=port: tcp(port), lambda port=tls_port: trusting.wrap_socket(tcp(port), server_hostname="localhost"),
                    lambda path=path: unix(path)]

    def unix(path):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        client.connect(str(path))
        return client

    rules(start, *pairs, tls={"cert": str(cert), "key": str(key)})
    data = os.urandom(3_000_000)
    for connect in clients:
        with connect() as client:
            sender = threading.Thread(target=client.sendall, args=(data,))
            sender.start()
            got = b""
            while len(got) < len(data):
                got += client.recv(1 << 20)
            sender.join()
            assert got == data


def test_half_close_reset_and_server_speaks_first(start):
    def first(connection):
        connection.sendall(b"220 ready\r\n")
        connection.sendall(b"said: " + read_all(connection))

    def resets(connection):
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    a, b = free_port(), free_port()
    server = rules(start, (f"tcp://{LOOPBACK}:{a}", {"forward_to": Stream(first).target}),
                   (f"tcp://{LOOPBACK}:{b}", {"forward_to": Stream(resets).target}))
    with tcp(a) as client:
        assert client.recv(100) == b"220 ready\r\n"
        client.sendall(b"all of it")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"said: all of it"
    with tcp(b) as client:
        client.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert server.metrics()["headgate_forward_connections_total"] == 2


def test_limits_idle_timeout_retry_and_reload(start):
    port, dead = free_port(), free_port()
    backend = Stream(echo)
    config = [(f"tcp://{LOOPBACK}:{port}", {"forward_to": "upstream://pool", "max_connections": 2, "timeout": 1})]
    server = rules(start, *config, upstreams={"pool": {"targets": [f"tcp://{LOOPBACK}:{dead}", backend.target]}})
    with tcp(port) as one, tcp(port) as two:
        for client in (one, two):
            client.sendall(b"hi")
            assert client.recv(10) == b"hi"  # whichever was picked first, the one that answers was found
        with tcp(port) as three, contextlib.suppress(ConnectionResetError):
            assert three.recv(10) == b""
        assert server.metrics()["headgate_forward_refused_total"] == 1
        server.reload()
        one.sendall(b"still")
        assert one.recv(10) == b"still"
        began = time.monotonic()
        assert two.recv(10) == b"" and time.monotonic() - began < 3
    with tcp(port) as again:
        again.sendall(b"room")
        assert again.recv(10) == b"room"


def test_targets_by_weight(start):
    port, closed = free_port(), free_port()
    words = Stream(lambda connection: connection.sendall(b"a")), Stream(lambda connection: connection.sendall(b"b"))
    rules(start, (f"tcp://{LOOPBACK}:{port}", {"forward_to": [{"to": words[0].target, "weight": 3}, {"to": "upstream://other"}]}),
          (f"tcp://{LOOPBACK}:{closed}", {"forward_to": [{"to": words[0].target, "weight": 0}, {"to": words[1].target}]}),
          upstreams={"other": {"targets": [words[1].target]}})

    def answers(where, count):
        got = []
        for _ in range(count):
            with tcp(where) as client:
                got.append(client.recv(1))
        return got

    assert set(answers(closed, 20)) == {b"b"}
    got = answers(port, 200)
    assert 110 < got.count(b"a") < 190 and got.count(b"a") + got.count(b"b") == 200  # 150 are to be expected


def test_datagram_targets_by_weight(start):
    port, targets = free_port(), [Datagrams(b"a"), Datagrams(b"b")]
    rules(start, (f"udp://{LOOPBACK}:{port}", {"forward_to": [{"to": one.target} for one in targets]}))
    heard = set()
    for _ in range(40):  # each client is a flow, and stays where it began
        with udp(port) as client:
            client.send(b"x")
            first = client.recv(10)
            client.send(b"x")
            assert client.recv(10) == first
            heard.add(first)
    assert heard == {b"ax", b"bx"}


def test_drain_lets_what_is_under_way_end(start):
    port, datagrams, lines = free_port(), free_port(), free_port()
    server = rules(start, (f"tcp://{LOOPBACK}:{port}", {"forward_to": Stream(echo).target}),
                   (f"udp://{LOOPBACK}:{datagrams}", {"forward_to": Datagrams(b">").target, "timeout": 1}),
                   (f"tcp://{LOOPBACK}:{lines}", {"forward_to": Datagrams(b">").target, "framing": "line"}),
                   timeouts={"drain": 60})
    with tcp(port) as client, tcp(lines) as messages, udp(datagrams) as player:
        for one, answer in ((client, b"before\n"), (messages, b">before\n"), (player, b">before\n")):
            one.sendall(b"before\n")
            assert one.recv(10) == answer
        server.signal(signal.SIGTERM)
        wait_for(lambda: server.admin("/readyz")[0] == 503, 5, "the drain")
        for part in range(3):  # bytes go on both ways, and a half-closed side too
            client.sendall(b"during %d" % part)
            assert client.recv(100) == b"during %d" % part
        messages.sendall(b"during\n")
        assert messages.recv(100) == b">during\n"
        client.sendall(b"last")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"last"
    server.wait_exit(30)


def test_drain_ends_at_its_deadline(start):
    port = free_port()
    server = rules(start, (f"tcp://{LOOPBACK}:{port}", {"forward_to": Stream(echo).target}), timeouts={"drain": 0.5})
    with tcp(port, 20) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        server.signal(signal.SIGTERM)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    server.wait_exit(30)


def test_passthrough_by_name(start, authority):
    port = free_port()
    names = ("a.test", "b.wild.test", "other.test")
    pairs = []
    for name in names:
        cert, key = authority.issue(name, name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        pairs.append(Stream(lambda connection, name=name: connection.sendall(name.encode()), tls=context))
    plain = Stream(lambda connection: connection.sendall(b"plain"))
    targets = [f"tcp://{LOOPBACK}:{one.port}" for one in pairs]
    rules(start, (f"tcp://{LOOPBACK}:{port}", [{"forward_to": targets[0], "sni": ["a.test"]}, {"forward_to": targets[1], "sni": ["*.wild.test"]},
                                                {"forward_to": targets[2], "sni": ["other.test"]}, {"forward_to": plain.target}]))
    trusting = ssl.create_default_context(cafile=str(authority.cert))
    for name in names:  # the certificate is the back end's: nothing was ended on the way
        with trusting.wrap_socket(tcp(port), server_hostname=name) as client:
            assert client.recv(100) == name.encode()
    with tcp(port) as client:
        client.sendall(b"SSH-2.0-x\r\n")
        assert client.recv(100) == b"plain"


def test_rules_by_source(start):
    port = free_port()
    near, far = (Stream(lambda connection, word=word: connection.sendall(word)) for word in (b"near", b"far"))
    rules(start, (f"tcp://{LOOPBACK}:{port}", [{"forward_to": near.target, "source": ["127.0.0.2/32"]}, {"forward_to": far.target}]))
    for source, word in (("127.0.0.2", b"near"), ("127.0.0.3", b"far")):
        with socket.create_connection((LOOPBACK, port), 5, (source, 0)) as client:
            assert client.recv(10) == word


def test_proxy_protocol_in_and_out(start):
    heads = []

    def reads_head(connection):
        heads.append(connection.recv(4096))
        connection.sendall(b"ok")

    backend = Stream(reads_head)
    plain, one, two = free_port(), free_port(), free_port()
    trusted = {"uri": f"tcp://{LOOPBACK}:{one}", "proxy_protocol": {"trusted": ["127.0.0.1/32"]}}
    rules(start, (f"tcp://{LOOPBACK}:{plain}", {"forward_to": backend.target, "proxy_protocol": "v1"}),
          (trusted, {"forward_to": backend.target, "proxy_protocol": "v1"}),
          ({**trusted, "uri": f"tcp://{LOOPBACK}:{two}"}, {"forward_to": backend.target, "proxy_protocol": "v2"}))
    with tcp(plain) as client:
        ours = client.getsockname()[1]
        assert client.recv(10) == b"ok"
    assert heads.pop() == f"PROXY TCP4 127.0.0.1 127.0.0.1 {ours} {plain}\r\n".encode()
    with tcp(one) as client:
        client.sendall(b"PROXY TCP4 192.0.2.9 192.0.2.1 4444 80\r\n")
        assert client.recv(10) == b"ok"
    assert heads.pop().startswith(b"PROXY TCP4 192.0.2.9 ")
    with tcp(two) as client:
        client.sendall(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\7\xc0\0\2\1\x11\x5c\0\x50")
        assert client.recv(10) == b"ok"
    head = heads.pop()
    assert head[:16] == b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" and head[16:20] == b"\xc0\0\2\7" and head[24:26] == b"\x11\x5c"
    with tcp(one) as client:  # trusted, but not what it must say
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(10) == b""
    assert not heads


def test_udp_keeps_boundaries_and_flows_apart(start):
    game, port = Datagrams(b">"), free_port()
    server = rules(start, (f"udp://{LOOPBACK}:{port}", {"forward_to": game.target, "max_connections": 20}))
    clients = [udp(port) for _ in range(20)]
    for i, client in enumerate(clients):
        for payload in (b"", b"x" * i, b"y" * 8000):
            client.send(payload)
            assert client.recv(65535) == b">" + payload
    assert len(game.clients) == 20
    assert server.metrics()["headgate_datagram_flows_active"] == 20
    with udp(port, 0.3) as late, pytest.raises(TimeoutError):
        late.send(b"no room")
        late.recv(10)
    assert server.metrics()["headgate_datagram_flows_refused_total"] == 1
    server.reload()  # nothing changed for this listener: the flows stay
    clients[3].send(b"still")
    assert clients[3].recv(100) == b">still" and len(game.clients) == 20


def test_udp_flows_expire_and_a_refusal_ends_one(start):
    silent, port, dead = Datagrams(answer=False), free_port(), free_port()
    server = rules(start, (f"udp://{LOOPBACK}:{port}", {"forward_to": silent.target, "timeout": 1}),
                   (f"udp://{LOOPBACK}:{dead}", {"forward_to": f"udp://{LOOPBACK}:{free_port()}"}))
    with udp(port) as client, udp(dead) as refused:
        client.send(b"x")
        refused.send(b"x")
        wait_for(lambda: server.metrics()["headgate_datagram_flows_total"] == 2, 3, "two flows")
        wait_for(lambda: server.metrics()["headgate_datagram_flows_active"] == 0, 4, "no flow left")


def test_streams_to_datagrams(start, tmp_path):
    stats, gram = Datagrams(b"re:"), Datagrams(b"ug:", tmp_path / "d.sock")
    lines, frames, reads, local = (free_port() for _ in range(4))
    rules(start, (f"tcp://{LOOPBACK}:{lines}", {"forward_to": stats.target, "mode": "datagram", "framing": "line"}),
          (f"tcp://{LOOPBACK}:{frames}", {"forward_to": stats.target, "mode": "datagram", "framing": "length"}),
          (f"tcp://{LOOPBACK}:{reads}", {"forward_to": stats.target, "mode": "datagram"}),
          (f"tcp://{LOOPBACK}:{local}", {"forward_to": gram.target, "mode": "datagram", "framing": "line"}))
    with tcp(lines) as client:
        client.sendall(b"a:1|c\nb:2|g\n")
        stream = client.makefile("rb")
        assert [stream.readline(), stream.readline()] == [b"re:a:1|c\n", b"re:b:2|g\n"]
    with tcp(frames) as client:
        client.sendall(b"\0\3abc\0\0\0\2de")
        assert client.makefile("rb").read(5 + 6 + 5 - 1 + 1) == b"\0\6re:abc\0\3re:\0\5re:de"[:16]
    with tcp(reads) as client:
        client.sendall(b"one")
        assert client.recv(100) == b"re:one"
    with tcp(local) as client:
        client.sendall(b"through a file\n")
        assert client.recv(100) == b"ug:through a file\n"
    assert stats.got == [b"a:1|c", b"b:2|g", b"abc", b"", b"de", b"one"]


def test_datagrams_to_streams(start, tmp_path, authority):
    cert, key = authority.issue("game", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    plain, secure = Stream(echo), Stream(echo, tls=context)
    framed, raw, tls, path = free_port(), free_port(), free_port(), tmp_path / "in.sock"
    rules(start, (f"udp://{LOOPBACK}:{framed}", {"forward_to": plain.target, "framing": "length"}),
          (f"udp://{LOOPBACK}:{raw}", {"forward_to": plain.target, "mode": "stream"}),
          (f"udp://{LOOPBACK}:{tls}", {"forward_to": secure.target, "framing": "length", "tls": {"ca": str(authority.cert), "sni": "localhost"}}),
          (f"unixgram://{path}", {"forward_to": plain.target, "framing": "line"}))
    for port in (framed, tls):
        with udp(port) as client:
            sent = [b"one", b"", b"z" * 5000, b"four"]
            for payload in sent:  # at once: they wait for the connection, in order
                client.send(payload)
            assert [client.recv(65535) for _ in sent] == sent
    with udp(raw) as client:
        client.send(b"bytes")
        assert client.recv(100) == b"bytes"
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with client:
        client.settimeout(3)
        client.bind(str(tmp_path / "me.sock"))
        client.sendto(b"a line", str(path))
        assert client.recv(100) == b"a line"


def test_a_listener_is_not_its_own_target(start):
    port = free_port()
    server = rules(start, (f"udp://{LOOPBACK}:{port}", {"forward_to": f"udp://{LOOPBACK}:{port}"}))
    with udp(port) as client:
        client.send(b"x")
        server.wait_log("the target is the listener itself")
    assert server.metrics()["headgate_datagram_flows_active"] == 0


def test_a_ring_of_relays_ends(start):
    there, back = free_port(), free_port()
    server = rules(start, (f"udp://{LOOPBACK}:{there}", {"forward_to": f"udp://{LOOPBACK}:{back}"}),
                   (f"udp://{LOOPBACK}:{back}", {"forward_to": f"udp://{LOOPBACK}:{there}"}))
    with udp(there) as client:
        client.send(b"x")
        server.wait_log("no hop left")
    assert server.metrics()["headgate_datagram_flows_total"] <= 70  # a datagram leaves with 64 hops


def test_fastcgi_behind_a_unix_socket(start, tmp_path):
    """Records as a web server sends them to PHP-FPM, over TCP to a Unix socket."""
    def record(kind, content, identity=1):
        return struct.pack(">BBHHBB", 1, kind, identity, len(content), 0, 0) + content

    def read_record(stream):
        head = stream.read(8)
        if len(head) < 8:
            return None, b""
        _, kind, _, size, padding, _ = struct.unpack(">BBHHBB", head)
        return kind, stream.read(size + padding)[:size]

    def application(connection):
        stream, parameters, body = connection.makefile("rb"), b"", b""
        while True:
            kind, content = read_record(stream)
            if kind is None:
                return
            if kind == 4:
                parameters += content
            if kind == 5 and content:
                body += content
            if kind == 5 and not content:  # the end of standard input: answer
                page = b"Content-Type: text/plain\r\n\r\n" + parameters[2:8] + b" " + str(len(body)).encode()
                connection.sendall(record(6, page) + record(6, b"") + record(3, bytes(8)))
                parameters = body = b""

    port = free_port()
    rules(start, (f"tcp://{LOOPBACK}:{port}", {"forward_to": Stream(application, path=tmp_path / "php.sock").target}))
    with tcp(port) as client:
        stream = client.makefile("rb")
        for size in (0, 100, 300_000):  # three requests on one connection (FCGI_KEEP_CONN)
            parts = [b"x" * min(65000, size - at) for at in range(0, size, 65000)]
            client.sendall(record(1, struct.pack(">HB5x", 1, 1)) + record(4, b"\6\4METHODPOST") + record(4, b"") +
                           b"".join(record(5, part) for part in parts) + record(5, b""))
            assert read_record(stream) == (6, b"Content-Type: text/plain\r\n\r\nMETHOD %d" % size)
            assert [read_record(stream)[0] for _ in range(2)] == [6, 3]


@pytest.mark.skipif(not (shutil.which("socat") and shutil.which("nc")), reason="socat and nc are not installed")
def test_socat_and_nc(start):
    port, datagrams = free_port(), free_port()
    rules(start, (f"tcp://{LOOPBACK}:{port}", {"forward_to": Stream(echo).target}),
          (f"udp://{LOOPBACK}:{datagrams}", {"forward_to": Datagrams(b"!").target}))

    def run(text, *command):
        return subprocess.run(command, input=text, capture_output=True, timeout=15, check=False).stdout

    assert run(b"by nc", "nc", "-N", LOOPBACK, str(port)) == b"by nc"
    assert run(b"by socat", "socat", "-t2", "-", f"TCP:{LOOPBACK}:{port}") == b"by socat"
    assert run(b"udp", "socat", "-t1", "-", f"UDP:{LOOPBACK}:{datagrams}") == b"!udp"


@pytest.mark.skipif(not (shutil.which("redis-server") and shutil.which("redis-cli")), reason="Redis is not installed")
def test_redis_through_a_tunnel(start, tmp_path):
    inside, outside = free_port(), free_port()
    process = subprocess.Popen(["redis-server", "--port", str(inside), "--bind", LOOPBACK, "--save", "", "--dir", str(tmp_path)],
                               stdout=subprocess.DEVNULL)
    try:
        rules(start, (f"tcp://{LOOPBACK}:{outside}", {"forward_to": f"tcp://{LOOPBACK}:{inside}"}))

        def cli(*words):
            return subprocess.run(["redis-cli", "-p", str(outside), *words], capture_output=True, text=True, timeout=10, check=False).stdout.strip()

        wait_for(lambda: cli("ping") == "PONG", 10, "Redis")
        assert cli("set", "key", "x" * 100000) == "OK" and cli("strlen", "key") == "100000"
    finally:
        process.terminate()
        process.wait(10)


def postgresql():
    for version in sorted(os.listdir("/usr/lib/postgresql") if os.path.isdir("/usr/lib/postgresql") else [], reverse=True):
        if os.path.exists(f"/usr/lib/postgresql/{version}/bin/initdb"):
            return f"/usr/lib/postgresql/{version}/bin"
    return None


@pytest.mark.skipif(not (postgresql() and shutil.which("psql") and shutil.which("runuser") and os.geteuid() == 0),
                    reason="PostgreSQL is not installed, or we may not become its user")
def test_postgresql_through_a_tunnel(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pg")
    for parent in (folder, *folder.parents[:3]):
        with contextlib.suppress(OSError):
            parent.chmod(0o755)
    shutil.chown(folder, "postgres")
    inside, outside, data = free_port(), free_port(), folder / "data"

    def as_postgres(*command):
        return subprocess.run(["runuser", "-u", "postgres", "--", *map(str, command)], capture_output=True, text=True, timeout=50, check=True, cwd="/")

    as_postgres(f"{postgresql()}/initdb", "-D", data, "-A", "trust", "-N")
    as_postgres(f"{postgresql()}/pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", f"-p {inside} -h {LOOPBACK} -k {folder} -F", "start")
    try:
        rules(start, (f"tcp://{LOOPBACK}:{outside}", {"forward_to": f"tcp://{LOOPBACK}:{inside}"}))
        sql = "create table t as select g, repeat('x', 1000) from generate_series(1, 5000) g; select count(*), sum(length(repeat)) from t"
        result = subprocess.run(["psql", "-h", LOOPBACK, "-p", str(outside), "-U", "postgres", "-Atc", sql], capture_output=True, text=True, timeout=30, check=True)
        assert "5000|5000000" in result.stdout
    finally:
        as_postgres(f"{postgresql()}/pg_ctl", "-D", data, "-m", "immediate", "stop")
