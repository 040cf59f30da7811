"""Fixtures: `start` runs servers and checks their clean end, `backend` is one stub back end, and every test has a deadline."""
import signal

import pytest

from backends import Backend, WebSocketBackend
from certificates import Authority
from headgate import Headgate

DEADLINE_SECONDS = 60


def pytest_configure(config):
    config.addinivalue_line("markers", "deadline(seconds): the longest this test may take, 60 by default")
    config.addinivalue_line("markers", "memory: of a size of the product, so not for a build with sanitizers")


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


def _starter():
    servers = []

    def start(config=None, **options):
        server = Headgate(config, **options)
        servers.append(server)
        return server

    return servers, start


def _end(servers):
    failures = []
    for server in servers:
        if server.log_file.exists():  # not when the test has closed it itself
            lines = [line for line in server.log().splitlines() if '" 200 ' not in line]
            print(f"--- {server.log_file}", *lines[-50:], sep="\n")  # pytest shows it when the test failed
        try:
            server.close()
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


@pytest.fixture
def start():
    servers, make = _starter()
    yield make
    _end(servers)


@pytest.fixture(scope="module")
def start_shared():
    """For servers that all tests of a file use."""
    servers, make = _starter()
    yield make
    _end(servers)


@pytest.fixture
def backend():
    with Backend() as server:
        yield server


@pytest.fixture(scope="module")
def shared_backend():
    with Backend() as server:
        yield server


@pytest.fixture
def websocket_backend():
    with WebSocketBackend() as server:
        yield server


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))
