"""The chart without a cluster: what it renders, what it refuses, and values files of ingress-nginx."""
import copy
import os
import re

import pytest
import yaml

from kubernetes import ROOT, helm, run

CHART = ROOT / "charts" / "headgate"
GOLDEN = ROOT / "tests" / "golden" / "chart"
CASES = ["defaults", "daemonset-hostport", "everything"]


def render(*arguments, check=True, values=None):
    if values is not None:
        arguments += ("-f", "-")
    done = helm("template", "edge", CHART, "-n", "edge-system", "--kube-version", "1.36.0", *arguments, check=False,
                stdin=None if values is None else yaml.safe_dump(values))
    if check:
        assert done.returncode == 0, done.stderr
        return done.stdout
    return done


def objects(text):
    return [found for found in yaml.safe_load_all(text) if found]


def named(found, kind, name):
    return next(o for o in found if o["kind"] == kind and o["metadata"]["name"] == name)


def test_lint():
    print(helm("lint", "--strict", CHART))


def test_what_is_made_of_the_sources_is_up_to_date():
    """values.schema.json, the table in the chart's README, manifests/install.yaml."""
    done = run("/usr/bin/python3", ROOT / "charts" / "render", "--check", check=False)
    assert done.returncode == 0, f"run charts/render:\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("name", CASES)
