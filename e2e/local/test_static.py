"""Static files: ranges, validators, compression, and no way out of the root."""
import gzip
import os
import re
import socket
import time

import pytest

from clients import Raw, fetch
from headgate import free_port

TEXT = "".join(f"line {number} of a file that compresses well\n" for number in range(300)).encode()
BINARY = bytes((i * 7919) % 251 for i in range(200000))


@pytest.fixture(scope="module")
def site(start_shared, tmp_path_factory):
    top = tmp_path_factory.mktemp("site")
    root = top / "public"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "listed").mkdir()
    (root / "index.html").write_text("<h1>front</h1>\n")
    (root / "sub" / "index.html").write_text("<h1>sub</h1>\n")
    (root / "sub" / "deep" / "a b.txt").write_text("blank\n")
    (root / "text.txt").write_bytes(TEXT)
    (root / "app.js").write_text("let a = 1;\n" * 100)
    (root / "small.css").write_text("a{}")
    (root / "data.bin").write_bytes(BINARY)
    (root / "empty.txt").write_bytes(b"")
    (root / "pre.css").write_text("body { color: red }\n" * 50)
    (root / "pre.css.gz").write_bytes(gzip.compress(b"/* made before */\n" * 50))
    (root / "listed" / "one<two>.txt").write_text("1")
    (root / "big.bin").write_bytes(os.urandom(1 << 20) * 12)
    (top / "secret.txt").write_text("secret")
    os.symlink(top / "secret.txt", root / "link-out.txt")
    os.symlink("/etc", root / "etc")
    os.symlink("text.txt", root / "link-in.txt")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "sock"))
    port = free_port()
    server = start_shared({
        "listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
        "dispatch": [
            {"listener": "web", "handler": "static", "root": str(root), "index": "index.html"},
            {"listener": "web", "handler": "static", "path": "/listed/**", "root": str(root), "autoindex": True},
            {"listener": "web", "handler": "static", "path": "/spa/**", "root": str(root), "try_files": ["$uri", "/index.html"]},
            {"listener": "web", "handler": "static", "path": "/assets/**", "root": str(root), "strip_prefix": "/assets",
             "cache_control": "public, max-age=3600"},
        ]})
    server.port, server.root, server.top = port, root, top
    return server


@pytest.fixture
def client(site):
    with Raw(site.port) as connection:
        yield connection


def test_files_and_types(client):
    for target, kind, body in (("/", "text/html", b"<h1>front</h1>\n"), ("/text.txt", "text/plain", TEXT), ("/data.bin", "application/octet-stream", BINARY),
                               ("/empty.txt", "text/plain", b""), ("/app.js", "javascript", b"let a = 1;\n" * 100), ("/small.css", "text/css", b"a{}"),
                               ("/sub/deep/a%20b.txt", "text/plain", b"blank\n"), ("/text.txt?v=1", "text/plain", TEXT)):
        answer = client.request(target)
        assert answer.status == 200 and answer.body == body, target
        assert kind in answer["content-type"], (target, answer["content-type"])
        assert answer["etag"] and answer["last-modified"] and answer["accept-ranges"] == "bytes"


def test_large_file_whole(client, site):
    answer = client.request("/big.bin")
    assert answer.body == (site.root / "big.bin").read_bytes()


def test_directory_redirects_to_its_slash(client):
    answer = client.request("/sub?x=1")
    assert answer.status in (301, 308) and re.fullmatch(r"(http://localhost(:\d+)?)?/sub/\?x=1", answer["location"])
    assert client.request("/sub/").body == b"<h1>sub</h1>\n"
    answer = client.request("//evil.example/%2e%2e")  # no redirect to another host
    assert not (answer["location"] or "").startswith("//")


def test_not_found_and_methods(client):
    assert client.request("/nosuch").status == 404
    assert client.request("/text.txt/").status == 404
    assert client.request("/sub/deep/").status in (403, 404)  # no index, no listing
    answer = client.request("/text.txt", "POST", body=b"x")
    assert answer.status == 405 and "GET" in answer["allow"]


