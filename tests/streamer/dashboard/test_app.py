"""The dashboard's process: whom it answers, what it tells, and that it ends when it should."""

import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from email.message import Message
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil
import pytest
import zmq

from kinestream import Channel, SampleSender
from kinestream.model.clock import monotonic_ns
from kinestream.model.errors import EndpointError
from kinestream.streamer.dashboard.feed import Feed
from kinestream.streamer.dashboard.process import OwnDashboard, started_dashboard
from kinestream.streamer.dashboard.row import ENDED
from kinestream.streamer.dashboard.streamers import Addresses
from kinestream.streamer.wire.gathered import PUBLISHED_TOPIC
from tests.given.bridged import until
from tests.given.bundles import random_bundle
from tests.given.dashboards import awaited, page_of
from tests.given.live import signal as made_signal
from tests.given.streamers import running_streamer, unserved_addresses

client = pytest.importorskip("websockets.sync.client")
exceptions = pytest.importorskip("websockets.exceptions")

BUNDLE = random_bundle(channels=3, classes=4, length=25, stride=10)
CHANNELS = [Channel(f"c{at}", "g") for at in range(3)]
NONSENSE = b"label/nonsense"
SEE_ALL = {"see": "streams", "show": "all", "sort": "name", "count": 50}


@pytest.fixture(scope="module")
def served():
    with running_streamer(BUNDLE) as streamer:
        with started_dashboard(Addresses(streamer.labels, streamer.control, streamer.watch)) as dashboard:
            yield streamer, dashboard


class Answer(NamedTuple):
    """What came back: status, headers, body."""

    status: int
    headers: Message
    body: str


