"""Sidecars in real Pods: one label and one annotation; each test is one scenario, and prints what it saw (-s shows it)."""
import json

import pytest

from certificates import Authority
from clients import Load
from kubernetes import ECHO_IMAGE, HEADGATE_IMAGE, apply, curl, get, kubectl, run, wait_for_rollout, wait_until

SIDECAR = "headgate-proxy"
SECURITY = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


@pytest.fixture(scope="module", autouse=True)
def injector(headgate):
    """Switched on for this file: the webhook serves as soon as the leader has written its roots into it."""
    headgate.upgrade({"injector": {"enabled": True}})

    def filled_in():
        found = get("mutatingwebhookconfigurations", "-l", "app.kubernetes.io/instance=headgate")
        return found and all(w["clientConfig"].get("caBundle") for w in found[0]["webhooks"])
    wait_until("the roots of the webhook", filled_in)
    yield headgate
    headgate.upgrade({"injector": {"enabled": False}})
    assert not get("mutatingwebhookconfigurations", "-l", "app.kubernetes.io/instance=headgate")


def pod_spec(*arguments, **more):
    container = {"name": "app", "image": ECHO_IMAGE, "imagePullPolicy": "IfNotPresent", "args": ["-linger", "1s", *arguments],
                 "securityContext": SECURITY, **more.pop("container", {})}
    return {"securityContext": {**POD_SECURITY, **more.pop("security", {})}, "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 5, "containers": [container], **more}


def pod(name, annotations, *arguments, inject="explicit", **more):
    """A Pod that asks for a sidecar with these annotations (without the prefix)."""
    return {"apiVersion": "v1", "kind": "Pod", "spec": pod_spec(*arguments, **more),
            "metadata": {"name": name, "labels": {"app": name, "headgate.dev/inject": inject},
                         "annotations": {f"headgate.dev/{key}": value for key, value in annotations.items()}}}


def start(namespace, made):
    """Creates the Pod; its description as soon as it is ready."""
    name = made["metadata"]["name"]
    apply(json.dumps(made), namespace)
    kubectl("wait", f"pod/{name}", "-n", namespace, "--for=condition=Ready", "--timeout=120s")
    found = get("pod", name, "-n", namespace)
    said = {s["name"]: (s["ready"], s["restartCount"]) for s in sidecars(found) + found["status"]["containerStatuses"]}
    print(f"{name} at {found['status']['podIP']}: containers (ready, restarts) {said}")
    return found


def sidecars(found):
    return [s for s in found["status"].get("initContainerStatuses", []) if s["name"] == SIDECAR]


def refused(namespace, made):
    done = kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(made), check=False)
    assert done.returncode != 0, "it was taken"
    print("refused:", done.stderr.strip())
    return done.stderr


def secret(namespace, folder, name, host):
    authority = Authority(folder, name)
    cert, key = authority.issue(name, host)
    kubectl("create", "secret", "tls", name, "-n", namespace, f"--cert={cert}", f"--key={key}")
    return authority


def config_map(name, body):
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"config.json": body}})


def answering(body):
    """A file whose listener answers with this body."""
    return json.dumps({"listen": [{"name": "web", "uri": "http://:8080"}],
                       "dispatch": [{"listener": "web", "handler": "respond", "status": 200, "body": body}]})


def test_tls_to_the_local_port_of_the_application(namespace, tmp_path):
    """The application listens on 127.0.0.1 only: what others reach is the sidecar, with its certificate."""
    authority = secret(namespace, tmp_path, "web-tls", "web.test")
    found = start(namespace, pod("web", {"preset": "tls:8443->3000", "tls-secret": "web-tls"}, "-http", "127.0.0.1:3000"))
    sidecar = found["spec"]["initContainers"][0]
    assert sidecar["name"] == SIDECAR and sidecar["restartPolicy"] == "Always" and sidecar["image"] == HEADGATE_IMAGE
    answer = curl("https://web.test:8443/hello", "--cacert", authority.cert, address=found["status"]["podIP"])
    print(answer)
    assert answer.status == 200 and answer.json()["path"] == "/hello" and answer.json()["headers"]["X-Forwarded-Proto"] == ["https"]
    with pytest.raises(AssertionError):
        curl(f"http://{found['status']['podIP']}:3000/")


def test_tcp_lines_leave_as_statsd_datagrams(namespace):
    start(namespace, pod("statsd", {}, "-udp", ":8125", inject="disabled"))
    collector = get("pod", "statsd", "-n", namespace)["status"]["podIP"]
    app = start(namespace, pod("app", {"preset": f"statsd:tcp/9000->udp/{collector}:8125"}))["status"]["podIP"]
    for number in range(5):
        assert curl(f"http://{app}:8080/say/127.0.0.1:9000?shop.orders:{number}|c").status == 200
    seen = wait_until("five datagrams", lambda: (d := curl(f"http://{collector}:8080/datagrams").body.split()) and len(d) == 5 and d)
    print("the collector got:", seen)
    assert sorted(seen) == [f"shop.orders:{number}|c" for number in range(5)]


