"""The commands of the documents that need a cluster, typed as they stand: those with `<!-- run on a cluster -->` before them."""
import os
import re
import subprocess

import pytest

from kubernetes import PATIENCE, ROOT, kubectl, run

MARK = re.compile(r"<!-- run on a cluster -->\n```sh\n(.*?)```", re.S)

PROGRAMS = {**os.environ, "PATH": f"{ROOT / 'build'}:{os.environ['PATH']}"}


def snippets():
    for document in [ROOT / "README.md", *sorted((ROOT / "charts").rglob("*.md")), *sorted((ROOT / "controlplane").rglob("*.md"))]:
        for number, match in enumerate(MARK.finditer(document.read_text())):
            yield pytest.param(match[1], id=f"{document.relative_to(ROOT)}-{number}")


@pytest.fixture
def tidy():
    """What a reader would type to be rid of it; install.yaml and the chart put the same objects into the same namespace."""
    yield
    run("helm", "uninstall", "headgate", "-n", "headgate", "--ignore-not-found", "--wait")
    # A namespace with Pods that may take 300 s to end is looked at again only after half of that: Pods first.
    kubectl("delete", "deployments", "--all", "-n", "headgate", "--cascade=foreground")
    kubectl("delete", "-f", ROOT / "manifests" / "install.yaml", "--ignore-not-found")
    kubectl("delete", "--ignore-not-found", "--wait=false", "-n", "default",
            *(part for name in ("application", "ingress", "sidecar") for part in ("-f", ROOT / "manifests" / "examples" / f"{name}.yaml")))


def test_the_three_ways_are_there():
    text = "".join(p.values[0] for p in snippets())
    assert "helm install" in text and "manifests/install.yaml" in text and "sidecar.yaml" in text


@pytest.mark.parametrize("text", snippets())
def test_snippet(text, tidy):
    """In the root of the tree. A `#=> text` after a command is what it prints."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=ROOT, env=PROGRAMS, capture_output=True, text=True, timeout=PATIENCE + 60,
                          check=False, stdin=subprocess.DEVNULL)
    print(text, done.stdout, done.stderr)
    assert done.returncode == 0, (done.stdout, done.stderr)
    place = 0
    for line in re.findall(r"#=> (.*)", text):
        found = done.stdout.find(line, place)
        assert found >= 0, (line, done.stdout)
        place = found + len(line)