def test_listing(client):
    answer = client.request("/listed/")
    assert answer.status == 200 and "text/html" in answer["content-type"]
    assert b"one%3Ctwo%3E.txt" in answer.body and b"one&lt;two&gt;.txt" in answer.body and b"<two>" not in answer.body


def test_try_files_and_prefix(client):
    assert client.request("/spa/any/route").body == b"<h1>front</h1>\n"
    answer = client.request("/assets/text.txt")
    assert answer.body == TEXT and answer["cache-control"] == "public, max-age=3600"


@pytest.mark.parametrize(("value", "expected"), [
    ("bytes=0-0", (0, 0)), ("bytes=0-99", (0, 99)), ("bytes=100-", (100, 199999)), ("bytes=-50", (199950, 199999)),
    ("bytes=199999-", (199999, 199999)), ("bytes=0-999999", (0, 199999)), ("bytes=-999999", (0, 199999)),
])
def test_single_range(client, value, expected):
    first, last = expected
    answer = client.request("/data.bin", headers=[("Range", value)])
    assert answer.status == 206 and answer["content-range"] == f"bytes {first}-{last}/200000"
    assert answer.body == BINARY[first:last + 1]


def test_unsatisfiable_and_ignored_ranges(client):
    for value in ("bytes=200000-", "bytes=-0"):
        answer = client.request("/data.bin", headers=[("Range", value)])
        assert answer.status == 416 and answer["content-range"] == "bytes */200000", value
    for value in ("bytes=5-2", "bytes=a-b", "lines=0-5", "bytes=", "bytes=--5", "bytes=1-2-3"):
        answer = client.request("/data.bin", headers=[("Range", value)])
        assert answer.status == 200 and answer.body == BINARY, value
    many = "bytes=" + ",".join(f"{i}-{i + 20}" for i in range(0, 400, 2))  # overlapping: an attack, not a wish
    assert client.request("/data.bin", headers=[("Range", many)]).status == 200


def test_several_ranges(client):
    answer = client.request("/data.bin", headers=[("Range", "bytes=0-9,100-109,-5")])
    assert answer.status == 206
    boundary = re.fullmatch(r"multipart/byteranges; *boundary=\"?([^\"]+)\"?", answer["content-type"])[1].encode()
    parts = answer.body.split(b"--" + boundary)
    assert parts[-1].strip() == b"--" and len(parts) == 5
    bodies = []
    for part, where in zip(parts[1:-1], ("0-9", "100-109", "199995-199999")):
        fields, _, body = part[2:].partition(b"\r\n\r\n")
        assert f"bytes {where}/200000".encode() in fields
        bodies.append(body[:-2])
    assert bodies == [BINARY[:10], BINARY[100:110], BINARY[-5:]]


def test_if_range(client):
    answer = client.request("/data.bin", "HEAD")
    tag, date = answer["etag"], answer["last-modified"]
    for validator, status in ((tag, 206), ('"other"', 200), ("W/" + tag, 200), ("Mon, 01 Jan 2001 00:00:00 GMT", 200)):
        answer = client.request("/data.bin", headers=[("Range", "bytes=0-9"), ("If-Range", validator)])
        assert answer.status == status, validator
    assert client.request("/data.bin", headers=[("Range", "bytes=0-9"), ("If-Range", date)]).status in (200, 206)


def test_conditional(client):
    got = client.request("/text.txt")
    tag, date = got["etag"], got["last-modified"]
    past, future = "Mon, 01 Jan 2001 00:00:00 GMT", "Tue, 01 Jan 2080 00:00:00 GMT"
    for headers, status in (
            ([("If-None-Match", tag)], 304), ([("If-None-Match", "*")], 304), ([("If-None-Match", f'"a", {tag}')], 304),
            ([("If-None-Match", '"a"')], 200), ([("If-None-Match", "W/" + tag.removeprefix("W/"))], 304), ([("If-Modified-Since", date)], 304),
            ([("If-Modified-Since", future)], 304), ([("If-Modified-Since", past)], 200), ([("If-None-Match", '"a"'), ("If-Modified-Since", date)], 200),
            ([("If-Match", '"a"')], 412), ([("If-Match", "*")], 200), ([("If-Unmodified-Since", past)], 412), ([("If-Unmodified-Since", date)], 200),
            ([("If-Modified-Since", "nonsense")], 200)):
        answer = client.request("/text.txt", headers=headers)
        assert answer.status == status, headers
        if status == 304:
            assert answer["etag"] == tag


