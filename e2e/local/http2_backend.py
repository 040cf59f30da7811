"""An HTTP/2 back end with the vocabulary of backends.Backend, and what only HTTP/2 can do: refuse, go away, tunnel."""
import asyncio
import hashlib
import json
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

WINDOW = 1 << 20


class Http2Backend:
    """Plain (prior knowledge) or TLS with ALPN; `requests` holds (connection number, fields, body) of all it was asked.

    /echo /bytes/N /chunked/N /status/N /slow/S /trickle/N /hints /sink /early /partial /hang as in backends.Backend
    /reset/CODE     RST_STREAM instead of an answer    /cut         RST_STREAM in the middle of a body
    /refuse/N       REFUSED_STREAM the first N times   /goaway      GOAWAY with the answer; later streams are ignored
    /leave          GOAWAY that does not cover it      /die         closes the connection instead of an answer
    /storm/N        N interim answers                  /head/N      N fields of 1000 bytes
    CONNECT with :protocol echoes what comes; /refused-tunnel answers 403
    """

    def __init__(self, *, tls=None, streams=100, window=WINDOW, tunnels=True, port=0):
        self.requests, self.connections, self.open, self.peak = [], 0, 0, 0
        self.refused, self.resets, self.streams, self.window, self.tunnels = {}, [], streams, window, tunnels
        self.pace = 0.0  # seconds before a piece of a request body is acknowledged: a slow reader
        self.loop = asyncio.new_event_loop()
        self.live = set()
        started = threading.Event()

        async def serve():
            self.server = await asyncio.start_server(self._connection, "127.0.0.1", port, ssl=tls, backlog=1024)
            self.port = self.server.sockets[0].getsockname()[1]
            started.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(serve())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert started.wait(5)

    def close(self):
        async def end():
            self.server.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
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

    def close_connections(self, *, goaway=True):
        async def end():
            for connection in list(self.live):
                if goaway:
                    connection.go_away()
                connection.writer.close()

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(5)

    async def _connection(self, reader, writer):
        self.connections += 1
        self.open += 1
        connection = Connection(self, reader, writer, self.connections)
        self.live.add(connection)
        try:
            await connection.run()
        except (OSError, EOFError, asyncio.CancelledError, h2.exceptions.ProtocolError):
            pass
        finally:
            self.live.discard(connection)
            self.open -= 1
            connection.end()
            writer.close()


class Stream:
    def __init__(self, fields):
        self.fields = fields
        self.pseudo = dict(fields)
        self.body, self.size, self.digest = b"", 0, hashlib.sha256()
        self.trailers, self.ended, self.reset = [], asyncio.Event(), False
        self.pieces = asyncio.Queue()
        self.room = asyncio.Event()


