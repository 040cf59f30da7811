"""manifests/: what a user would copy is taken by the API server as it is."""
import pytest
import yaml

from kubernetes import ROOT, get, helm, kubectl

EXAMPLES = ROOT / "manifests" / "examples"
OBJECTS = sorted(f for f in EXAMPLES.glob("*.yaml") if not f.name.startswith("values-"))


@pytest.mark.parametrize("file", OBJECTS, ids=lambda f: f.stem)
def test_an_example_is_valid(file, namespace):
    print(kubectl("apply", "-n", namespace, "--dry-run=server", "-f", file))


def test_examples_of_values_render():
    for file in EXAMPLES.glob("values-*.yaml"):
        helm("template", "headgate", ROOT / "charts" / "headgate", "--kube-version", "1.36.0", "-f", file)


def test_install_yaml_is_valid():
    """Into a cluster that has the namespace, nothing but a dry run: test_install.py installs."""
    file = ROOT / "manifests" / "install.yaml"
    kinds = [o["kind"] for o in yaml.safe_load_all(file.read_text())]
    assert kinds.count("Deployment") == 2 and kinds[0] == "Namespace"
    made = not [n for n in get("namespaces") if n["metadata"]["name"] == "headgate"]
    if made:
        kubectl("create", "namespace", "headgate")
    try:
        print(kubectl("apply", "--dry-run=server", "-f", file))
    finally:
        if made:
            kubectl("delete", "namespace", "headgate", "--wait=true")
