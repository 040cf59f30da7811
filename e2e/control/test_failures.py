"""Whatever fails in the control plane, requests are answered, and what changed meanwhile arrives afterwards."""
import signal
import time

import pytest

from api_server import ADDRESS
from headgate import Headgate, wait_for
from parts import Load, ask, endpoints, ingress, service, wait_answer


@pytest.fixture
def shop(api, control, serve, backends):
    controller = control()
    server = serve(controller)
    api.apply(service("cart"), endpoints("cart", backends[0]), ingress("cart", "shop.test"))
    wait_answer("shop.test", body=backends[0])
    return controller, server


def test_the_controller_is_killed_and_comes_back(api, shop, backends):
    controller, _ = shop
    load = Load("shop.test", 8)
    controller.kill()
    api.apply(endpoints("cart", backends[1]))
    time.sleep(1)
    assert ask("shop.test") == (200, backends[0])  # the last it was told
    controller.start()
    wait_answer("shop.test", body=backends[1], seconds=20)
    load.end()


def test_the_api_server_is_stopped_and_comes_back(api, shop, backends):
    load = Load("shop.test", 20)
    api.stop()
    time.sleep(2)
    assert ask("shop.test") == (200, backends[0])
    api.start()
    api.apply(endpoints("cart", backends[1]))
    wait_answer("shop.test", body=backends[1], seconds=45)
    load.end()


def test_a_controller_that_slept_through_a_compaction_lists_again(api, shop, backends):
    controller, _ = shop
    api.apply(ingress("gone", "gone.test"))
    wait_answer("gone.test")
    load = Load("shop.test", 25)
    controller.signal(signal.SIGSTOP)
    for turn in range(30):
        api.apply(endpoints("cart", backends[turn % 2]))
    api.delete("ingress", "gone")
    time.sleep(7)  # two intervals of compaction
    api.restart()  # and the watch cache begins anew: the controller's version is gone from both
    api.apply(ingress("late", "late.test"), endpoints("cart", backends[2]))
    controller.signal(signal.SIGCONT)
    wait_answer("late.test", body=backends[2], seconds=45)
    assert ask("gone.test")[0] == 404
    load.end()


def test_another_controller_takes_over(api, control, serve, backends):
    first = control(name="headgate-controller-0")
    wait_for(first.leads, 30, "the first one leads")
    second = control(name="headgate-controller-1")
    serve(second)
    api.apply(service("cart"), endpoints("cart", backends[0]), ingress("cart", "shop.test"))
    wait_answer("shop.test", body=backends[0])
    assert not second.leads()
    load = Load("shop.test", 25)
    first.kill()
    wait_for(second.leads, 40, "the second one leads")
    api.apply(ingress("more", "more.test"))
    wait_answer("more.test", body=backends[0])
    wait_for(lambda: api.get("ingress", "more")["status"].get("loadBalancer", {}).get("ingress"), 15, "the new leader writes")
    load.end()


def test_a_leader_that_ends_gives_the_lease_back(api, control):
    first = control(name="headgate-controller-0")
    wait_for(first.leads, 30, "the first one leads")
    second = control(name="headgate-controller-1")
    first.close()
    wait_for(second.leads, 8, "the second one leads without waiting for the lease to run out")


def test_two_controllers_say_the_same(api, control, serve, backends):
    """A dataplane that moves from one to the other is sent nothing new, and nothing is taken from it."""
    first, second = control(name="headgate-controller-0"), control(name="headgate-controller-1")
    api.apply(service("cart"), endpoints("cart", backends[0]), ingress("cart", "shop.test"))
    one, two = serve(first), serve(second)
    wait_answer("shop.test", body=backends[0])

    def digest(controller):
        return sorted(line.split("digest=")[1].split()[0] for line in controller.get("/debug/proxies")[1].splitlines() if "digest=" in line)

    wait_for(lambda: digest(first) and digest(second) and digest(first)[0] == digest(second)[0], 15, "equal digests")
    assert one.metrics() and two.metrics()


def test_malformed_objects_hurt_nobody_else(api, shop, backends):
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "broken", "namespace": "shop"},
              "data": {"tls.crt": "bm90IGEgY2VydGlmaWNhdGU=", "tls.key": "bm9wZQ=="}}
    api.apply(secret, ingress("bad-tls", "bad.test", tls="broken"),
              ingress("bad-annotations", "annotations.test", annotations={
                  "nginx.ingress.kubernetes.io/proxy-body-size": "many", "nginx.ingress.kubernetes.io/canary-weight": "-3"}),
              ingress("bad-regex", "regex.test", path="/([", path_type="ImplementationSpecific", annotations={
                  "nginx.ingress.kubernetes.io/use-regex": "true"}),
              ingress("no-service", "nothing.test", to="missing"), ingress("good", "good.test"))
    wait_answer("good.test", body=backends[0])
    assert ask("shop.test") == (200, backends[0])
    assert ask("nothing.test")[0] == 503
    for name in ("bad-tls", "bad-annotations", "bad-regex", "no-service"):
        events = wait_for(lambda name=name: api.events(name), 15, f"an Event on {name}")
        print(f"  {name}: {events}")


def test_a_dataplane_that_restarts_without_a_controller(api, shop, serve, backends, tmp_path):
    controller, _ = shop
    state = tmp_path / "state"
    state.mkdir()
    second = serve(controller, args=["-state-dir", state])
    second.close()
    controller.kill()
    third = serve(controller, args=["-state-dir", state], wait=False)
    wait_for(third.admin_answers, 40, "it is ready with what served last")
    wait_answer("shop.test", body=backends[0])


def test_a_stranger_gets_nothing(api, shop, tmp_path):
    """A token that was made for another audience is no token here."""
    controller, _ = shop
    (tmp_path / "token").write_text(api.kubectl("create", "token", "headgate", "-n", "headgate"))
    (tmp_path / "ca.crt").write_text(api.get("configmap", "headgate-ca-roots", "headgate")["data"]["ca.crt"])
    with Headgate(args=["-control", f"{ADDRESS}:{controller.port}", "-control-ca", tmp_path / "ca.crt", "-node-id", "stranger",
                        "-control-token-file", tmp_path / "token"], env={"POD_NAMESPACE": "headgate"}, wait=False) as stranger:
        stranger.wait_log("the token is not valid", 10)
        assert "stranger" not in controller.get("/debug/proxies")[1]
