"""A real browser: headless Chromium loads a page with style, script and image, and uses fetch and a WebSocket."""
import json
import shutil
import struct
import subprocess
import zlib

import pytest

from backends import Backend, WebSocketBackend
from headgate import free_port, wait_for

PAGE = """<!doctype html><meta charset="utf-8"><title>page</title>
<link rel="stylesheet" href="/style.css"><img id="image" src="/pixel.png"><script src="/script.js"></script>"""
SCRIPT = """
const report = {};
addEventListener('load', async () => {
  try {
    report.color = getComputedStyle(document.body).color;
    report.image = document.getElementById('image').naturalWidth;
    const answer = await fetch('/api/echo?from=browser', {method: 'POST', body: 'x'.repeat(100000)});
    report.fetch = (await answer.json()).size;
    const text = await (await fetch('/long.txt')).text();
    report.text = text.length;
    const entry = performance.getEntriesByName(location.origin + '/long.txt')[0];
    report.compressed = entry.encodedBodySize < entry.decodedBodySize;
    report.protocol = entry.nextHopProtocol;
    report.socket = await new Promise((resolve, reject) => {
      const socket = new WebSocket('ws://' + location.host + '/chat/');
      socket.onopen = () => socket.send('from the browser');
      socket.onmessage = (event) => { resolve(event.data); socket.close(); };
      socket.onerror = () => reject(new Error('socket'));
    });
  } catch (error) { report.error = String(error); }
  await fetch('/api/report', {method: 'POST', body: JSON.stringify(report)});
});
"""


def png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = b"".join(b"\0" + b"\xff\0\0" * width for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(pixels)) +
            chunk(b"IEND", b""))


def test_a_page_with_everything(start, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("Chromium is not installed and could not be: no browser has looked at the page")
    root = tmp_path / "www"
    root.mkdir()
    (root / "index.html").write_text(PAGE)
    (root / "style.css").write_text("body { color: rgb(1, 2, 3) }")
    (root / "script.js").write_text(SCRIPT)
    (root / "pixel.png").write_bytes(png(7, 5))
    (root / "long.txt").write_text("the same words again and again\n" * 3000)
    with Backend() as app, WebSocketBackend() as chat:
        port = free_port()
        start({"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
               "dispatch": [{"listener": "web", "handler": "static", "root": str(root), "index": "index.html"},
                            {"listener": "web", "handler": "proxy", "path": "/api/**", "proxy_pass": app.url, "strip_prefix": "/api"},
                            {"listener": "web", "handler": "proxy", "path": "/chat/**", "proxy_pass": chat.url}]})
        log = open(tmp_path / "chromium.log", "wb")
        browser = subprocess.Popen(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-extensions",
             "--no-first-run", f"--user-data-dir={tmp_path}/profile", "--remote-debugging-port=0", f"http://127.0.0.1:{port}/"],
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        try:
            def reported():
                return [body for _, head, body in app.requests if head.startswith("POST /report ")]

            seen = json.loads(wait_for(reported, 40, "the page's report")[0])
        finally:
            browser.terminate()
            try:
                browser.wait(5)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()
            log.close()
    assert "error" not in seen, seen
    assert seen["color"] == "rgb(1, 2, 3)" and seen["image"] == 7 and seen["fetch"] == 100000
    assert seen["text"] == 93000 and seen["compressed"] and seen["protocol"] == "http/1.1"
    assert seen["socket"] == "from the browser"