def test_gzip(client):
    plain = client.request("/text.txt")
    packed = client.request("/text.txt", headers=[("Accept-Encoding", "gzip, br")])
    assert packed["content-encoding"] == "gzip" and gzip.decompress(packed.body) == TEXT
    assert "accept-encoding" in packed["vary"].lower() and "accept-encoding" in plain["vary"].lower()
    assert packed["etag"].startswith("W/")
    assert client.request("/text.txt", headers=[("Accept-Encoding", "gzip"), ("If-None-Match", packed["etag"])]).status == 304
    for target, accept in (("/text.txt", "gzip;q=0"), ("/text.txt", "identity"), ("/data.bin", "gzip"), ("/small.css", "gzip"), ("/text.txt", "*;q=0, identity")):
        assert client.request(target, headers=[("Accept-Encoding", accept)])["content-encoding"] is None, (target, accept)
    assert client.request("/text.txt", headers=[("Accept-Encoding", "br;q=1, *;q=0.5")])["content-encoding"] == "gzip"


def test_precompressed_sibling(client):
    answer = client.request("/pre.css", headers=[("Accept-Encoding", "gzip")])
    assert answer["content-encoding"] == "gzip" and gzip.decompress(answer.body) == b"/* made before */\n" * 50
    assert "text/css" in answer["content-type"]
    assert b"color: red" in client.request("/pre.css").body


@pytest.mark.parametrize("target", [
    "/../secret.txt", "/%2e%2e/secret.txt", "/sub/../../secret.txt", "/sub/..%2f..%2fsecret.txt", "/..%5csecret.txt", "/%252e%252e/secret.txt",
    "/./../secret.txt", "/sub/%2e%2e/%2e%2e/secret.txt", "/link-out.txt", "/etc/passwd", "/etc/", "/..;/secret.txt", "/%c0%ae%c0%ae/secret.txt",
    "/text.txt%00.png", "/pipe", "/sock", "/assets../secret.txt", "/assets/../../secret.txt", "//../secret.txt", "/.../secret.txt",
])
def test_no_way_out(site, target):
    answer = fetch(site.port, target)
    assert answer.status in (400, 403, 404), answer
    assert b"secret" not in answer.body and b"root:" not in answer.body


def test_link_within_the_root(client):
    assert client.request("/link-in.txt").status in (200, 403, 404)  # policy, but never an error of ours


def test_changed_file_is_noticed(site):
    file = site.root / "changing.txt"
    file.write_text("first")
    with Raw(site.port) as client:
        first = client.request("/changing.txt")
        assert first.body == b"first"
        temporary = site.root / "changing.new"
        temporary.write_text("second, and longer")
        os.replace(temporary, file)
        deadline = time.monotonic() + 2.5  # cached files are looked at again at most once a second
        while client.request("/changing.txt").body == b"first":
            assert time.monotonic() < deadline, "the old content is still served"
            time.sleep(0.1)
        answer = client.request("/changing.txt")
        assert answer.body == b"second, and longer" and answer["etag"] != first["etag"]
        file.unlink()
        deadline = time.monotonic() + 2.5
        while client.request("/changing.txt").status == 200:
            assert time.monotonic() < deadline, "a deleted file is still served"
            time.sleep(0.1)


def test_file_cut_while_it_is_sent(site):
    file = site.root / "shrinking.bin"
    file.write_bytes(b"s" * (8 << 20))
    with Raw(site.port) as client:
        client.send("GET /shrinking.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        client._more()
        os.truncate(file, 1000)
        data = client.rest()  # never padded, never a clean end: fewer bytes than promised, then closed
        assert len(data) < (8 << 20)
    assert fetch(site.port, "/text.txt").status == 200


def test_slow_reader_gets_all(site):
    expected = (site.root / "big.bin").read_bytes()
    with Raw(site.port, timeout=20) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        client.send("GET /big.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        time.sleep(0.5)
        assert client.response().body == expected
