"""h2spec, a conformance tester of HTTP/2 servers, in its strict mode: over TLS and with prior knowledge.

It sends what is wrong after the head of a request and expects to hear about that, so an answer that needs no body of the
request would be there first. Hence a back end that reads every request whole and answers a body of some bytes.
"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from backends import Backend
from certificates import Authority
from headgate import free_port

VERSION = "v2.2.1+incompatible"  # the newest that is a Go module: 146 cases, strict ones included


@pytest.fixture(scope="module")
def h2spec(tmp_path_factory):
    """The program: HEADGATE_H2SPEC, what is in PATH, or what go builds."""
    known = os.environ.get("HEADGATE_H2SPEC")
    if known:
        return known
    folder = pathlib.Path(tmp_path_factory.mktemp("h2spec"))
    if not shutil.which("go"):
        pytest.skip("needs go, or HEADGATE_H2SPEC")
    built = subprocess.run(["go", "install", f"github.com/summerwind/h2spec/cmd/h2spec@{VERSION}"],
                           env={**os.environ, "GOBIN": str(folder)}, capture_output=True, text=True, timeout=300, check=False)
    if built.returncode != 0:
        pytest.skip("go install: " + built.stderr.strip().splitlines()[-1])
    return str(folder / "h2spec")


@pytest.mark.deadline(400)
@pytest.mark.parametrize("tls", [False, True], ids=["h2c", "tls"])
def test_every_case_passes(start, h2spec, tmp_path, tls):
    cert, key = Authority(tmp_path).issue("site", "localhost")
    port = free_port()
    with Backend() as backend:
        start({"listen": [{"name": "web", "uri": f"{'https' if tls else 'http'}://127.0.0.1:{port}"}],
               **({"tls": {"cert": str(cert), "key": str(key)}} if tls else {}),
               "dispatch": [{"listener": "web", "handler": "proxy", "path": "/**", "proxy_pass": backend.url}]})
        options = ["--strict", "--host", "127.0.0.1", "--port", str(port), "--timeout", "10", "--path", "/echo",
                   *(["--tls", "--insecure"] if tls else [])]
        said = subprocess.run([h2spec, *options], capture_output=True, text=True, timeout=380, check=False).stdout
    tests, passed, skipped, failed = map(int, re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", said).groups())
    assert (failed, skipped) == (0, 0), said[said.find("Failures"):]
    assert passed == tests >= 146
