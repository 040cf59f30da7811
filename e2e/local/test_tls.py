"""TLS towards clients: names, versions, ALPN, resumption, client certificates, and certificates that change on disk."""
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from certificates import Authority, subject_of
from clients import Closed, Load, Raw, fetch
from headgate import free_port, run_headgate, wait_for


def config(port, **tls):
    return {"listen": [{"name": "tls", "uri": f"https://127.0.0.1:{port}"}], "tls": tls,
            "dispatch": [{"listener": "tls", "handler": "respond", "path": "/**", "status": 200, "body": "over tls",
                          "headers": {"X-Seen": "$scheme $uri"}}]}


def pair(names):
    cert, key = names
    return {"cert": str(cert), "key": str(key)}


@pytest.fixture(scope="module")
def site(start_shared, authority):
    port = free_port()
    server = start_shared(config(port, certificates=[
        pair(authority.issue("default", "localhost", "127.0.0.1")), pair(authority.issue("shop", "shop.example")),
        pair(authority.issue("wild", "*.wild.example"))]))
    server.port = port
    return server


def handshake(port, context, name="localhost"):
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    return context.wrap_socket(raw, server_hostname=name)


def s_client(port, *options, data="", name="localhost"):
    return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, *options], input=data, capture_output=True,
                          text=True, timeout=10, check=False)


def test_request(site, authority):
    answer = fetch(site.port, "/a", tls=authority.client())
    assert answer.status == 200 and answer.body == b"over tls" and answer["x-seen"] == "https /a"


def test_names_choose_the_certificate(site, authority):
    for name, subject in (("localhost", "localhost"), ("shop.example", "shop.example"), ("SHOP.example", "shop.example"), ("a.wild.example", "*.wild.example")):
        with handshake(site.port, authority.client(), name) as sock:
            assert subject_of(sock) == subject, name
    lax = authority.client()
    lax.check_hostname = False
    for name in ("unknown.example", "a.b.wild.example", None):
        with handshake(site.port, lax, name) as sock:
            assert subject_of(sock) == "localhost", name


def test_versions(site, authority):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with handshake(site.port, authority.client(minimum=version, maximum=version)) as sock:
            assert sock.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]


