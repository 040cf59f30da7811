"""Every example in manifests/standalone, started as it is (ports apart) and used by real clients."""
import asyncio
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import threading

import pytest
import websockets

from backends import Backend, WebSocketBackend
from clients import Raw, fetch, is_turned_away
from headgate import ROOT, free_port, wait_for

EXAMPLES = ROOT / "manifests" / "standalone"


class Example:
    """A copy of the folder in which every port of a URI stands for a free one; `ports` maps the written to the real."""

    def __init__(self, name, directory, authority):
        shutil.copytree(EXAMPLES, directory, dirs_exist_ok=True)
        cert, key = authority.issue("example", "localhost", "house.lan", "127.0.0.1")
        shutil.copy(cert, directory / "site.pem")
        shutil.copy(key, directory / "site.key")
        text = (EXAMPLES / name).read_text()
        self.ports = {int(port): free_port() for port in re.findall(r'://[^"/ ]*:(\d+)', text)}
        text = re.sub(r'(://[^"/ ]*:)(\d+)', lambda match: match[1] + str(self.ports[int(match[2])]), text)
        self.socket = directory / "app.sock"
        self.text = text.replace("/tmp/headgate-app.sock", str(self.socket))


@pytest.fixture
def example(start, tmp_path, authority):
    def run(name, **options):
        made = Example(name, tmp_path, authority)
        made.server = start(made.text, directory=tmp_path, **options)
        return made

    return run


def kdig(port, *question):
    return subprocess.run(["kdig", "@127.0.0.1", "-p", str(port), "+timeout=3", *question], capture_output=True, text=True, timeout=10, check=True).stdout


def short(port, *question):
    return sorted(kdig(port, *question, "+short").split("\n")[:-1])


class TcpServer:
    """One thread per connection running `talk(connection)`."""

    def __init__(self, port, talk):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.talk = talk
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with connection:
            try:
                self.talk(connection)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def test_every_example_is_used_here():
    here = pathlib.Path(__file__).read_text()
    for file in EXAMPLES.glob("*.json"):
        assert f'example("{file.name}"' in here, f"{file.name} has no scenario"


def test_hello(example):
    site = example("hello.json")
    port = site.ports[8080]
    page = fetch(port, "/")
    assert page.status == 200 and b"It works" in page.body and "text/html" in page["content-type"]
    assert fetch(port, "/style.css").status == 200
    assert fetch(port, "/api/hello").body == b"Hello\n"
    assert fetch(port, "/echo", "POST", body=b"what was sent").body == b"what was sent"


def test_home_lab(example, authority):
    lab = example("home-lab.json")
    tls = authority.client()
    with Backend(port=lab.ports[8096]):
        assert b"It works" in fetch(lab.ports[8443], "/", tls=tls).body
        assert b'"/echo/film?x=1"' in fetch(lab.ports[8443], "/media/echo/film?x=1", tls=tls).body
    answer = fetch(lab.ports[8080], "/a?b=c", authority="house.lan")
    assert answer.status == 301 and answer["location"].startswith("https://house.lan:") and answer["location"].endswith("/a?b=c")
    names = lab.ports[5353]
    assert short(names, "house.lan", "A") == ["192.0.2.1"]
    assert short(names, "media.house.lan", "A") == ["192.0.2.1", "house.lan."]
    assert short(names, "-x", "192.0.2.9") == ["printer.house.lan."]
    assert "0 100" in kdig(names, "_http._tcp.house.lan", "SRV", "+short")
    assert short(names, "+tcp", "PRINTER.house.LAN", "A") == ["192.0.2.9"]
    assert "NXDOMAIN" in kdig(names, "nobody.house.lan", "A")
    assert "REFUSED" in kdig(names, "elsewhere.example", "A")


def test_sidecar(example, authority):
    sidecar = example("sidecar.json")
    with Backend(port=sidecar.ports[8000]) as app, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", sidecar.ports[8125]))
        statsd.settimeout(5)
        assert fetch(sidecar.ports[8443], "/echo", tls=authority.client()).status == 200
        assert "x-forwarded-proto: https" in app.heads()[-1].lower()
        with Raw(sidecar.ports[9000]) as client:
            client.send(b"page.views:1|c\npage.time:320|ms\nha")
            assert {statsd.recv(2000).strip() for _ in range(2)} == {b"page.views:1|c", b"page.time:320|ms"}
            client.send(b"lf:1|c\n")
            assert statsd.recv(2000).strip() == b"half:1|c"
        with Raw(0, path=sidecar.socket) as client:
            assert client.request("/echo").status == 200


