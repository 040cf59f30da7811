"""One API server for all tests, a namespace `shop` that is empty before each."""
import signal

import pytest

from api_server import ApiServer
from parts import BACKENDS, CLASS, Backend, Controller, dataplane


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    def expired(*_):
        raise AssertionError("the test took longer than 150 s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(150)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def api_server():
    server = ApiServer()
    server.apply(CLASS)
    yield server
    server.close()


@pytest.fixture(scope="session")
def backends():
    servers = [Backend(address) for address in BACKENDS]
    yield BACKENDS
    for server in servers:
        server.close()


@pytest.fixture
def api(api_server):
    for kind in ("ingress", "service", "endpointslice", "secret", "configmap"):
        api_server.kubectl("delete", kind, "--all", "-n", "shop", "--wait=false")
    api_server.kubectl("delete", "events.events.k8s.io", "--all", "-n", "shop")
    return api_server


@pytest.fixture
def control(api):
    """start() -> a Controller; all end cleanly."""
    controllers = []

    def start(**options):
        controllers.append(Controller(api, **options))
        return controllers[-1]

    yield start
    for controller in controllers:
        controller.close()


@pytest.fixture
def serve(api):
    """start(controller) -> a dataplane; all end cleanly."""
    servers = []

    def start(controller, **options):
        servers.append(dataplane(api, controller, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
