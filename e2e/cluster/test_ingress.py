"""The Ingress API as its reference has it, through the LoadBalancer address of an installed chart."""
import pytest

from certificates import Authority
from installation import CLASS, ingress, rule
from kubernetes import apply, echo_application, get, kubectl, wait_for_rollout, wait_until

SERVICES = ("first", "second", "third", "fallback")
NOT_FOUND = None


@pytest.fixture(scope="module")
def site(headgate, shared_namespace):
    """A namespace with four applications."""
    for name in SERVICES:
        apply(echo_application(name, linger="0s"), shared_namespace)
    for name in SERVICES:
        wait_for_rollout(f"deployment/{name}", shared_namespace)
    return shared_namespace


# (paths of the Ingress, request, who answers): the table "Examples" of the Ingress API, and what it says in words.
# /foo of a prefix /foo/ is where ingress-nginx redirects to /foo/ instead of serving it, and Headgate does as it does.
E, P = "Exact", "Prefix"
SLASH = "redirected to the path with a slash"
PATHS = [
    ([("/", P)], "/", 0), ([("/", P)], "/any/path", 0), ([("/", P)], "/x?query=/foo", 0),
    ([("/foo", E)], "/foo", 0), ([("/foo", E)], "/foo?a=b", 0), ([("/foo", E)], "/bar", NOT_FOUND),
    ([("/foo", E)], "/foo/", NOT_FOUND), ([("/foo/", E)], "/foo", NOT_FOUND), ([("/foo/", E)], "/foo/", 0),
    ([("/foo", E)], "/FOO", NOT_FOUND), ([("/foo", E)], "/foo/bar", NOT_FOUND),
    ([("/foo", P)], "/foo", 0), ([("/foo", P)], "/foo/", 0), ([("/foo/", P)], "/foo", SLASH), ([("/foo/", P)], "/foo/", 0),
    ([("/foo", P)], "/Foo", NOT_FOUND), ([("/foo", P)], "/foobar", NOT_FOUND),
    ([("/aaa/bb", P)], "/aaa/bbb", NOT_FOUND), ([("/aaa/bbb", P)], "/aaa/bbb", 0), ([("/aaa/bbb/", P)], "/aaa/bbb", SLASH),
    ([("/aaa/bbb", P)], "/aaa/bbb/", 0), ([("/aaa/bbb", P)], "/aaa/bbb/ccc", 0), ([("/aaa/bbb", P)], "/aaa/bbbxyz", NOT_FOUND),
    ([("/", P), ("/aaa", P)], "/aaa/ccc", 1), ([("/", P), ("/aaa", P), ("/aaa/bbb", P)], "/aaa/bbb", 2),
    ([("/", P), ("/aaa", P), ("/aaa/bbb", P)], "/ccc", 0), ([("/aaa", P)], "/ccc", NOT_FOUND),
    ([("/foo", P), ("/foo", E)], "/foo", 1), ([("/foo", E), ("/foo", P)], "/foo/bar", 1),
    ([("/aaa", P), ("/aaa/bbb", E)], "/aaa/bbb", 1), ([("/aaa", P), ("/aaa/bbb", E)], "/aaa/bbb/", 0),
]


