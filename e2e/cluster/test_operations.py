"""A day with an installation: rolling updates, scaling and upgrades under load lose nothing; leaving leaves nothing."""
import json
import subprocess

import pytest

from clients import Load
from installation import Installation, ingress, rule
from kubernetes import apply, echo_application, get, kubectl, run, wait_for_rollout, wait_until

HOST = "busy.test"


@pytest.fixture(scope="module")
def busy(headgate, shared_namespace):
    """A namespace with the application that the load asks for."""
    apply(echo_application("app", replicas=2), shared_namespace)
    wait_for_rollout("deployment/app", shared_namespace)
    apply(ingress("app", rule(HOST, ("/", "Prefix", "app"))), shared_namespace)
    headgate.wait_for(f"http://{HOST}/")
    return shared_namespace


def load(headgate, **options):
    return Load(80, address=headgate.address, host=HOST, target="/", connections=6, pause=0.01, **options)


def lose_nothing(headgate, what, change):
    """Two kinds of clients, on kept and on new connections, while `change` happens."""
    with load(headgate) as kept, load(headgate, new_connections=True) as fresh:
        change()
        for name, client in (("kept connections", kept), ("new connections", fresh)):
            print(f"{what}: {name}: {client.assert_nothing_lost(at_least=50)}")


def restart(deployment, namespace):
    kubectl("rollout", "restart", f"deployment/{deployment}", "-n", namespace)
    wait_for_rollout(f"deployment/{deployment}", namespace)


def test_rolling_update_of_the_application(headgate, busy):
    lose_nothing(headgate, "application", lambda: restart("app", busy))


def test_rolling_update_of_the_proxies(headgate, busy):
    before = headgate.pods(headgate.proxies)
    lose_nothing(headgate, "proxies", lambda: restart(headgate.proxies, headgate.namespace))
    assert not set(before) & set(headgate.pods(headgate.proxies))


def test_rolling_update_of_the_controller(headgate, busy):
    before = headgate.pods(headgate.proxies)
    lose_nothing(headgate, "controller", lambda: restart(headgate.controller, headgate.namespace))
    assert headgate.pods(headgate.proxies) == before, "the proxies stay"
    apply(ingress("after", rule("after.test", ("/", "Prefix", "app"))), busy)
    headgate.wait_for("http://after.test/")


def test_without_any_controller_the_proxies_go_on_and_endpoints_catch_up_later(headgate, busy):
    kubectl("scale", f"deployment/{headgate.controller}", "-n", headgate.namespace, "--replicas=0")
    wait_until("no controller", lambda: not headgate.pods(headgate.controller))
    for _ in range(20):
        assert headgate.get(f"http://{HOST}/").status == 200
    kubectl("scale", f"deployment/{headgate.controller}", "-n", headgate.namespace, "--replicas=1")
    headgate.wait_ready()
    apply(ingress("back", rule("back.test", ("/", "Prefix", "app"))), busy)
    headgate.wait_for("http://back.test/")


def test_scaling_the_proxies_1_3_1(headgate, busy):
    def scale(replicas):
        kubectl("scale", f"deployment/{headgate.proxies}", "-n", headgate.namespace, f"--replicas={replicas}")
        wait_for_rollout(f"deployment/{headgate.proxies}", headgate.namespace)
        wait_until(f"{replicas} proxies", lambda: len(headgate.pods(headgate.proxies)) == replicas)

    scale(1)

    def up_and_down():
        scale(3)
        pods = [p for p in get("pods", "-n", headgate.namespace, "-l", "app.kubernetes.io/component=proxy")
                if "deletionTimestamp" not in p["metadata"]]

        def all_have_answered():
            counts = {p["metadata"]["name"]: answered_by(p["status"]["podIP"]) for p in pods}
            return all(counts.values()) and counts
        print("requests per proxy:", wait_until("requests at each of three proxies", all_have_answered))
        scale(1)
    lose_nothing(headgate, "1 -> 3 -> 1 proxies", up_and_down)
    scale(2)


def answered_by(address):
    text = run("curl", "-sS", "--max-time", "5", f"http://{address}:10254/metrics")
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("headgate_http_requests_received_total"))


def test_scaling_the_application_1_3_1(headgate, busy):
    def scale(replicas):
        kubectl("scale", "deployment/app", "-n", busy, f"--replicas={replicas}")
        wait_for_rollout("deployment/app", busy)

    scale(1)

    def up_and_down():
        scale(3)

        def who():
            return {headgate.get(f"http://{HOST}/").json()["pod"] for _ in range(12)}
        wait_until("answers of three Pods", lambda: len(who()) == 3)
        scale(1)
        wait_until("answers of one Pod", lambda: len(who()) == 1)
    lose_nothing(headgate, "1 -> 3 -> 1 application", up_and_down)


