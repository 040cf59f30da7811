"""One file, one controller, several dataplanes that never see the file."""
import subprocess
import time

import pytest

from certificates import Authority
from clients import Raw
from controller import Controller, run_controller
from headgate import Headgate, free_port, wait_for


def site(port, body, **more):
    return {"listen": [{"name": "web", "uri": f"http://127.0.0.1:{port}"}],
            "dispatch": [{"listener": "web", "handler": "respond", "path": "/**", "status": 200, "body": body}], **more}


def dataplane(controller, *, wait=True, **options):
    args = ["-control", f"127.0.0.1:{controller.port}", "-control-insecure", *options.pop("args", [])]
    return Headgate(args=args, wait=wait, **options)


def body_of(port):
    try:
        with Raw(port) as client:
            return client.request("/").body.decode()
    except (OSError, Exception):  # noqa: BLE001: nobody listens yet
        return None


def wait_body(port, text, seconds=10):
    wait_for(lambda: body_of(port) == text, seconds, f"{text!r} on port {port}")


def test_a_dataplane_serves_what_it_was_never_given_as_a_file():
    port = free_port()
    with Controller(site(port, "one")) as controller, dataplane(controller):
        wait_body(port, "one")
        controller.write(site(port, "two"))
        wait_body(port, "two")
        assert controller.metric("headgate_controller_dataplanes") == 1


def test_two_dataplanes_get_the_same_file():
    port = free_port()
    with Controller(site(port, "one")) as controller:
        # One address for both: SO_REUSEPORT shares it, so what is asked for is that both are up and acknowledged.
        with dataplane(controller, args=["-node-id", "a"]), dataplane(controller, args=["-node-id", "b"]):
            wait_for(lambda: controller.metric("headgate_controller_dataplanes") == 2, 10, "two dataplanes")
            wait_body(port, "one")


def test_a_broken_file_keeps_the_old_one():
    port = free_port()
    with Controller(site(port, "one")) as controller, dataplane(controller):
        wait_body(port, "one")
        controller.write('{"listen": [}')
        wait_for(lambda: (controller.metric("headgate_controller_file_failures_total") or 0) >= 1, 5, "a refused file")
        assert "site.json:1:13" in controller.log()
        assert body_of(port) == "one"
        controller.write(site(port, "three"))
        wait_body(port, "three")


def test_changes_under_load_lose_no_request():
    port = free_port()
    with Controller(site(port, "0")) as controller, dataplane(controller, workers=2):
        wait_body(port, "0")
        lost, answered = [], 0
        with Raw(port) as client:
            for change in range(1, 11):
                controller.write(site(port, str(change)))
                until = time.monotonic() + 0.7
                while time.monotonic() < until:
                    response = client.request("/")
                    answered += 1
                    if response.status != 200:
                        lost.append(response)
        assert not lost and answered > 100
        wait_body(port, "10")


def test_dataplanes_do_not_need_the_controller_to_serve(tmp_path):
    port = free_port()
    controller = Controller(site(port, "one"))
    state = tmp_path / "state"
    state.mkdir()
    with dataplane(controller, args=["-state-dir", state]):
        wait_body(port, "one")
        controller.kill()
        for _ in range(20):
            assert body_of(port) == "one"
    # Not even to start: what was accepted last is on disk.
    with dataplane(controller, args=["-state-dir", state], wait=False):
        wait_body(port, "one", 20)
        controller.write(site(port, "two"))
        controller.start()
        wait_body(port, "two", 30)
    controller.close()


@pytest.mark.deadline(90)
def test_mutual_tls_outside_a_cluster(tmp_path):
    port = free_port()
    authority = Authority(tmp_path / "clients")
    state = tmp_path / "authority"
    state.mkdir()
    certificate, key = authority.issue("edge-1", "edge-1", client=True)
    with Controller(site(port, "private"), args=["-state-dir", state, "-client-ca", authority.cert,
                                                 "-server-name", "127.0.0.1"]) as controller:
        roots = wait_for(lambda: next(iter(state.glob("headgate-ca/ca.crt")), None), 10, "the authority's roots")
        trusted = ["-control", f"127.0.0.1:{controller.port}", "-control-ca", roots]
        known = [*trusted, "-control-cert", certificate, "-control-key", key]
        with Headgate(args=known):
            wait_body(port, "private")
        certificate, key = Authority(tmp_path / "strangers").issue("edge-1", "edge-1", client=True)
        unknown = [*trusted, "-control-cert", certificate, "-control-key", key]
        server = Headgate(args=unknown, wait=False)
        time.sleep(2)
        assert body_of(port) is None
        assert controller.metric("headgate_controller_dataplanes") == 0
        server.close()


@pytest.mark.parametrize("args, said", [
    ([], "nothing to serve"),
    (["-config", "x.json"], "-state-dir"),
    (["-config", "x.json", "-insecure", "-no-such-flag"], "unknown flag '-no-such-flag'"),
    (["-config", "x.json", "-insecure", "-http", "nonsense"], "expected ADDRESS:PORT"),
    (["check"], "check needs -f"),
])
def test_a_wrong_command_line_is_told(args, said):
    result = run_controller(*args)
    assert result.returncode == 2, result
    assert said in result.stderr


def test_help_names_every_flag():
    result = run_controller("-help")
    assert result.returncode == 0
    assert "-stream-address" in result.stdout and "-state-dir" in result.stdout


def test_plain_streams_stay_on_loopback(tmp_path):
    file = tmp_path / "site.json"
    file.write_text("{}")
    try:
        result = run_controller("-config", file, "-insecure", "-stream-address", "0.0.0.0:0", "-admin-address", "off", timeout=5)
    except subprocess.TimeoutExpired:
        raise AssertionError("it serves everybody without TLS") from None
    assert result.returncode == 1 and "loopback" in result.stderr, result


MANIFESTS = """
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: headgate}
spec: {controller: headgate.dev/ingress-controller}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {ports: [{name: http, port: 80, targetPort: 8080}], selector: {app: cart}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: cart
  namespace: shop
  annotations: {%s}
spec:
  ingressClassName: headgate
  rules:
    - host: shop.example.test
      http: {paths: [{path: /cart, pathType: Prefix, backend: {service: {name: cart, port: {name: http}}}}]}
"""


def test_check_says_what_manifests_would_do(tmp_path):
    (tmp_path / "shop.yaml").write_text(MANIFESTS % "")
    result = run_controller("check", "-f", tmp_path)
    assert result.returncode == 0, result
    assert "shop.example.test" in result.stdout and "/cart" in result.stdout and "shop/cart:http" in result.stdout


def test_check_says_what_is_refused(tmp_path):
    (tmp_path / "shop.yaml").write_text(MANIFESTS % 'nginx.ingress.kubernetes.io/configuration-snippet: "return 418;"')
    result = run_controller("check", "-f", tmp_path)
    assert result.returncode == 1, result
    assert "Ingress shop/cart" in result.stdout and "configuration-snippet" in result.stdout


def test_check_names_the_line_of_what_is_no_manifest(tmp_path):
    (tmp_path / "broken.yaml").write_text("kind: [\n")
    result = run_controller("check", "-f", tmp_path)
    assert result.returncode == 2 and "broken.yaml:" in result.stdout, result