def get(dashboard: OwnDashboard, path: str, **headers: str) -> Answer:
    with closing(http.client.HTTPConnection(urlsplit(dashboard.address).netloc, timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as response:
            return Answer(response.status, response.headers, response.read().decode("latin-1"))


def send(streamer, stream: str, count: int = 200) -> None:
    with SampleSender(stream, CHANNELS, 50.0, endpoint=streamer.ingest, control=streamer.control) as sender:
        sender.wait_accepted(10)
        sender.send(made_signal(count))


def test_the_page_lets_no_script_in_and_no_frame_around_it(served):
    _, dashboard = served
    response = get(dashboard, "/")
    body = response.body
    policy = response.headers["Content-Security-Policy"]
    assert response.status == 200
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in body
    assert "style=" not in body
    for name in ("main.js", "uplot.js", "page.css", "icon.svg", "inter.woff2"):
        assert get(dashboard, f"/{name}").status == 200, name


@pytest.mark.parametrize(
    "path", ["/secret", "/../app.py", "/..%2fapp.py", "/%2e%2e/app.py", "/page", "/live/now", "//"]
)
def test_nothing_else_is_given_out(served, path):
    assert get(served[1], path).status in (400, 403, 404, 426)


def test_a_name_from_elsewhere_that_points_here_gets_nothing(served):
    _, dashboard = served
    assert get(dashboard, "/", Host="evil.example").status == 404
    assert get(dashboard, "/main.js", Host="evil.example:5580").status == 404


def test_hundreds_of_connections_that_ask_for_nothing_keep_nobody_out(served):
    _, dashboard = served
    at = urlsplit(dashboard.address)
    with ExitStack() as stack, page_of(dashboard, SEE_ALL) as page:
        for number in range(300):
            stack.enter_context(socket.create_connection((at.hostname, at.port), timeout=10))
            if not number % 50:
                assert get(dashboard, "/").status == 200
        assert get(dashboard, "/").status == 200
        awaited(page, lambda message: message["t"] == "state")  # nor is a page that is open shut


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:1"])
def test_a_page_from_elsewhere_cannot_open_the_websocket(served, origin):
    with pytest.raises(exceptions.InvalidStatus), page_of(served[1], origin=origin):
        pass


@pytest.mark.parametrize(
    "asked", ["x", "[]", '{"see":"all"}', '{"see":"stream","stream":"a/b"}', '{"see":"streams","show":"all","sort":1}']
)
def test_what_makes_no_sense_ends_the_websocket_and_nothing_else(served, asked):
    _, dashboard = served
    with page_of(dashboard) as socket:
        socket.send(asked)
        with pytest.raises(exceptions.ConnectionClosed) as closed:
            awaited(socket, lambda message: False)
        assert closed.value.rcvd.code == 1008
    with page_of(dashboard, SEE_ALL) as socket:
        assert awaited(socket, lambda message: message["t"] == "streams")


def test_labels_signal_and_health_are_told(served):
    streamer, dashboard = served
    with page_of(dashboard, {"see": "stream", "stream": "anna", "span_ms": 60_000}) as socket:
        awaited(socket, lambda message: message["t"] == "stream" and message.get("unknown"))
        send(streamer, "anna", 60)
        awaited(socket, lambda message: message["t"] == "stream" and "unknown" not in message)
        with SampleSender("ben", CHANNELS, 50.0, endpoint=streamer.ingest, control=streamer.control) as sender:
            socket.send(json.dumps({"see": "stream", "stream": "ben", "span_ms": 60_000}))
            until, shown = time.monotonic() + 15, {}
            sent = []
            while "y" not in shown and time.monotonic() < until:
                x = made_signal(10, seed=len(sent))
                sent.append(x)
                sender.send(x)
                message = awaited(socket, lambda message: message["t"] == "stream")
                shown = message.get("signals", {}).get("sensor", shown)
            assert [name for name, _ in shown["all"]] == ["c0", "c1", "c2"]
            sender.send(made_signal(60))
        labels = awaited(socket, lambda message: message.get("labels"))["labels"]
        assert all(len(probs) == 4 and 96 <= sum(probs) <= 104 for _, _, probs in labels)
        socket.send(json.dumps({"see": "health"}))
        told = awaited(socket, lambda message: message["t"] == "health" and message["streamer"])
        assert told["streamer"]["bundle"] == BUNDLE.id
        awaited(socket, lambda message: message["t"] == "health" and any(message["columns"]["cpu"]))


def test_what_costs_the_streamer_something_is_asked_for_only_while_somebody_looks(served):
    streamer, dashboard = served
    topic = b"signal/carl/"
    assert streamer.ports.watched.matching(topic) == 0
    with page_of(dashboard, {"see": "stream", "stream": "carl"}) as socket:
        awaited(socket, lambda message: message["t"] == "stream")
        until = time.monotonic() + 10
        while not streamer.ports.watched.matching(topic):
            assert time.monotonic() < until
            time.sleep(0.02)


def test_it_goes_on_without_a_streamer_and_says_so():
    with (
        unserved_addresses(3) as (labels, control, watch),
        started_dashboard(Addresses(labels, control, watch)) as dashboard,
    ):
        with page_of(dashboard, SEE_ALL) as socket:
            state = awaited(socket, lambda message: message["t"] == "state")
            assert state["connected"] is False
            assert state["labels"] == labels
            awaited(socket, lambda message: message["t"] == "streams" and message["total"] == 0)


def test_it_ends_with_whoever_started_it():
    code = (
        "import sys; from kinestream.streamer.dashboard.process import OwnDashboard; "
        "from kinestream.streamer.dashboard.streamers import Addresses; "
        "own = OwnDashboard(Addresses(), priority='low'); own.wait_ready(); "
        "print(own.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        pid = int(starter.stdout.readline())
        starter.kill()
    until = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_ctrl_c_ends_it_with_status_0():
    command = [sys.executable, "-m", "kinestream", "dashboard", "--port", "0", "--json", "--priority", "low"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert json.loads(process.stdout.readline())["ready"] is True
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (0, "")


def test_a_port_in_use_is_told_in_a_line(served):
    port = urlsplit(served[1].address).port
    with pytest.raises(EndpointError, match=rf"cannot listen at 127.0.0.1:{port} .*--port"):
        with started_dashboard(Addresses(), port):
            pass


def test_what_a_person_says_is_published_and_shown_or_it_is_told_why_not(served):
    streamer, dashboard = served
    now_ms = time.time_ns() // 1_000_000
    said = {"do": "annotate", "activity": "<b>walk</b>", "begin_ms": now_ms - 5000, "end_ms": now_ms}
    with page_of(dashboard, {"see": "stream", "stream": "dora", "span_ms": 60_000}) as socket:
        socket.send(json.dumps({**said, "stream": "nobody"}))
        refused = awaited(socket, lambda message: message["t"] == "done")
        assert "nobody" in refused["wrong"] or "no such stream" in refused["wrong"]
        with SampleSender("dora", CHANNELS, 50.0, endpoint=streamer.ingest, control=streamer.control) as sender:
            sender.wait_accepted(10)
            sender.send(made_signal(60))
            awaited(socket, lambda message: message.get("labels"))
            socket.send(json.dumps({**said, "stream": "dora"}))
            got: list[dict[str, object]] = []
            while not (any(each["t"] == "done" for each in got) and any(each.get("annotations") for each in got)):
                got.append(awaited(socket, lambda message: True))
            assert [each["wrong"] for each in got if each["t"] == "done"] == [""]
        for wrong in ({"begin_ms": now_ms + 1}, {"activity": ""}, {"stream": "a/b"}, {"do": "delete"}):
            socket.send(json.dumps({**said, "stream": "dora", **wrong}))
            assert "makes no sense" in awaited(socket, lambda message: message["t"] == "done")["wrong"]


def test_recordings_begin_and_end_from_the_page(served, tmp_path):
    pytest.importorskip("mcap")
    streamer, _ = served
    command = [sys.executable, "-m", "kinestream", "dashboard", "--port", "0", "--json", "--record-to", str(tmp_path)]
    command += ["--labels", streamer.labels, "--watch", streamer.watch, "--priority", "low"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            netloc = urlsplit(json.loads(process.stdout.readline())["address"]).netloc
            with client.connect(f"ws://{netloc}/live/now", origin=f"http://{netloc}") as socket:
                socket.send(json.dumps({"do": "record"}))
                assert awaited(socket, lambda message: message["t"] == "done")["wrong"] == ""
                awaited(socket, lambda message: message["t"] == "state" and message["recording"]["for_s"] is not None)
                (recorder,) = psutil.Process(process.pid).children()
                if sys.platform == "linux":
                    assert priority(process.pid) != priority(os.getpid()) == priority(recorder.pid)
                until = time.monotonic() + 60
                for turn in itertools.count():  # the recorder takes a while to listen
                    send(streamer, f"emil-{turn}", 60)
                    if list(tmp_path.rglob("*.mcap*")) or time.monotonic() > until:
                        break
                socket.send(json.dumps({"do": "stop"}))
                assert awaited(socket, lambda message: message["t"] == "done")["wrong"] == ""
        finally:
            process.terminate()
    assert list(tmp_path.rglob("*.mcap"))


@pytest.mark.parametrize("is_watched", [True, False])
def test_labels_are_taken_gathered_and_each_by_itself_only_where_nobody_answers_at_the_watch_endpoint(is_watched):
    with running_streamer(BUNDLE) as streamer, unserved_addresses(1) as nobody:
        watch = streamer.watch if is_watched else nobody[0]
        with closing(Feed(Addresses(streamer.labels, streamer.control, watch))) as feed:
            topic = PUBLISHED_TOPIC if is_watched else b"label/anna/"
            asked = streamer.ports.watched if is_watched else streamer.ports.subscriptions

            def is_asked():
                feed.take()
                return asked.matching(topic)

            until(is_asked)
            if is_watched:
                assert not streamer.ports.subscriptions.matching(b"label/anna/")
            send(streamer, "anna")

            def has_ended():
                feed.take()
                return "anna" in feed.board.rows and feed.board.rows["anna"].state(monotonic_ns()) == ENDED

            until(has_ended)
            assert feed.board.rows["anna"].tally.labels.total() == (200 - 25) // 10 + 1


def test_how_late_what_is_shown_may_be_is_known_where_more_comes_than_is_taken():
    with zmq.Context() as context, context.socket(zmq.PUB) as socket, unserved_addresses(2) as others:
        socket.set(zmq.SNDHWM, 0)
        socket.bind("tcp://127.0.0.1:0")
        with closing(Feed(Addresses(socket.last_endpoint.decode(), *others))) as feed:

            def is_heard():
                socket.send(NONSENSE)
                feed.take()
                return feed.malformed

            until(is_heard)
            for _ in range(20_000):
                socket.send(NONSENSE)
            until(feed.take)  # a turn that does not take all
            began = monotonic_ns()
            turns, then = 0, monotonic_ns()
            while feed.take():
                assert feed.behind_ns(monotonic_ns()) >= then - began
                turns, then = turns + 1, monotonic_ns()
            assert turns > 2
            assert feed.behind_ns(then) >= then - began  # for some seconds more


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux knows processes that take what others leave")
def test_it_takes_what_the_streamer_in_its_session_leaves():
    with started_dashboard(Addresses(), priority="idle") as dashboard:
        assert priority(dashboard.pid)[0] == os.SCHED_IDLE
        assert os.getsid(dashboard.pid) == os.getsid(0)  # Linux shares processors between sessions first
        assert os.getpgid(dashboard.pid) != os.getpgid(0)  # Ctrl-C is for whoever started it


def priority(pid: int) -> tuple[int, int]:
    """Return a process's policy, where the system has such, and its niceness."""
    policy = os.sched_getscheduler(pid) if hasattr(os, "sched_getscheduler") else 0
    return policy, os.getpriority(os.PRIO_PROCESS, pid)


def test_without_a_folder_nothing_is_recorded(served):
    with page_of(served[1], {"see": "health"}) as socket:
        socket.send(json.dumps({"do": "record"}))
        assert "--record-to" in awaited(socket, lambda message: message["t"] == "done")["wrong"]
