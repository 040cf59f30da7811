"""Clients: raw sockets with a strict response reader, and a sequenced load that notices every lost or crossed answer."""
import asyncio
import dataclasses
import socket
import ssl
import threading
import time


@dataclasses.dataclass
class Response:
    status: int
    reason: str
    version: str
    headers: list  # (lower-case name, value) as received
    body: bytes = b""
    trailers: list = dataclasses.field(default_factory=list)
    interim: list = dataclasses.field(default_factory=list)  # status codes of 1xx answers before it

    def __getitem__(self, name):
        return next((value for key, value in self.headers if key == name.lower()), None)

    def all(self, name):
        return [value for key, value in self.headers if key == name.lower()]


class Closed(Exception):
    """The server closed before a whole response; .received is what came."""

    def __init__(self, received):
        super().__init__(f"closed after {received[:200]!r}")
        self.received = received


def is_turned_away(port, *, host="127.0.0.1", seconds=5):
    """Whether the server accepts nothing more: it closes or resets at once, which may show as early as in connect()."""
    try:
        with socket.create_connection((host, port), timeout=seconds) as client:
            return client.recv(1) == b""
    except ConnectionError:
        return True


class Raw:
    """One connection; sends any bytes, reads responses by RFC 9112 section 6.3, and refuses what is malformed."""

    def __init__(self, port, *, host="127.0.0.1", timeout=8, tls=None, name="localhost", path=None):
        if path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(path))
        else:
            self.socket = socket.create_connection((host, port), timeout=timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=name)
        self.buffer = bytearray()  # grows and shrinks without copying it all

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        return self

    def _more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def read_exactly(self, size):
        while len(self.buffer) < size:
            if not self._more():
                raise Closed(bytes(self.buffer))
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def read_line(self):
        while (end := self.buffer.find(b"\r\n")) < 0:
            if not self._more():
                raise Closed(bytes(self.buffer))
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 2]
        assert b"\n" not in line and b"\r" not in line, line
        return line.decode("latin-1")

    def _fields(self):
        fields = []
        while line := self.read_line():
            name, colon, value = line.partition(":")
            assert colon and name and name.strip() == name, line
            fields.append((name.lower(), value.strip()))
        return fields

    def response(self, method="GET"):
        interim = []
        while True:
            version, _, rest = self.read_line().partition(" ")
            assert version in ("HTTP/1.1", "HTTP/1.0"), version
            code, _, reason = rest.partition(" ")
            assert len(code) == 3 and code.isdigit(), rest
            head = Response(int(code), reason, version, self._fields(), interim=interim)
            if head.status >= 200 or head.status == 101:
                break
            interim.append(head.status)
        lengths, codings = head.all("content-length"), head.all("transfer-encoding")
        assert len(lengths) <= 1 and not (lengths and codings), head.headers
        if method == "HEAD" or head.status in (101, 204, 304):
            return head
        if codings:
            assert codings == ["chunked"], codings
            while size := int(self.read_line().split(";")[0], 16):
                head.body += self.read_exactly(size)
                assert self.read_exactly(2) == b"\r\n"
            head.trailers = self._fields()
        elif lengths:
            head.body = self.read_exactly(int(lengths[0]))
        else:
            head.body = self.rest()
        return head

    def rest(self):
        """Everything until the server closes."""
        try:
            while self._more():
                pass
        except ConnectionResetError:
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def is_closed(self, seconds=3):
        """The server closes within the time and says nothing more."""
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(1)
        except (TimeoutError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        assert not data, data
        return True

    def request(self, target="/", method="GET", headers=(), body=b"", host="localhost"):
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        return self.response(method)


def fetch(port, target="/", method="GET", headers=(), body=b"", **connection):
    """One request on a connection of its own."""
    host = connection.pop("authority", "localhost")
    with Raw(port, **connection) as client:
        return client.request(target, method, [*headers, ("Connection", "close")], body, host)


@dataclasses.dataclass
class Tally:
    """What happened to the requests of a Load. Only `answered` is good; see Load for the others."""
    answered: int = 0
    lost: list = dataclasses.field(default_factory=list)      # no whole answer; the reason
    wrong: list = dataclasses.field(default_factory=list)     # an answer to another request, or a bad status
    refused: list = dataclasses.field(default_factory=list)   # connect() failed
    closed: int = 0                                           # connections the server ended between requests
    connections: int = 0
    worst_ms: float = 0


class Load:
    """Keep-alive connections that each send numbered requests one after the other and check that the answer is theirs.

    The target must answer with the query string of the request in its body (Backend's /echo, or a `respond` rule with
    $uri). An answer with `Connection: close` is followed by a new connection; a connection that the server closes
    while a request is on its way is a lost request, since a client may not repeat every request.
    """

    def __init__(self, port, *, connections=16, target="/echo", pause=0.0, tls=None, new_connections=False, accept=(200,), check=None,
                 address="127.0.0.1", host="localhost"):
        self.address, self.host = address, host
        self.port, self.connections, self.target, self.pause = port, connections, target, pause
        self.tls, self.new_connections, self.accept, self.check = tls, new_connections, accept, check
        self.tally = Tally()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self):
        self.thread.start()
        deadline = time.monotonic() + 10
        while self.tally.answered < self.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.tally.answered, self.tally
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        self.thread.join(20)
        assert not self.thread.is_alive(), "the load did not end"
        return self.tally

    def assert_nothing_lost(self, at_least=1):
        tally = self.stop()
        assert not tally.lost and not tally.wrong and not tally.refused, (tally.lost[:5], tally.wrong[:5], tally.refused[:5], tally)
        assert tally.answered >= at_least, tally
        return tally

    async def _run(self):
        await asyncio.gather(*(self._connection(number) for number in range(self.connections)))

    async def _connection(self, number):
        tally, serial = self.tally, 0
        reader = writer = None
        while not self.stopping.is_set():
            if writer is None:
                try:
                    reader, writer = await asyncio.wait_for(
                        asyncio.open_connection(self.address, self.port, ssl=self.tls,
                                                server_hostname=self.host if self.tls else None), 10)
                    tally.connections += 1
                except (OSError, asyncio.TimeoutError) as error:
                    tally.refused.append(repr(error))
                    await asyncio.sleep(0.05)
                    continue
            if reader.at_eof():  # closed while nothing was on its way: fair, nothing is lost
                tally.closed += 1
                writer.close()
                writer = None
                continue
            mark = f"c={number}&s={serial}"
            serial += 1
            began = time.monotonic()
            try:
                close = "Connection: close\r\n" if self.new_connections else ""
                writer.write(f"GET {self.target}?{mark} HTTP/1.1\r\nHost: {self.host}\r\n{close}\r\n".encode())
                status, ends, body = await asyncio.wait_for(self._answer(reader), 10)
                if status not in self.accept or (mark not in body if self.check is None else not self.check(body)):
                    tally.wrong.append(f"{mark}: {status} {body[:120]}")
                else:
                    tally.answered += 1
                    tally.worst_ms = max(tally.worst_ms, (time.monotonic() - began) * 1000)
            except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
                tally.lost.append(f"{mark}: {error!r}")
                ends = True
            if ends:
                writer.close()
                writer = None
            if self.pause:
                await asyncio.sleep(self.pause)
        if writer:
            writer.close()

    @staticmethod
    async def _answer(reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head[:-4].split("\r\n")
        status = int(first.split(" ", 2)[1])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "content-length" in fields:
            body = await reader.readexactly(int(fields["content-length"]))
        elif fields.get("transfer-encoding") == "chunked":
            body = b""
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readuntil(b"\r\n")
        else:
            raise ValueError(f"an answer without a length: {head!r}")
        return status, fields.get("connection", "").lower() == "close", body.decode("latin-1")
