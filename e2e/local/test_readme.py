"""The shell snippets of the documents, run as they stand: those with `<!-- run -->` on the line before the fence."""
import re
import socket
import subprocess
import time

import pytest

from headgate import BINARY, ROOT


def snippets():
    for document in sorted(ROOT.rglob("*.md")):
        if any(part.startswith(("build", ".")) for part in document.relative_to(ROOT).parts):
            continue
        for number, match in enumerate(re.finditer(r"<!-- run -->\n```sh\n(.*?)```", document.read_text(), re.S)):
            yield pytest.param(match[1], id=f"{document.relative_to(ROOT)}-{number}")


def test_the_readme_has_snippets():
    assert len(list(snippets())) >= 2


@pytest.mark.parametrize("text", snippets())
def test_snippet(text, tmp_path):
    """Runs in an empty folder with `headgate` on the path. A `#=> text` after a command is what it prints."""
    for port in set(re.findall(r":(\d{4,5})\b", text)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                pytest.skip(f"port {port} of the snippet is taken on this machine")
    expected = re.findall(r"#=> (.*)", text)
    script = (f"set -eu\nexport PATH={BINARY.parent}:$PATH XDG_RUNTIME_DIR=$PWD\ncp -r {ROOT}/manifests/standalone/. .\n"
              f"trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n{text}")
    began = time.monotonic()
    result = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=40, check=False, stdin=subprocess.DEVNULL)
    assert result.returncode == 0, (result.stdout, result.stderr)
    place = 0
    for line in expected:
        found = result.stdout.find(line, place)
        assert found >= 0, (line, result.stdout, result.stderr)
        place = found + len(line)
    assert time.monotonic() - began < 40