def test_game_server(example):
    game = example("game-server.json")

    def talk(connection):
        stream = connection.makefile("rb")
        while head := stream.read(2):
            message = stream.read(struct.unpack(">H", head)[0])
            answer = b"ack " + message
            connection.sendall(struct.pack(">H", len(answer)) + answer)

    with TcpServer(game.ports[27016], talk):
        players = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
        for turn in range(5):
            for number, player in enumerate(players):
                player.settimeout(5)
                player.sendto(b"move %d %d" % (number, turn), ("127.0.0.1", game.ports[27015]))
            for number, player in enumerate(players):
                assert player.recv(2000) == b"ack move %d %d" % (number, turn)  # each player hears only of himself
        for player in players:
            player.close()
    assert fetch(game.ports[8080]).status == 200


def test_database_tunnel(example):
    tunnel = example("database-tunnel.json")

    def talk(connection):
        connection.sendall(b"J\0\0\0\x0a5.7.0-greeting")  # the server speaks first
        while data := connection.recv(65536):
            connection.sendall(data[::-1])

    with TcpServer(tunnel.ports[3306], talk):
        clients = [Raw(tunnel.ports[3307]) for _ in range(20)]
        for client in clients:
            assert client.read_exactly(19).endswith(b"greeting")
            assert client.send(b"select 1").read_exactly(8) == b"1 tceles"
        assert is_turned_away(tunnel.ports[3307])  # max_connections: 20
        clients.pop().close()

        def place():
            with Raw(tunnel.ports[3307]) as client:
                try:
                    return client.read_exactly(19)
                except Exception:  # noqa: BLE001 - any end means: not yet
                    return None

        wait_for(place, 3, "a free place")
        for client in clients:
            client.close()


def test_websocket_pool(example):
    pool = example("websocket-pool.json")
    servers = [WebSocketBackend(str(written), port=pool.ports[written]) for written in (8001, 8002)]

    async def talk():
        clients = [await websockets.connect(f"ws://127.0.0.1:{pool.ports[8080]}/chat/room", ping_interval=None) for _ in range(30)]
        assert abs(servers[0].count - servers[1].count) <= 2
        for client in clients:
            await client.send("hi")
            assert await client.recv() == "hi"
        for client in clients:
            await client.close()

    try:
        asyncio.run(talk())
        assert fetch(pool.ports[8080]).status == 200
    finally:
        for server in servers:
            server.close()


def test_split_horizon(example):
    corp = example("split-horizon.json")
    names, web = corp.ports[5353], corp.ports[8080]
    assert short(names, "intranet.corp.example", "A") == ["192.0.2.10", "192.0.2.11"]
    assert short(names, "intranet.corp.example", "AAAA") == ["2001:db8::10"]
    assert short(names, "wiki.corp.example", "A") == ["192.0.2.10", "192.0.2.11", "intranet.corp.example."]
    assert short(names, "any.apps.corp.example", "A") == ["192.0.2.20"]
    assert short(names, "corp.example", "MX") == ["10 mx1.corp.example.", "20 mx2.corp.example."]
    assert "aa" in re.search(r"Flags: ([a-z ]+);", kdig(names, "corp.example", "TXT"))[1].split()
    assert b"It works" in fetch(web, "/index.html", authority="intranet.corp.example").body
    assert fetch(web, "/", authority="www.elsewhere.example").status == 421


def test_api_server(example):
    port = example("api-server.json").ports[8080]
    answer = fetch(port, "/api/")
    assert answer.body == b"Hello" and answer["content-type"] == "text/plain" and answer["x-request-id"]
    assert fetch(port, "/api/", "POST", body=b"x").status in (404, 405)
    body = bytes(range(256)) * 64
    assert fetch(port, "/api/echo", "POST", body=body).body == body
    assert b"It works" in fetch(port, "/").body