def test_a_unix_socket_of_the_application(namespace):
    """In a volume that both see; the group of the Pod's volumes lets the sidecar in."""
    made = pod("socket", {"preset": "http:8080->unix:/run/app/app.sock"}, "-http", "unix:/run/app/app.sock",
               security={"fsGroup": 20000}, volumes=[{"name": "run", "emptyDir": {}}],
               container={"volumeMounts": [{"name": "run", "mountPath": "/run/app"}]})
    found = start(namespace, made)
    answer = wait_until("an answer", lambda: (a := curl(f"http://{found['status']['podIP']}:8080/through")).status == 200 and a)
    print(answer)
    assert answer.json()["path"] == "/through"


@pytest.mark.deadline(400)
def test_a_change_of_the_config_map_is_a_reload(namespace):
    """Under load, without a restart; a broken file changes nothing, and the next good one is taken again."""
    apply(config_map("site", answering("first")), namespace)
    found = start(namespace, pod("site", {"config-map": "site"}, "-http", "127.0.0.1:3000"))
    address = found["status"]["podIP"]
    assert "first" in curl(f"http://{address}:8080/").body

    def apply_and_wait(body, what, condition):
        apply(config_map("site", body), namespace)
        kubectl("annotate", "pod", "site", "-n", namespace, "--overwrite", f"test/step={what}")  # wakes the kubelet
        return wait_until(what, condition)

    with Load(8080, address=address, host="site.test", target="/", connections=4, pause=0.01,
              check=lambda body: body in ("first", "second", "third")) as load:
        apply_and_wait(answering("second"), "second", lambda: "second" in curl(f"http://{address}:8080/").body)
        refusals = apply_and_wait('{"listen": [}', "broken", lambda: [
            line for line in kubectl("logs", "site", "-n", namespace, "-c", SIDECAR).splitlines() if "config.json:1:" in line])
        print("the sidecar says:", refusals[0])
        assert "second" in curl(f"http://{address}:8080/").body
        apply_and_wait(answering("third"), "third", lambda: "third" in curl(f"http://{address}:8080/").body)
        print("meanwhile:", load.assert_nothing_lost(at_least=50))
    after = sidecars(get("pod", "site", "-n", namespace))[0]
    assert after["containerID"] == sidecars(found)[0]["containerID"] and after["restartCount"] == 0


def test_a_pod_waits_for_its_config_map(namespace):
    made = pod("early", {"config-map": "late"}, "-http", "127.0.0.1:3000")
    done = kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(made), check=False)
    print(done.stdout + done.stderr)
    assert done.returncode == 0 and "the Pod waits for it" in done.stderr, "admitted, with a warning"
    apply(config_map("late", answering("late")), namespace)
    kubectl("wait", "pod/early", "-n", namespace, "--for=condition=Ready", "--timeout=150s")
    assert "late" in curl(f"http://{get('pod', 'early', '-n', namespace)['status']['podIP']}:8080/").body


def test_a_broken_configuration_is_refused_with_line_and_path(namespace):
    said = refused(namespace, pod("broken", {"config": '{\n  "listen": ["http://:8080"],\n  "lisen": []\n}'}))
    assert "headgate.dev/config:3:" in said and "lisen" in said
    apply(config_map("site", '{\n  "listen": [\n    {"name": "web", "uri": "ftp://:1"}\n  ]\n}'), namespace)
    said = refused(namespace, pod("mapped", {"config-map": "site"}))
    assert "ConfigMap site/config.json:3:" in said and "listen[0].uri" in said
    assert "preste" in refused(namespace, pod("misspelt", {"preste": "tls:8443->3000"}))
    assert "tls-secret" in refused(namespace, pod("bare", {"preset": "tls:8443->3000"}))


def test_a_refused_pod_of_a_deployment_is_an_event(namespace):
    made = pod("unused", {"config": '{ "listen": 1 }'})
    del made["metadata"]["name"]
    template = {"metadata": made["metadata"], "spec": made["spec"]}
    apply(json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
                      "spec": {"selector": {"matchLabels": {"app": "unused"}}, "template": template}}), namespace)

    def events():
        seen = [e for e in get("events", "-n", namespace) if e["involvedObject"]["kind"] == "ReplicaSet"]
        seen = [e for e in seen if e["reason"] in ("SidecarRefused", "FailedCreate")]
        return seen if len({e["reason"] for e in seen}) == 2 else None
    found = wait_until("the webhook's Event and the ReplicaSet's own", events)
    for event in found:
        print(event["reason"], event["involvedObject"]["name"], event["message"])
        assert "headgate.dev/config:1:" in event["message"]