def test_paths(headgate, site):
    """Each row is a host of its own, all of them are one Ingress; one request per row."""
    hosts = [f"row{number}.example.test" for number in range(len(PATHS))]
    rules = [rule(host, *((path, kind, SERVICES[n]) for n, (path, kind) in enumerate(paths)))
             for host, (paths, _, _) in zip(hosts, PATHS)]
    apply(ingress("paths", ", ".join(rules)), site)
    headgate.wait_for(f"http://{hosts[0]}/")
    wrong = []
    for host, (paths, request, expected) in zip(hosts, PATHS):
        answer = headgate.get(f"http://{host}{request}")
        got = answer
        if answer.status in (200, 404):
            got = SERVICES.index(answer.json()["service"]) if answer.status == 200 else NOT_FOUND
        elif answer.headers.get("location") == f"http://{host}{request}/":
            got = SLASH
        print(f"{paths} {request} -> {got}")
        if got != expected:
            wrong.append(f"{paths} {request}: {got}, expected {expected}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("rule_host, host, matches", [
    ("exact.test", "exact.test", True), ("exact.test", "EXACT.test", True), ("exact.test", "www.exact.test", False),
    ("*.wild.test", "a.wild.test", True), ("*.wild.test", "a.b.wild.test", False), ("*.wild.test", "wild.test", False),
])
def test_hosts(headgate, site, rule_host, host, matches):
    apply(ingress("hosts", rule(rule_host, ("/", P, "first")) + ", " + rule("marker.test", ("/" + rule_host.strip("*."), E, "first"))), site)
    headgate.wait_for(f"http://marker.test/{rule_host.strip('*.')}")
    answer = headgate.get(f"http://{host}/")
    assert answer.status == (200 if matches else 404), answer


def test_an_exact_host_wins_over_a_wildcard(headgate, site):
    apply(ingress("wild", rule("*.both.test", ("/", P, "first")) + ", " + rule("one.both.test", ("/", P, "second"))), site)
    assert headgate.wait_for("http://one.both.test/").json()["service"] == "second"
    assert headgate.wait_for("http://two.both.test/").json()["service"] == "first"


def test_several_objects_are_one_host(headgate, site):
    apply(ingress("part-one", rule("parts.test", ("/one", P, "first"))), site)
    apply(ingress("part-two", rule("parts.test", ("/two", P, "second"))), site)
    assert headgate.wait_for("http://parts.test/one").json()["service"] == "first"
    assert headgate.wait_for("http://parts.test/two").json()["service"] == "second"
    kubectl("delete", "ingress", "part-one", "-n", site)
    headgate.wait_for("http://parts.test/one", 404)
    assert headgate.get("http://parts.test/two").json()["service"] == "second"


def test_what_the_application_sees(headgate, site):
    apply(ingress("seen", rule("seen.test", ("/", P, "first"))), site)
    headgate.wait_for("http://seen.test/")
    seen = headgate.get("http://seen.test/a?b=c", "-H", "X-Own: 1", "-d", "12345").json()
    assert seen["host"] == "seen.test" and seen["path"] == "/a?b=c" and seen["method"] == "POST" and seen["bodyBytes"] == 5
    assert seen["headers"]["X-Own"] == ["1"] and seen["headers"]["X-Forwarded-Proto"] == ["http"], seen
    assert seen["headers"]["X-Forwarded-Host"] == ["seen.test"]


def test_the_address_is_in_the_status(headgate, site):
    apply(ingress("status", rule("status.test", ("/", P, "first"))), site)

    def published():
        return get("ingress", "status", "-n", site)["status"].get("loadBalancer", {}).get("ingress")
    assert wait_until("the status", published) == [{"ip": headgate.address}]


@pytest.mark.parametrize("ingress_class, annotation, served", [
    (CLASS, "", True), ("another", "", False), ("", "", False), ("", f"kubernetes.io/ingress.class: {CLASS}", True),
    ("", "kubernetes.io/ingress.class: another", False),
])
def test_classes(headgate, site, ingress_class, annotation, served):
    kubectl("delete", "ingress", "class", "-n", site, "--ignore-not-found")
    apply(ingress("class-marker", rule("class-marker.test", ("/" + (ingress_class or "none") + str(len(annotation)), E, "first"))), site)
    apply(ingress("class", rule("class.test", ("/", P, "first")), ingress_class=ingress_class, annotations=annotation), site)
    headgate.wait_for(f"http://class-marker.test/{ingress_class or 'none'}{len(annotation)}")
    if served:
        headgate.wait_for("http://class.test/")
    else:
        headgate.wait_for("http://class.test/", 404)
    kubectl("delete", "ingress", "class", "-n", site)