@pytest.mark.parametrize("options", [
    ["-tls1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
    ["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
    ["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "PSK:@SECLEVEL=0"],
], ids=["TLS 1.0", "TLS 1.1", "RSA key exchange", "CBC", "no authentication", "PSK"])
def test_weak_offers_are_refused(site, options):
    result = s_client(site.port, *options)
    assert "Cipher is (NONE)" in result.stdout or result.returncode != 0, result.stdout[-800:]
    assert fetch_ok(site)


def fetch_ok(site):
    lax = ssl.create_default_context()
    lax.check_hostname, lax.verify_mode = False, ssl.CERT_NONE
    return fetch(site.port, "/", tls=lax).status == 200


def test_renegotiation_is_refused(site):
    result = s_client(site.port, "-tls1_2", data="R\nGET / HTTP/1.0\n\n")
    said = result.stderr + result.stdout
    assert "RENEGOTIATING" in said
    assert re.search(r"no renegotiation|unexpected message|alert|wrong version|error:", said.split("RENEGOTIATING", 1)[1], re.I), said[-1500:]


def test_minimum_version_1_3(start, authority):
    port = free_port()
    start(config(port, **pair(authority.issue("default", "localhost")), min_version="1.3"))
    with pytest.raises(ssl.SSLError):
        handshake(port, authority.client(maximum=ssl.TLSVersion.TLSv1_2))
    assert fetch(port, tls=authority.client()).status == 200


def test_alpn(site, authority):
    with handshake(site.port, authority.client(alpn=["http/1.1"])) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
    with handshake(site.port, authority.client(alpn=["nothing-we-know", "http/1.1"])) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):  # RFC 7301 3.2
        handshake(site.port, authority.client(alpn=["nothing-we-know"]))
    with handshake(site.port, authority.client()) as sock:
        assert sock.selected_alpn_protocol() is None


def reused(port, context, session, name="localhost"):
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    with context.wrap_socket(raw, server_hostname=name, session=session) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        while sock.recv(4096):
            pass
        return sock.session_reused, sock.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumption(start, authority, version):
    port = free_port()
    start(config(port, certificates=[pair(authority.issue("default", "localhost")), pair(authority.issue("shop", "shop.example"))]), workers=2)
    context = authority.client(minimum=version, maximum=version)
    was_reused, session = reused(port, context, None)
    assert not was_reused
    for _ in range(8):  # also when the other worker answers
        was_reused, session = reused(port, context, session)
        assert was_reused
    # A ticket is good for the name it was given under, and for no other.
    lax = authority.client(minimum=version, maximum=version)
    _, session = reused(port, lax, None)
    assert reused(port, lax, session, "shop.example")[0] is False


def test_certificate_files_are_swapped_without_a_reload(start, authority, tmp_path):
    port = free_port()
    first, second = authority.issue("swap-1", "localhost", "one.example"), authority.issue("swap-2", "localhost", "two.example")
    cert, key = tmp_path / "site.pem", tmp_path / "site.key"
    shutil.copy(first[0], cert)
    shutil.copy(first[1], key)
    server = start(config(port, cert=str(cert), key=str(key)))

    def names():
        with handshake(port, authority.client()) as sock:
            return {value for _, value in sock.getpeercert()["subjectAltName"]}

    assert "one.example" in names()
    with Load(port, connections=4, tls=authority.client(), target="/x", new_connections=True, check=lambda body: body == "over tls") as load:
        for source, target in ((second[0], cert), (second[1], key)):  # between the two the pair does not match
            temporary = tmp_path / "new"
            shutil.copy(source, temporary)
            os.replace(temporary, target)
            time.sleep(0.3)
        wait_for(lambda: "two.example" in names(), 8, "the new certificate")
        load.assert_nothing_lost()
    # A broken file keeps the good pair and says so.
    cert.write_text("not a certificate")
    server.wait_log(r"(?i)certificate", 8)
    time.sleep(0.5)
    assert "two.example" in names()


def test_client_certificates(start, authority, tmp_path):
    port = free_port()
    start(config(port, **pair(authority.issue("default", "localhost")), client_ca=str(authority.cert)))
    good = authority.issue("alice", "alice.example", client=True)
    assert fetch(port, tls=authority.client(cert=good)).status == 200
    stranger = Authority(tmp_path / "stranger", "Stranger").issue("eve", "eve.example", client=True)
    for cert in (None, stranger):
        # In TLS 1.3 the client is done before the server has judged it: the alert meets the first read.
        with pytest.raises((OSError, Closed)), Raw(port, tls=authority.client(cert=cert)) as client:
            client.request("/")


def test_plain_http_on_the_tls_port(site):
    with Raw(site.port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        data = client.rest()
        assert b"200 OK" not in data
    assert fetch_ok(site)


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x40\x01" + b"\0" * 16385, b"\x16\x03\x01\x00\x00", b"\x15\x03\x03\x00\x02\x02\x28", b"\xff" * 600, b"\x80\x2e\x01\x00\x02"],
                         ids=["too long", "empty record", "alert first", "noise", "SSL 2"])
def test_noise_instead_of_a_hello(site, data):
    with Raw(site.port, timeout=8) as client:
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
        assert b"HTTP/" not in client.rest()
    assert fetch_ok(site)


def test_hello_in_single_bytes(site):
    memory_in, memory_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    tls = context.wrap_bio(memory_in, memory_out, server_hostname="localhost")
    with Raw(site.port) as client:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in memory_out.read():
                    client.send(bytes([byte]))
                memory_in.write(client.socket.recv(65536))
        tls.write(b"GET /bytewise HTTP/1.1\r\nHost: a\r\n\r\n")
        client.send(memory_out.read())
        data = b""
        while b"over tls" not in data:
            memory_in.write(client.socket.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                data += tls.read()


def test_silent_client_is_dropped(start, authority):
    port = free_port()
    start({**config(port, **pair(authority.issue("default", "localhost"))), "timeouts": {"header": 1}})
    with Raw(port, timeout=10) as client:
        client.send(b"\x16\x03\x01")
        began = time.monotonic()
        assert client.is_closed(9)
        assert time.monotonic() - began < 7


def test_close_notify_ends_every_answer(site, authority):
    with Raw(site.port, tls=authority.client()) as client:
        answer = client.request("/", headers=[("Connection", "close")])
        assert answer.status == 200
        assert client.socket.recv(1) == b""  # SSLEOFError would be a truncation


def test_curl_and_wrk(site, authority):
    result = subprocess.run(["curl", "-sS", "--fail", "--cacert", str(authority.cert), "--resolve", f"shop.example:{site.port}:127.0.0.1",
                             f"https://shop.example:{site.port}/curl"], capture_output=True, text=True, timeout=10, check=True)
    assert result.stdout == "over tls"
    result = subprocess.run(["wrk", "-t1", "-c32", "-d1s", f"https://127.0.0.1:{site.port}/"], capture_output=True, text=True, timeout=20, check=True)
    assert "Socket errors" not in result.stdout and "Non-2xx" not in result.stdout, result.stdout


def test_bad_pairs_are_refused_at_start(start, authority, tmp_path):
    one, two = authority.issue("p1", "a.example"), authority.issue("p2", "b.example")
    for cert, key in ((one[0], two[1]), (tmp_path / "missing.pem", one[1]), (one[1], one[1])):
        file = tmp_path / "bad.json"
        file.write_text(json.dumps(config(free_port(), cert=str(cert), key=str(key))))
        result = run_headgate("check", file)
        assert result.returncode != 0 and re.search(r"tls", result.stdout + result.stderr), result