class Connection:
    def __init__(self, backend, reader, writer, number):
        self.backend, self.reader, self.writer, self.number = backend, reader, writer, number
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: backend.streams,
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: backend.window,
            h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: int(backend.tunnels),
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 20})
        self.streams, self.tasks, self.gone = {}, set(), False

    def flush(self):
        self.writer.write(self.h2.data_to_send())

    def go_away(self, last=None):
        self.h2.close_connection(last_stream_id=last)
        self.h2.state_machine.state = h2.connection.ConnectionState.SERVER_OPEN  # streams that began go on
        self.flush()

    def end(self):
        for task in self.tasks:
            task.cancel()

    async def run(self):
        self.h2.initiate_connection()
        self.flush()
        while data := await self.reader.read(65536):
            for event in self.h2.receive_data(data):
                self.note(event)
            self.flush()

    def note(self, event):
        if isinstance(event, h2.events.RequestReceived):
            stream = self.streams[event.stream_id] = Stream(event.headers)
            self.backend.peak = max(self.backend.peak, sum(not s.reset and s.pseudo is not None for s in self.streams.values()))
            if not self.gone:
                task = asyncio.ensure_future(self.serve(event.stream_id, stream))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)
        elif isinstance(event, h2.events.DataReceived):
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                stream.digest.update(event.data)
                stream.size += len(event.data)
                if len(stream.body) < 65536:
                    stream.body += event.data
                stream.pieces.put_nowait(event.data)
            if event.flow_controlled_length:
                if self.backend.pace:
                    self.backend.loop.call_later(self.backend.pace, self.acknowledge, event)
                else:
                    self.acknowledge(event)
        elif isinstance(event, h2.events.TrailersReceived):
            self.streams[event.stream_id].trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            stream = self.streams[event.stream_id]
            stream.ended.set()
            stream.pieces.put_nowait(None)
        elif isinstance(event, h2.events.StreamReset):
            self.backend.resets.append(event.error_code)
            if stream := self.streams.get(event.stream_id):
                stream.reset = True
                stream.ended.set()
                stream.room.set()
                stream.pieces.put_nowait(None)
        elif isinstance(event, h2.events.WindowUpdated):
            for id, stream in self.streams.items():
                if event.stream_id in (0, id):
                    stream.room.set()

    def acknowledge(self, event):
        try:
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.flush()
        except h2.exceptions.ProtocolError:
            pass

    async def send(self, id, data, end=False):
        stream = self.streams[id]
        data = memoryview(data)
        while data:
            size = min(self.h2.local_flow_control_window(id), self.h2.max_outbound_frame_size, len(data))
            if size <= 0:
                stream.room.clear()
                await stream.room.wait()
                if stream.reset:
                    return
                continue
            self.h2.send_data(id, bytes(data[:size]))
            data = data[size:]
            self.flush()
            await self.writer.drain()
        if end:
            self.h2.end_stream(id)
            self.flush()

    async def serve(self, id, stream):
        try:
            await self.answer(id, stream)
            self.flush()
        except (h2.exceptions.ProtocolError, OSError):
            pass
        finally:
            stream.pseudo = None

    async def answer(self, id, stream):
        path = stream.pseudo[":path"].split("?")[0]
        method = stream.pseudo[":method"]
        action, _, argument = path.strip("/").partition("/")
        backend = self.backend
        if stream.pseudo.get(":protocol"):
            backend.requests.append((self.number, stream.fields, b""))
            return await self.tunnel(id, stream, action)
        if action == "reset":
            return self.h2.reset_stream(id, int(argument or 2))
        if action == "refuse":
            asked = backend.refused[stream.pseudo[":path"]] = backend.refused.get(stream.pseudo[":path"], 0) + 1
            if asked <= int(argument):
                return self.h2.reset_stream(id, h2.errors.ErrorCodes.REFUSED_STREAM)
        if action == "leave":
            backend.refused[path] = backend.refused.get(path, 0) + 1
            if backend.refused[path] == 1:
                self.gone = True
                self.go_away(last=id - 2 if id > 2 else 0)
                await asyncio.sleep(0.1)
                return self.writer.close()
        if action == "die":
            return self.writer.transport.abort()
        if action == "hang":
            return await asyncio.sleep(3600)
        if action == "early":
            self.h2.send_headers(id, [(":status", "413"), ("content-length", "6")])
            await self.send(id, b"enough", end=True)
            return self.h2.reset_stream(id, h2.errors.ErrorCodes.NO_ERROR) if not stream.ended.is_set() else None
        await stream.ended.wait()
        if stream.reset:
            return None
        backend.requests.append((self.number, stream.fields, stream.body))
        status, body, fields, trailers = 200, b"", [], []
        if action == "bytes":
            body = (b"0123456789abcdef" * (int(argument) // 16 + 1))[:int(argument)]
        elif action == "status":
            status, body = int(argument), b"as asked"
        elif action == "sink":
            body = str(stream.size).encode()
        elif action == "slow":
            await asyncio.sleep(float(argument))
            body = b"slow"
        elif action == "hints":
            self.h2.send_headers(id, [(":status", "103"), ("link", "</style.css>; rel=preload")])
            body = b"after hints"
        elif action == "storm":
            for _ in range(int(argument)):
                self.h2.send_headers(id, [(":status", "103"), ("link", "</style.css>; rel=preload")])
            body = b"after the storm"
        elif action == "head":
            fields = [(f"x-long-{index}", "x" * 1000) for index in range(int(argument))]
        elif action == "goaway":
            self.gone = True
            self.go_away(last=id)
            body = b"last"
        elif action in ("partial", "cut"):
            self.h2.send_headers(id, [(":status", "200"), *([("content-length", "1000")] if action == "partial" else [])])
            await self.send(id, b"p" * 500)
            return self.h2.reset_stream(id, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif action in ("chunked", "trickle"):
            self.h2.send_headers(id, [(":status", "200"), ("trailer", "X-Sum")])
            if action == "trickle":
                for index in range(int(argument)):
                    await self.send(id, b"piece%02d" % (index % 100))
                    await asyncio.sleep(0.05)
            else:
                await self.send(id, b"c" * int(argument))
            self.h2.send_headers(id, [("x-sum", "done")], end_stream=True)
            return None
        else:
            body = json.dumps({"server": "h2", "method": method, "target": stream.pseudo[":path"],
                               "headers": [field for field in stream.fields if not field[0].startswith(":")],
                               "pseudo": [field for field in stream.fields if field[0].startswith(":")],
                               "size": stream.size, "sha256": stream.digest.hexdigest(), "connection": self.number,
                               "trailers": stream.trailers}).encode()
            fields = [("content-type", "application/json")]
        without = status in (204, 304)
        head = [(":status", str(status)), ("x-backend", "app"), *fields]
        if not without:
            head.append(("content-length", str(len(body))))
        if method == "HEAD" or without or not body:
            self.h2.send_headers(id, head, end_stream=True)
        else:
            self.h2.send_headers(id, head)
            await self.send(id, body, end=True)
        return trailers

    async def tunnel(self, id, stream, action):
        if action == "refused-tunnel":
            self.h2.send_headers(id, [(":status", "403"), ("content-length", "2")])
            return await self.send(id, b"no", end=True)
        self.h2.send_headers(id, [(":status", "200")])
        self.flush()
        while (piece := await stream.pieces.get()) is not None:
            await self.send(id, piece)
        if not stream.reset:
            self.h2.end_stream(id)
        return None