def test_an_upgrade_of_the_chart(headgate, busy):
    def change():
        headgate.upgrade({"controller": {"config": {"proxy-body-size": "1k"}, "podAnnotations": {"changed": "yes"}}})
    lose_nothing(headgate, "helm upgrade", change)
    body = "x" * 4000
    wait_until("the new setting", lambda: headgate.get(f"http://{HOST}/", "-d", body).status == 413)
    pods = headgate.pods(headgate.proxies)
    headgate.upgrade({"controller": {"config": {"proxy-body-size": "8m"}}})
    wait_until("and the next one", lambda: headgate.get(f"http://{HOST}/", "-d", body).status == 200)
    assert headgate.pods(headgate.proxies) == pods, "settings restart nothing"


def test_draining_the_node(headgate, busy):
    """The budget keeps one proxy, since nothing can be scheduled; as soon as something can, the other one goes, too."""
    before = headgate.pods(headgate.proxies)
    selector = f"app.kubernetes.io/instance={headgate.release},app.kubernetes.io/component=proxy"

    def change():
        drain = subprocess.Popen(["kubectl", "drain", "node0", f"--pod-selector={selector}", "--delete-emptydir-data", "--timeout=150s"],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            said = [next(line for line in drain.stdout if "violate the pod's disruption budget" in line)]
            kubectl("uncordon", "node0")
            said += drain.stdout
            assert drain.wait() == 0, said
            print("".join(said))
        finally:
            drain.kill()
            drain.wait()
            kubectl("uncordon", "node0")
        headgate.wait_ready()
    lose_nothing(headgate, "node drain", change)
    assert not set(before) & set(headgate.pods(headgate.proxies))


def test_a_second_controller_tells_the_first_about_its_proxies(headgate):
    """Only one writes, both serve: the leader knows of the proxies that are connected to the other one."""
    headgate.upgrade({"controlPlane": {"replicaCount": 2}})
    try:
        kubectl("rollout", "restart", f"deployment/{headgate.proxies}", "-n", headgate.namespace)
        headgate.wait_ready()
        since = get("pods", "-n", headgate.namespace, "-l", "app.kubernetes.io/component=controller")
        assert len(since) == 2
        for name in headgate.pods(headgate.controller):
            log = kubectl("logs", name, "-n", headgate.namespace, "--since=5s")
            assert "stream refused" not in log and "relay to the leading controller ended" not in log, log
    finally:
        headgate.upgrade({"controlPlane": {"replicaCount": 1}})


def test_two_installations_with_two_classes(headgate, busy, make_namespace):
    second = Installation("second", make_namespace("second"), "second", {"controller": {"replicaCount": 1}})
    try:
        second.install()
        assert second.address != headgate.address
        apply(ingress("of-first", rule("of-first.test", ("/", "Prefix", "app"))), busy)
        apply(ingress("of-second", rule("of-second.test", ("/", "Prefix", "app")), ingress_class="second"), busy)
        headgate.wait_for("http://of-first.test/")
        second.wait_for("http://of-second.test/")
        assert second.get("http://of-first.test/").status == 404 and headgate.get("http://of-second.test/").status == 404

        def status(name):
            return get("ingress", name, "-n", busy)["status"].get("loadBalancer", {}).get("ingress")
        for name, owner in (("of-first", headgate), ("of-second", second)):
            wait_until("the status", lambda n=name, o=owner: status(n) == [{"ip": o.address}])
    finally:
        second.uninstall()


def everything_in(namespace):
    """All objects of a namespace, without those that Kubernetes itself puts into each."""
    kinds = kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
    kinds = [k for k in kinds if not k.startswith("events") and k not in ("bindings",)]
    names = kubectl("get", ",".join(kinds), "-n", namespace, "-o", "name", "--ignore-not-found").split()
    return [n for n in names if n not in ("configmap/kube-root-ca.crt", "serviceaccount/default")]


def test_uninstalling_leaves_nothing_behind(make_namespace, headgate, busy):
    namespace = make_namespace("leaving")
    leaving = Installation("leaving", namespace, "leaving", {
        "controller": {"replicaCount": 1},
        "injector": {"enabled": True, "namespaceSelector": {"matchLabels": {"leaving": "yes"}}}})
    leaving.install()
    apply(ingress("leaving", rule("leaving.test", ("/", "Prefix", "app")), ingress_class="leaving"), busy)
    leaving.wait_for("http://leaving.test/")
    print("before:", everything_in(namespace))
    leaving.uninstall()

    def nothing_is_left():
        left = everything_in(namespace)
        assert not left, left
        return True
    wait_until("nothing left", nothing_is_left)
    cluster_wide = kubectl("get", "clusterroles,clusterrolebindings,ingressclasses,mutatingwebhookconfigurations", "-o", "json",
                           "-l", "app.kubernetes.io/instance=leaving")
    assert not json.loads(cluster_wide)["items"]
    assert headgate.get(f"http://{HOST}/").status == 200, "the other installation does not notice"
