"""The cluster itself: when these fail, look at no other test."""
import kubernetes
from kubernetes import apply, curl, echo_application, get, kubectl, wait_for_rollout, wait_until


def test_the_node_is_ready():
    conditions = {c["type"]: c["status"] for node in get("nodes") for c in node["status"]["conditions"]}
    assert conditions["Ready"] == "True", conditions


def test_a_pod_of_a_loaded_image_answers_at_both_addresses_of_its_service(namespace):
    apply(echo_application("app", service_type="LoadBalancer"), namespace)
    wait_for_rollout("deployment/app", namespace)
    cluster_ip = get("service", "app", "-n", namespace)["spec"]["clusterIP"]
    load_balancer = kubernetes.address_of("app", namespace)
    for address in (cluster_ip, load_balancer):
        answer = wait_until(f"an answer at {address}", lambda a=address: curl(f"http://{a}/hello"))
        print(address, answer)
        assert answer.status == 200 and answer.json()["path"] == "/hello" and answer.json()["pod"].startswith("app-")


def test_a_name_of_a_service_resolves_in_a_pod(namespace):
    apply(echo_application("app"), namespace)
    wait_for_rollout("deployment/app", namespace)
    dns = get("service", "kube-dns", "-n", "kube-system")["spec"]["clusterIP"]
    cluster_ip = get("service", "app", "-n", namespace)["spec"]["clusterIP"]
    url = f"http://app.{namespace}.svc.cluster.local/"

    def resolved():
        return curl(url, "--resolve", f"app.{namespace}.svc.cluster.local:80:{_lookup(url.split('/')[2], dns)}")
    assert wait_until("an answer by name", resolved).status == 200
    assert _lookup(url.split("/")[2], dns) == cluster_ip


def _lookup(name, server):
    """One A query, written out: no DNS client is needed on the machine."""
    import socket
    import struct
    query = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0)
    query += b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(query, (server, 53))
        answer = sock.recv(4096)
    assert answer[3] & 15 == 0 and struct.unpack(">H", answer[6:8])[0] >= 1, f"{name}: {answer!r}"
    return ".".join(map(str, answer[-4:]))


def test_privileged_pods_are_refused_in_the_namespaces_of_the_tests(namespace):
    """So that a test which passes here shows that its Pods fit the restricted profile."""
    done = kubectl("run", "bad", "-n", namespace, f"--image={kubernetes.ECHO_IMAGE}", "--privileged", check=False)
    assert done.returncode != 0 and "violates PodSecurity" in done.stderr, done.stderr