def test_rendered_as_before(name):
    """HG_UPDATE_GOLDEN=1 writes what is rendered now."""
    text = render("-f", GOLDEN / f"{name}.values.yaml")
    golden = GOLDEN / f"{name}.yaml"
    if os.environ.get("HG_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text(), f"{golden} differs; HG_UPDATE_GOLDEN=1 after a look at the difference"


@pytest.mark.parametrize("values, message", [
    ("controller.replicaCnt=2", "replicaCnt"),
    ("contoller.replicaCount=2", "contoller"),
    ("controller.service.tpye=NodePort", "tpye"),
    ("controller.kind=Both", "kind"),
    ("controller.replicaCount=two", "replicaCount"),
    ("controller.image.digest=sha256:short", "digest"),
    ("tcp.x=a/b:1", "x"),
    ("tcp.9000=nonsense", "9000"),
    ("tcp.8080=a/b:1", "port 8080 is one of the proxies' own"),
    ("controlPlane.logLevel=loud", "logLevel"),
    ("controller.admissionWebhooks.enabled=true", "problems are Events"),
    ("controller.allowSnippetAnnotations=true", "there are no snippets"),
    ("controller.extraArgs.enable-ssl-passthrough=true", "controlPlane.extraArgs"),
    ("controller.image.image=ingress-nginx/controller", "names an image of ingress-nginx"),
    ("controller.lifecycle.preStop.exec.command={/wait-shutdown}", "controller.shutdownDelaySeconds"),
])
def test_a_wrong_value_is_refused(values, message):
    done = render("--set", values, check=False)
    assert done.returncode != 0 and message in done.stderr, done.stderr or "rendered"


def leaves(values, path=()):
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def without(values, path):
    """A copy without one key; parents that are empty then go, too."""
    rest = copy.deepcopy(values)
    trail = [rest]
    for key in path[:-1]:
        trail.append(trail[-1][key])
    del trail[-1][path[-1]]
    for parent, key in reversed(list(zip(trail, path[:-1]))):
        if not parent[key]:
            del parent[key]
    return rest


def only(path, value):
    for key in reversed(path):
        value = {key: value}
    return value


# What each file names that Headgate does not have. All else must change what is rendered, or be the default here.
REFUSED = {
    "ingress-nginx-aws": {"controller.admissionWebhooks", "controller.allowSnippetAnnotations", "controller.lifecycle", "defaultBackend"},
    "ingress-nginx-bare-metal": {"controller.reportNodeInternalIp", "controller.extraArgs.enable-ssl-passthrough",
                                 "controller.livenessProbe.httpGet"},
    "ingress-nginx-internal": {"controller.electionID", "controller.ingressClassByName", "controller.image.runAsUser",
                               "controller.image.chroot"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_values_of_ingress_nginx_are_honoured_or_refused_by_name(name):
    values = yaml.safe_load((GOLDEN / f"{name}.values.yaml").read_text())
    refused = set()
    while (done := render(check=False, values=values)).returncode != 0:
        found = re.search(r"\b([a-zA-Z.-]+): Headgate does not have", done.stderr)
        assert found, f"no message of ours: {done.stderr}"
        print(found.string[found.start():].splitlines()[0])
        refused.add(found[1])
        values = without(values, found[1].split("."))
    assert refused == REFUSED[name]

    defaults, plain = yaml.safe_load((CHART / "values.yaml").read_text()), render()
    for path, value in leaves(values):
        here = defaults
        for key in path:
            here = here.get(key) if isinstance(here, dict) else None
        changes = render(values=without(values, path)) != done.stdout
        if not changes and value != here:  # replicaCount beside autoscaling, dnsPolicy beside hostNetwork
            changes = render(values=only(path, value)) != plain
        off = path[-1] == "enabled" and value is False
        assert changes or value == here or off, f"{'.'.join(map(str, path))} is taken and does nothing"


def test_the_command_of_the_page_for_migrants(tmp_path):
    """As it stands on the page, with a values file of ingress-nginx that has lost what is refused."""
    command = re.search(r"^ +helm (install .* -f ingress-nginx-values.yaml)$", (CHART / "ingress-nginx.md").read_text(), re.M)[1]
    values = yaml.safe_load((GOLDEN / "ingress-nginx-aws.values.yaml").read_text())
    for key in (*REFUSED["ingress-nginx-aws"], "controller.metrics.serviceMonitor"):  # this cluster has no kind for the last
        values = without(values, key.split("."))
    file = tmp_path / "ingress-nginx-values.yaml"
    file.write_text(yaml.safe_dump(values))
    words = [{"charts/headgate": CHART, file.name: file}.get(word, word) for word in command.split()]
    done = helm(*words, "--dry-run=client")
    assert "STATUS: pending-install" in done and "kind: IngressClass" in done, done[:500]


def test_all_pods_fit_the_restricted_profile():
    """By the fields; test_install.py has the API server's word."""
    for found in objects(render()):
        if found["kind"] not in ("Deployment", "DaemonSet"):
            continue
        pod = found["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_proxies_have_no_rights_and_the_controller_few():
    found = objects(render())
    proxies = named(found, "Deployment", "edge-headgate")["spec"]["template"]["spec"]
    assert proxies["automountServiceAccountToken"] is False
    bound = {s["name"] for o in found if o["kind"].endswith("RoleBinding") or o["kind"] == "RoleBinding" for s in o["subjects"]}
    assert bound == {"edge-headgate-controller"}
    rules = [rule for o in found if o["kind"] in ("ClusterRole", "Role") for rule in o["rules"]]
    assert not any("*" in rule["verbs"] + rule["resources"] + rule["apiGroups"] for rule in rules)
    assert not any("delete" in rule["verbs"] for rule in rules)
    assert not any("mutatingwebhookconfigurations" in rule["resources"] for rule in rules), "the injector is off"
    secrets = [rule for rule in rules if "secrets" in rule["resources"] and set(rule["verbs"]) & {"update", "patch"}]
    assert all(rule.get("resourceNames") for rule in secrets), "only Secrets of its own may be changed"


def test_a_scoped_installation_reads_secrets_of_one_namespace_only():
    found = objects(render("--set", "controller.scope.enabled=true,controller.scope.namespace=shop"))
    everywhere = [rule for o in found if o["kind"] == "ClusterRole" for rule in o["rules"]]
    assert not any({"secrets", "ingresses", "services", "pods"} & set(rule["resources"]) for rule in everywhere)
    there = next(o for o in found if o["kind"] == "Role" and o["metadata"]["namespace"] == "shop")
    assert any("secrets" in rule["resources"] for rule in there["rules"])


def test_an_upgrade_of_any_value_keeps_what_is_immutable():
    """Selectors, roleRefs, the controller of the class: Kubernetes refuses to change them."""
    def immutable(text):
        return {(o["kind"], o["metadata"]["name"]): (o.get("spec", {}).get("selector") if o["kind"] in ("Deployment", "DaemonSet")
                                                      else o.get("roleRef")) for o in objects(text)
                if o["kind"] in ("Deployment", "DaemonSet", "RoleBinding", "ClusterRoleBinding")}
    before = immutable(render())
    changed = {"commonLabels": {"a": "b"}, "controller": {"podLabels": {"c": "d"}, "image": {"tag": "2"}, "replicaCount": 5,
                                                         "labels": {"e": "f"}}, "injector": {"enabled": True}}
    after = immutable(render(values=changed))
    assert before == {key: after[key] for key in before}