def test_a_job_with_a_sidecar_completes(namespace):
    """Its one request goes through the sidecar, which is there before it and ends after it."""
    made = pod("job", {"config": answering("for the job")}, "-get", "http://127.0.0.1:8080/work", restartPolicy="Never")
    apply(json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"},
                      "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": made["metadata"]["labels"],
                                                                          "annotations": made["metadata"]["annotations"]},
                                                             "spec": made["spec"]}}}), namespace)
    kubectl("wait", "job/work", "-n", namespace, "--for=condition=Complete", "--timeout=120s")
    print("the Job:", kubectl("logs", "job/work", "-n", namespace, "-c", "app"))
    done = get("pods", "-n", namespace, "-l", "job-name=work")[0]
    ended = sidecars(done)[0]["state"]["terminated"]
    print("its sidecar:", ended)
    assert done["status"]["phase"] == "Succeeded" and ended["exitCode"] == 0


def test_a_namespace_asks_for_all_its_pods_and_one_declines(make_namespace):
    namespace = make_namespace("opted-in")
    kubectl("label", "namespace", namespace, "headgate.dev/inject=explicit")
    kubectl("annotate", "namespace", namespace, "headgate.dev/preset=http:8080->3000")
    made = pod("taken", {}, "-http", "127.0.0.1:3000")
    del made["metadata"]["labels"]["headgate.dev/inject"]
    assert curl(f"http://{start(namespace, made)['status']['podIP']}:8080/").status == 200
    assert "initContainers" not in start(namespace, pod("declined", {}, inject="disabled"))["spec"]


def test_kube_system_and_headgate_itself_are_never_touched(injector):
    for namespace in ("kube-system", injector.namespace):
        made = json.dumps(pod("asks", {"preset": "http:8080->3000"}))
        shown = json.loads(kubectl("create", "-n", namespace, "--dry-run=server", "-o", "json", "-f", "-", stdin=made))
        print(namespace, [c["name"] for c in shown["spec"].get("initContainers", []) + shown["spec"]["containers"]])
        assert "initContainers" not in shown["spec"]
    kubectl("rollout", "restart", "deployment/coredns", "-n", "kube-system")
    wait_for_rollout("deployment/coredns", "kube-system")


def test_a_dry_run_shows_the_sidecar_and_does_nothing(namespace):
    made = json.dumps(pod("shown", {"preset": "http:8080->3000"}))
    shown = json.loads(kubectl("create", "-n", namespace, "--dry-run=server", "-o", "json", "-f", "-", stdin=made))
    assert shown["spec"]["initContainers"][0]["name"] == SIDECAR and "headgate.dev/status" in shown["metadata"]["annotations"]
    assert not get("pods", "-n", namespace)


def test_without_a_controller_opted_in_pods_wait_and_others_do_not(injector, namespace):
    """failurePolicy Fail: a Deployment's Pods are made as soon as a controller is back."""
    kubectl("scale", f"deployment/{injector.controller}", "-n", injector.namespace, "--replicas=0")
    try:
        selector = f"app.kubernetes.io/instance={injector.release},app.kubernetes.io/component=controller"
        wait_until("no controller, be it one that is ending", lambda: not get("pods", "-n", injector.namespace, "-l", selector))
        said = refused(namespace, pod("waits", {"preset": "http:8080->3000"}))
        assert "injector.headgate.dev" in said
        plain = pod("plain", {}, inject="disabled")
        del plain["metadata"]["labels"]["headgate.dev/inject"]
        start(namespace, plain)
    finally:
        kubectl("scale", f"deployment/{injector.controller}", "-n", injector.namespace, "--replicas=1")
        injector.wait_ready()

    def taken():
        kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(pod("waits", {"preset": "http:8080->3000"}, "-http", "127.0.0.1:3000")))
        return True
    wait_until("a sidecar again", taken)
    kubectl("wait", "pod/waits", "-n", namespace, "--for=condition=Ready", "--timeout=120s")


def test_the_metric_counts(injector):
    pods = get("pods", "-n", injector.namespace, "-l", "app.kubernetes.io/component=controller")
    text = "".join(run("curl", "-sS", f"http://{p['status']['podIP']}:9901/metrics") for p in pods)
    lines = [line for line in text.splitlines() if line.startswith("headgate_injections_total{")]
    print("\n".join(lines))
    assert lines
