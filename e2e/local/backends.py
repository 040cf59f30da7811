"""Back ends that behave well or badly on request: what they do is in the path."""
import asyncio
import hashlib
import json
import socket
import struct
import threading

import websockets


class Backend:
    """An HTTP/1.1 server on a thread of its own; `requests` holds (connection number, head, body) of all it was asked.

    /echo           200 with method, target, headers and a digest of the body as JSON
    /bytes/N        N bytes with Content-Length        /chunked/N   the same in chunks, with a trailer
    /status/N       that status                        /slow/S      answers after S seconds
    /trickle/N      N pieces, 50 ms apart              /hang        never answers
    /reset          RST once the head was read         /close       FIN instead of an answer
    /partial        half of what Content-Length said   /cut         a chunked body without its end
    /garbage        no HTTP at all                     /smuggle     Content-Length and Transfer-Encoding
    /early          413 before the body was read       /hints       103, then 200
    /die-after      200, then closes without having said so
    /sink           200 with the number of body bytes
    """

    def __init__(self, *, port=0, path=None, tls=None, name="app", host="127.0.0.1"):
        self.requests, self.connections, self.open, self.name = [], 0, 0, name
        self.peak_buffer = 0
        self.pace = 0.0  # seconds between reads of a request body: a slow reader
        self.pause = 0.0  # seconds before each answer
        self.failing = False  # 500 to everything
        self.peak_open = 0  # connections at once
        self.loop = asyncio.new_event_loop()
        self.tasks = set()
        started = threading.Event()

        async def serve():
            if path:
                self.server = await asyncio.start_unix_server(self._connection, path)
                self.port = None
            else:
                self.server = await asyncio.start_server(self._connection, host, port, ssl=tls, limit=1 << 18, backlog=1024)
                self.port = self.server.sockets[0].getsockname()[1]
            started.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(serve())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert started.wait(5)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        async def end():
            self.server.close()
            for task in list(self.tasks):
                task.cancel()
            await asyncio.sleep(0.01)
            self.loop.stop()

        if self.thread.is_alive():
            asyncio.run_coroutine_threadsafe(end(), self.loop)
            self.thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def heads(self):
        return [head for _, head, _ in self.requests]

    async def _connection(self, reader, writer):
        self.connections += 1
        self.open += 1
        self.peak_open = max(self.peak_open, self.open)
        number = self.connections
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            while await self._exchange(number, reader, writer):
                pass
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            self.open -= 1
            writer.close()

    async def _body(self, reader, fields):
        """Yields the pieces of the request body."""
        if fields.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                yield (await reader.readexactly(size + 2))[:-2]
            while (await reader.readuntil(b"\r\n")) != b"\r\n":
                pass
            return
        left = int(fields.get("content-length", "0"))
        while left:
            piece = await reader.read(min(left, 65536))
            if not piece:
                raise EOFError
            left -= len(piece)
            yield piece
            if self.pace:
                await asyncio.sleep(self.pace)

    async def _exchange(self, number, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return False
        first, *lines = head[:-4].split("\r\n")
        method, target, _ = first.split(" ")
        pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        fields = {name.lower(): value for name, value in pairs}
        action, _, argument = target.split("?")[0].strip("/").partition("/")
        abrupt = getattr(self, "_abrupt_" + action.replace("-", "_"), None)
        if abrupt:
            self.requests.append((number, head, b""))
            return await abrupt(reader, writer, fields)
        digest, size, kept = hashlib.sha256(), 0, b""
        if fields.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for piece in self._body(reader, fields):
            digest.update(piece)
            size += len(piece)
            kept += piece[:65536 - len(kept)]
        self.requests.append((number, head, kept))
        status, body, extra = 200, b"", []
        if self.pause:
            await asyncio.sleep(self.pause)
        if self.failing:
            status, body = 500, b"failing"
        elif action == "bytes":
            body = b"0123456789abcdef" * (int(argument) // 16 + 1)
            body = body[:int(argument)]
        elif action == "status":
            status, body = int(argument), b"as asked"
        elif action == "sink":
            body = str(size).encode()
        elif action == "slow":
            await asyncio.sleep(float(argument))
            body = b"slow"
        elif action == "hints":
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
            body = b"after hints"
        elif action in ("chunked", "trickle"):
            return await self._chunks(writer, method, action, int(argument))
        else:
            body = json.dumps({"server": self.name, "method": method, "target": target, "headers": pairs, "size": size,
                               "sha256": digest.hexdigest(), "connection": number}).encode()
            extra = ["Content-Type: application/json"]
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", f"X-Backend: {self.name}", *extra]
        if status in (204, 304):
            del lines[1]
            body = b""
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if method == "HEAD" else body))
        await writer.drain()
        return fields.get("connection", "").lower() != "close"

    async def _chunks(self, writer, method, action, count):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        if method == "HEAD":
            return True
        if action == "trickle":
            for index in range(count):
                writer.write(b"7\r\npiece%02d\r\n" % (index % 100))
                await writer.drain()
                await asyncio.sleep(0.05)
        else:
            left = count
            while left:
                size = min(left, 8192)
                writer.write(b"%x\r\n%b\r\n" % (size, b"c" * size))
                await writer.drain()
                left -= size
        writer.write(b"0\r\nX-Sum: done\r\n\r\n")
        await writer.drain()
        return True

    # Ends that are no answers: the connection is over after each.

    async def _abrupt_reset(self, reader, writer, fields):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False

    async def _abrupt_close(self, reader, writer, fields):
        return False

    async def _abrupt_hang(self, reader, writer, fields):
        await reader.read()
        return False

    async def _abrupt_partial(self, reader, writer, fields):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"p" * 500)
        await writer.drain()
        return False

    async def _abrupt_cut(self, reader, writer, fields):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"p" * 1000 + b"\r\n")
        await writer.drain()
        return False

    async def _abrupt_garbage(self, reader, writer, fields):
        writer.write(b"\x00\x01 this is no HTTP \xff\r\n\r\n")
        await writer.drain()
        return False

    async def _abrupt_smuggle(self, reader, writer, fields):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        await writer.drain()
        return False

    async def _abrupt_early(self, reader, writer, fields):
        writer.write(b"HTTP/1.1 413 Enough\r\nContent-Length: 6\r\nConnection: close\r\n\r\nenough")
        await writer.drain()
        await asyncio.sleep(0.3)
        return False

    async def _abrupt_die_after(self, reader, writer, fields):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        return False


class WebSocketBackend:
    """Echoes every message; `count` connections are open now."""

    def __init__(self, name="ws", port=0):
        self.count, self.total, self.name = 0, 0, name
        self.loop = asyncio.new_event_loop()
        started = threading.Event()

        async def handle(connection):
            self.count += 1
            self.total += 1
            try:
                if connection.path.startswith("/greet"):
                    await connection.send(f"hello from {self.name}")
                async for message in connection:
                    await connection.send(message)
            finally:
                self.count -= 1

        async def serve():
            self.server = await websockets.serve(handle, "127.0.0.1", port, max_size=1 << 24, ping_interval=None, compression=None)
            self.port = self.server.sockets[0].getsockname()[1]
            started.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(serve())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert started.wait(5)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        async def end():
            self.server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0.05)
            self.loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
