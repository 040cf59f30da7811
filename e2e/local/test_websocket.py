"""WebSocket tunnels: through the proxy, by a real client, across reloads, and what must not become a tunnel."""
import asyncio
import os
import socket
import time

import pytest
import websockets

from backends import Backend, WebSocketBackend
from clients import Raw, fetch
from headgate import free_port, wait_for

UPGRADE = ("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def config(port, *targets, balance="round-robin", **extra):
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
            "upstreams": {"chat": {"targets": list(targets), "balance": balance}},
            "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": "upstream://chat"}], **extra}


def connect(port, path="/ws", **options):
    return websockets.connect(f"ws://127.0.0.1:{port}{path}", max_size=1 << 24, ping_interval=None, compression=None, **options)


def test_messages_of_all_sizes(start, websocket_backend):
    port = free_port()
    start(config(port, websocket_backend.url))

    async def talk():
        async with connect(port) as client:
            for size in (0, 1, 125, 126, 65535, 65536, 1 << 20, 4 << 20):
                message = os.urandom(size)
                await client.send(message)
                assert await asyncio.wait_for(client.recv(), 10) == message
            await client.send("text: \u20ac")
            assert await client.recv() == "text: \u20ac"
            pong = await client.ping()
            await asyncio.wait_for(pong, 5)

    asyncio.run(talk())
    wait_for(lambda: websocket_backend.count == 0, 2, "the tunnel ends at the back end")


def test_server_speaks_first(start, websocket_backend):
    port = free_port()
    start(config(port, websocket_backend.url))

    async def talk():
        async with connect(port, "/greet") as client:
            assert await asyncio.wait_for(client.recv(), 5) == "hello from ws"

    asyncio.run(talk())


def test_many_at_once_least_conn(start):
    with WebSocketBackend("a") as a, WebSocketBackend("b") as b:
        port = free_port()
        start(config(port, a.url, b.url, balance="least-conn"), workers=1)

        async def talk():
            clients = [await connect(port) for _ in range(100)]
            assert a.count + b.count == 100 and abs(a.count - b.count) <= 2, (a.count, b.count)
            await asyncio.gather(*(client.send(str(i)) for i, client in enumerate(clients)))
            assert [await client.recv() for client in clients] == [str(i) for i in range(100)]
            await asyncio.gather(*(client.close() for client in clients))

        asyncio.run(talk())


def test_close_codes_pass(start, websocket_backend):
    port = free_port()
    start(config(port, websocket_backend.url))

    async def talk():
        client = await connect(port)
        await client.close(4321, "own reason")
        assert client.close_code == 4321

    asyncio.run(talk())


def test_a_reload_does_not_touch_a_tunnel(start, websocket_backend):
    port = free_port()
    server = start(config(port, websocket_backend.url))

    async def talk():
        async with connect(port) as client:
            for turn in range(20):
                server.reload(config(port, websocket_backend.url, dns_ttl=100 + turn))
                await client.send(f"turn {turn}")
                assert await asyncio.wait_for(client.recv(), 5) == f"turn {turn}"

    asyncio.run(talk())
    assert websocket_backend.total == 1


def test_drain_ends_tunnels_at_the_deadline(start, websocket_backend):
    port = free_port()
    server = start(config(port, websocket_backend.url, timeouts={"drain": 1}))

    async def talk():
        async with connect(port) as client:
            await client.send("a")
            await client.recv()
            server.signal(15)
            await client.send("still here")
            assert await asyncio.wait_for(client.recv(), 5) == "still here"
            began = time.monotonic()
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(client.recv(), 5)
            assert 0.5 < time.monotonic() - began < 3

    asyncio.run(talk())
    assert server.wait_exit(5) == 0


def test_idle_tunnel_is_closed(start, websocket_backend):
    port = free_port()
    start(config(port, websocket_backend.url, timeouts={"idle": 1}))

    async def talk():
        client = await connect(port)
        for _ in range(4):  # traffic keeps it
            await asyncio.sleep(0.5)
            await client.send("x")
            await client.recv()
        began = time.monotonic()
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(client.recv(), 6)
        assert 0.5 < time.monotonic() - began < 4

    asyncio.run(talk())


def test_half_close_passes(start):
    """A raw tunnel: what the client sends before its FIN arrives, and the other direction goes on after it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = free_port()
        start(config(port, f"http://127.0.0.1:{listener.getsockname()[1]}"))
        with Raw(port) as client:
            client.send(UPGRADE)
            upstream, _ = listener.accept()
            upstream.settimeout(5)
            data = b""
            while b"\r\n\r\n" not in data:
                data += upstream.recv(4096)
            assert b"upgrade: websocket" in data.lower() and b"connection: upgrade" in data.lower()
            upstream.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfirst bytes")
            assert client.response().status == 101
            assert client.read_exactly(11) == b"first bytes"
            client.send(b"last words")
            client.socket.shutdown(socket.SHUT_WR)
            received = b""
            while piece := upstream.recv(4096):
                received += piece
            assert received == b"last words"
            upstream.sendall(b"answer after the FIN")
            upstream.close()
            assert client.rest() == b"answer after the FIN"


def test_a_refused_upgrade_is_an_ordinary_answer(start, backend):
    port = free_port()
    start(config(port, backend.url))
    with Raw(port) as client:
        answer = client.send(UPGRADE.replace("/ws", "/status/403")).response()
        assert answer.status == 403
        assert client.request("/echo").status == 200


def test_what_is_no_websocket_does_not_switch(start, backend):
    port = free_port()
    start(config(port, backend.url))
    with Raw(port) as client:
        answer = client.send(UPGRADE.replace("websocket", "h2c").replace("/ws", "/echo")).response()
        assert answer.status == 200 and b"h2c" not in answer.body
    with Raw(port) as client:  # a body and an upgrade at once smuggle
        answer = client.send(UPGRADE.replace("Host: a", "Host: a\r\nContent-Length: 5") + "hello").response()
        assert answer.status == 400


def test_back_end_that_is_gone(start):
    with Backend() as app:
        url = app.url
    port = free_port()
    start(config(port, url))
    with Raw(port) as client:
        assert client.send(UPGRADE).response().status == 502
    assert fetch(port).status in (502, 503)
