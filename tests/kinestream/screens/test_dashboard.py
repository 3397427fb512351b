"""The dashboard that runs beside `serve --dashboard`: where it is, why it is not, and that it ends with it."""

import socket
import time
import urllib.request

import pytest

from kinestream.screens import dashboard as screen
from kinestream.streamer.server.lifecycle import Ready
from tests.given.bridged import until
from tests.given.streamers import unserved_addresses

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")


class Lines:
    """A display of which only the lines are looked at."""

    def __init__(self):
        self.lines = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def begin(self, ready):
        pass

    def say(self, line):
        self.lines.append(line)


@pytest.fixture
def ready():
    with unserved_addresses(4) as addresses:
        yield Ready(*addresses, bundle="demo", engine="cpu", pid=1)


def test_it_says_where_it_is_and_ends_with_the_streamer(ready, monkeypatch):
    monkeypatch.setattr(screen, "DASHBOARD_PORT", 0)
    display = Lines()
    with screen.WithDashboard(display) as shown:
        shown.begin(ready)
        until(lambda: display.lines)
        (line,) = display.lines
        assert line.startswith("dashboard: open http://127.0.0.1:")
        address = line.split()[-1]
        with urllib.request.urlopen(address) as page:
            assert b"kinestream" in page.read()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address)


def test_a_port_in_use_is_told_in_a_line(ready, monkeypatch):
    display = Lines()
    with socket.create_server(("127.0.0.1", 0)) as held, screen.WithDashboard(display) as shown:
        monkeypatch.setattr(screen, "DASHBOARD_PORT", port := held.getsockname()[1])
        shown.begin(ready)
        until(lambda: display.lines)
        (line,) = display.lines
        assert f"cannot listen at 127.0.0.1:{port}" in line


def test_a_streamer_that_ends_at_once_does_not_wait_for_it(ready, monkeypatch):
    monkeypatch.setattr(screen, "DASHBOARD_PORT", 0)
    display = Lines()
    with screen.WithDashboard(display) as shown:
        shown.begin(ready)
        began = time.monotonic()
    assert time.monotonic() - began < 20
    assert not [line for line in display.lines if "did not start" in line]
