"""The main job: objects made with kubectl, requests answered by back ends, through a dataplane that never saw a file."""
import ssl
import subprocess
import time

from certificates import Authority
from headgate import wait_for
from parts import HTTPS_PORT, Load, ask, endpoints, ingress, service, tls_secret, wait_answer


def shop(*addresses):
    return service("cart"), endpoints("cart", *addresses)


def test_an_ingress_becomes_traffic(api, control, serve, backends):
    serve(control())
    api.apply(*shop(backends[0]), ingress("cart", "shop.test"))
    wait_answer("shop.test", body=backends[0])
    assert ask("other.test")[0] == 404
    wait_for(lambda: api.get("ingress", "cart")["status"].get("loadBalancer", {}).get("ingress") == [{"ip": "192.0.2.80"}], 15,
             "the address in the status")
    api.delete("ingress", "cart")
    wait_answer("shop.test", status=404)


def test_endpoint_changes_move_traffic_and_lose_nothing(api, control, serve, backends):
    serve(control())
    api.apply(*shop(backends[0]), ingress("cart", "shop.test"))
    wait_answer("shop.test", body=backends[0])
    load = Load("shop.test", 8)
    for turn in range(12):
        api.apply(endpoints("cart", backends[turn % 3]))
        wait_answer("shop.test", body=backends[turn % 3])
    load.end()


def test_no_endpoints_is_503_until_there_are_some(api, control, serve, backends):
    serve(control())
    api.apply(service("cart"), ingress("cart", "shop.test"))
    wait_answer("shop.test", status=503)
    api.apply(endpoints("cart", backends[1]))
    wait_answer("shop.test", body=backends[1])


def test_tls_by_host_and_a_rotated_secret(api, control, serve, backends, tmp_path):
    serve(control())
    authority = Authority(tmp_path)
    trusting = authority.client()
    first, second = authority.issue("first", "shop.test"), authority.issue("second", "shop.test")
    api.apply(*shop(backends[0]), tls_secret("shop-tls", *first), ingress("cart", "shop.test", tls="shop-tls"))
    wait_answer("shop.test", status=200, body=backends[0], port=HTTPS_PORT, tls=trusting)
    assert ask("shop.test")[0] == 308  # as ingress-nginx: what has TLS is only served over it

    def serial():
        text = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{HTTPS_PORT}", "-servername", "shop.test"],
                              input="", capture_output=True, text=True, timeout=10, check=False).stdout
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=text, capture_output=True, text=True, timeout=10,
                              check=False).stdout

    before = serial()
    api.apply(tls_secret("shop-tls", *second))
    wait_for(lambda: serial() != before, 10, "the rotated certificate")
    # A name without a certificate gets the controller's own; it is refused by whoever verifies.
    assert ask("other.test", port=HTTPS_PORT, tls=trusting)[0] == 0
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    assert ask("other.test", port=HTTPS_PORT, tls=anyone)[0] == 404


def test_what_is_refused_is_told_on_the_object_and_hurts_nobody_else(api, control, serve, backends):
    serve(control())
    api.apply(*shop(backends[0]), ingress("good", "good.test"), ingress("cart", "shop.test", annotations={
        "nginx.ingress.kubernetes.io/configuration-snippet": "return 418;"}))
    wait_answer("good.test", body=backends[0])
    events = wait_for(lambda: api.events("cart"), 10, "an Event on the Ingress")
    print(f"  {events}")
    assert "configuration-snippet" in events["AnnotationRefused"]
    assert ask("shop.test")[0] == 404  # half of what its author wanted would be worse


def test_an_ingress_of_another_class_is_left_alone(api, control, serve, backends):
    serve(control())
    other = ingress("theirs", "theirs.test")
    other["spec"]["ingressClassName"] = "nginx"
    api.apply(*shop(backends[0]), other, ingress("cart", "shop.test"))
    wait_answer("shop.test", body=backends[0])
    assert ask("theirs.test")[0] == 404
    assert "ingress" not in api.get("ingress", "theirs")["status"].get("loadBalancer", {})


def test_a_thousand_edits_lose_nothing(api, control, serve, backends):
    serve(control())
    api.apply(*shop(*backends), ingress("cart", "shop.test"))
    wait_answer("shop.test")
    load = Load("shop.test", 10)
    until = time.monotonic() + 9
    edits = 0
    while time.monotonic() < until:
        api.apply(*(ingress(f"edit-{i}", f"edit-{i}.test", path=f"/{edits}") for i in range(100)))
        edits += 100
    requests = load.end()
    print(f"  {edits} edits, {requests} requests")
    wait_answer("edit-7.test", path=f"/{edits - 100}")
