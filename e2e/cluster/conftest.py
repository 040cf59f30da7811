"""Fixtures of the cluster tests: namespaces that are gone afterwards, and a deadline for every test."""
import os
import pathlib
import re
import secrets
import signal
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "local"))  # certificates, clients

import kubernetes  # noqa: E402
from installation import CLASS, Installation  # noqa: E402

DEADLINE_SECONDS = 300


def pytest_configure(config):
    config.addinivalue_line("markers", "deadline(seconds): the longest this test may take, 300 by default")


def pytest_sessionstart(session):
    if not os.environ.get("KUBECONFIG"):
        pytest.exit("no cluster: ./run e2e, or e2e/cluster/cluster run python3 -m pytest e2e/cluster, or set KUBECONFIG", 2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """SIGALRM ends a test that hangs; the next one still runs."""
    marker = item.get_closest_marker("deadline")
    seconds = marker.args[0] if marker else DEADLINE_SECONDS

    def expired(*_):
        raise AssertionError(f"the test took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _make_namespace(base):
    name = re.sub("[^a-z0-9]+", "-", base.lower()).strip("-")[:40].strip("-") + "-" + secrets.token_hex(2)
    kubernetes.kubectl("create", "namespace", name)
    # What the strictest clusters demand, so that every Pod of the tests passes it.
    kubernetes.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    return name


def _delete_namespace(name):
    kubernetes.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def namespace(request):
    """A namespace of this test, with Pod Security `restricted`."""
    name = _make_namespace(request.node.name)
    yield name
    _delete_namespace(name)


@pytest.fixture(scope="module")
def shared_namespace(request):
    """A namespace of all tests of a file."""
    name = _make_namespace(request.module.__name__)
    yield name
    _delete_namespace(name)


@pytest.fixture
def make_namespace(request):
    """For tests that need several."""
    made = []

    def make(base):
        made.append(_make_namespace(base))
        return made[-1]

    yield make
    for name in made:
        _delete_namespace(name)


@pytest.fixture(scope="session")
def headgate():
    """The installation that most tests use: a class of its own, two proxies, one controller."""
    name = _make_namespace("headgate")
    release = Installation("headgate", name, CLASS)
    try:
        yield release.install()
    finally:
        release.uninstall()
        _delete_namespace(name)
