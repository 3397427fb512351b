"""Who may see the dashboard."""

import pytest

from kinestream.streamer.dashboard.guard import Guard


@pytest.mark.parametrize("host", ["127.0.0.1:5580", "localhost:5580", "LOCALHOST", "[::1]:5580", "[::1]", "127.0.0.1"])
def test_this_machine_alone_is_admitted_by_its_own_names(host):
    assert Guard("").admits(host, "")


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:5580", "127.0.0.1.evil.example", "localhost.evil.example:80", "192.168.1.2"],
)
def test_a_name_from_elsewhere_that_points_here_is_not(host):
    assert not Guard("").admits(host, "")


def test_with_a_token_whoever_knows_it_is_admitted_and_nobody_else():
    guard = Guard("secret")
    assert guard.admits("ward.example", "secret")
    for token in ("", "Secret", "secre", "secrets", "\udcff"):
        assert not guard.admits("127.0.0.1", token)


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({"origin": "http://127.0.0.1:5580", "host": "127.0.0.1:5580"}, True),
        ({"origin": "https://ward.example", "host": "ward.example"}, True),
        ({"origin": "http://evil.example", "host": "127.0.0.1:5580"}, False),
        ({"origin": "http://127.0.0.1:80", "host": "127.0.0.1:5580"}, False),
        ({"origin": "null", "host": "127.0.0.1:5580"}, False),
        ({"host": "127.0.0.1:5580"}, False),
        ({"origin": "", "host": ""}, False),
    ],
)
def test_a_websocket_is_opened_for_pages_from_here_alone(headers, is_own):
    assert Guard("").admits_page(headers) == is_own