def test_tls_by_host(headgate, site, tmp_path):
    """Two hosts, two certificates of two authorities; plain requests are sent to HTTPS."""
    for name in ("shop", "bank"):
        cert, key = Authority(tmp_path / name, name).issue(name, f"{name}.test")
        kubectl("create", "secret", "tls", f"{name}-tls", "-n", site, f"--cert={cert}", f"--key={key}")
    tls = ", ".join(f"{{hosts: [{name}.test], secretName: {name}-tls}}" for name in ("shop", "bank"))
    apply(ingress("tls", rule("shop.test", ("/", P, "first")) + ", " + rule("bank.test", ("/", P, "second")), tls=tls), site)

    def verified(name):
        return headgate.get(f"https://{name}.test/", "--cacert", tmp_path / name / "ca.pem")
    for name, service in (("shop", "first"), ("bank", "second")):
        answer = wait_until(f"verified TLS for {name}", lambda n=name: (a := verified(n)).status == 200 and a)
        print(name, answer)
        assert answer.json()["service"] == service and answer.json()["headers"]["X-Forwarded-Proto"] == ["https"]
        assert "max-age=31536000" in answer.headers["strict-transport-security"]
        redirect = headgate.get(f"http://{name}.test/path?q=1")
        assert redirect.status == 308 and redirect.headers["location"] == f"https://{name}.test/path?q=1", redirect
    with pytest.raises(AssertionError):
        headgate.get("https://shop.test/", "--cacert", tmp_path / "bank" / "ca.pem")


def test_a_renewed_certificate_is_used_without_a_restart(headgate, site, tmp_path):
    host = "renewed.test"
    old, new = (Authority(tmp_path / age, age) for age in ("old", "new"))
    cert, key = old.issue("leaf", host)
    kubectl("create", "secret", "tls", "renewed", "-n", site, f"--cert={cert}", f"--key={key}")
    apply(ingress("renewed", rule(host, ("/", P, "first")), tls=f"{{hosts: [{host}], secretName: renewed}}"), site)
    wait_until("the old one", lambda: headgate.get(f"https://{host}/", "--cacert", old.cert).status == 200)
    pods = headgate.pods(headgate.proxies)
    cert, key = new.issue("leaf", host)
    apply(kubectl("create", "secret", "tls", "renewed", f"--cert={cert}", f"--key={key}", "--dry-run=client", "-o", "yaml"), site)
    wait_until("the new one", lambda: headgate.get(f"https://{host}/", "--cacert", new.cert).status == 200)
    assert headgate.pods(headgate.proxies) == pods


def test_a_missing_secret_is_an_event_and_the_other_hosts_stay(headgate, site):
    apply(ingress("healthy", rule("healthy.test", ("/", P, "first"))), site)
    headgate.wait_for("http://healthy.test/")
    apply(ingress("broken", rule("broken.test", ("/", P, "first")), tls="{hosts: [broken.test], secretName: nosuch}"), site)

    def events():
        return [e["message"] for e in get("events", "-n", site) if e["involvedObject"]["name"] == "broken"]
    print(wait_until("an Event that names the Secret", lambda: [m for m in events() if "nosuch" in m]))
    assert headgate.get("http://healthy.test/").status == 200


def test_a_service_without_endpoints_is_503(headgate, site):
    kubectl("create", "service", "clusterip", "empty", "--tcp=80:8080", "-n", site)
    apply(ingress("empty", rule("empty.test", ("/", P, "empty"))), site)
    headgate.wait_for("http://empty.test/", 503)


def test_default_backends(headgate, site):
    """That of an Ingress takes the rest of its hosts; that of one without rules takes all other hosts."""
    apply(ingress("some", rule("some.test", ("/one", P, "first")), default_backend="second"), site)
    assert headgate.wait_for("http://some.test/one").json()["service"] == "first"
    assert headgate.get("http://some.test/two").json()["service"] == "second"
    apply(ingress("left", default_backend="fallback"), site)
    assert headgate.wait_for("http://nobody.test/nothing").json()["service"] == "fallback"
    assert headgate.get("http://some.test/two").json()["service"] == "second"
    kubectl("delete", "ingress", "left", "-n", site)
    headgate.wait_for("http://nobody.test/nothing", 404)
