"""A dashboard of a fleet: all streams of all streamers, and it goes along when these change."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from kinestream import SampleSender
from kinestream.replay.demo import BUNDLE
from kinestream.replay.process import OwnStreamer
from kinestream.streamer.dashboard.process import started_dashboard
from kinestream.streamer.dashboard.streamers import Addresses
from tests.given.dashboards import awaited, page_of
from tests.given.fleetlabels import expected, samples, sender_to
from tests.given.fleets import Fleet, addresses_of, children, until
from tests.given.streamers import unserved_addresses

pytest.importorskip("websockets.sync.client")

SEE_ALL = {"see": "streams", "show": "all", "sort": "name", "count": 50}
X = samples(600)
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def streamers() -> Iterator[list[OwnStreamer]]:
    with children(BUNDLE, 3, "--history", "1") as started:
        yield started


@contextmanager
def shown(fleet: Fleet) -> Iterator[object]:
    """Open a page of a dashboard of a fleet."""
    with started_dashboard(Addresses(fleet=fleet.address)) as dashboard, page_of(dashboard, SEE_ALL) as page:
        awaited(page, lambda message: message["t"] == "state" and message["connected"], PATIENCE_S)
        yield page


def send(sender: SampleSender, part: int) -> None:
    """Send one of three parts of the samples."""
    for first in range(200 * part, 200 * (part + 1), 20):
        sender.send(X[first : first + 20], seq=first)


def rows_when(page, is_so) -> dict[str, list]:
    """Return the rows as they are told, by stream, once something is so of them."""
    rows: dict[str, list] = {}
    until_s = time.monotonic() + PATIENCE_S
    while not is_so(rows):
        assert time.monotonic() < until_s, rows
        told = awaited(page, lambda message: message["t"] == "streams")
        rows |= {row[1]: row for row in told["rows"]}
    return rows


def streamer_of(row: list) -> str:
    return row[-1]


def problem_of(row: list) -> str:
    return row[12]


def labels_of(page, stream: str, count: int) -> list[list]:
    """Return the labels that a stream's page shows, once there are so many."""
    labels: list[list] = []
    until_s = time.monotonic() + PATIENCE_S
    page.send(json.dumps({"see": "stream", "stream": stream, "span_ms": 600_000}))
    while len(labels) < count:
        assert time.monotonic() < until_s, f"{len(labels)} of {count} labels of {stream}"
        message = awaited(page, lambda message: message["t"] == "stream" and "labels" in message, PATIENCE_S)
        labels = message["labels"] if message["anew"] else labels + message["labels"]
    return labels


def test_streams_of_all_streamers_are_shown_and_one_that_is_replaced_is_followed(streamers):
    one, two, instead = map(addresses_of, streamers)
    wanted = len(expected(X))
    with Fleet() as fleet:
        for slot, addresses in enumerate((one, two)):
            fleet.register(f"streamer-{slot}", addresses)
        table = fleet.plan(2)
        # One of each, so that the replacement of one concerns the other as little as it should.
        owned = {table.slot_of(name): name for name in (f"wearer-{number}" for number in range(20))}
        stays, moves = owned["streamer-0"], owned["streamer-1"]
        with shown(fleet) as page, ExitStack() as stack:
            both = (stays, moves)
            senders = [stack.enter_context(sender_to(fleet.address, each, reliable=True)) for each in both]
            for sender in senders:
                send(sender, 0)
            rows = rows_when(page, lambda rows: {stays, moves} <= rows.keys())
            assert {name: streamer_of(row) for name, row in rows.items()} == {stays: "streamer-0", moves: "streamer-1"}

            fleet.register("streamer-1", instead)
            until(lambda: fleet.table.serving["streamer-1"] == instead, "another streamer has the slot")
            for part in (1, 2):
                for sender in senders:
                    send(sender, part)
            # What the old one had published, the new one publishes again, from what was not acknowledged.
            for stream in (stays, moves):
                times = [at for at, _, _ in labels_of(page, stream, wanted)]
                assert len(times) == len(set(times)) == wanted, stream

            begin_ms, end_ms = time.time_ns() // 1_000_000 - 5000, time.time_ns() // 1_000_000
            for stream in (stays, moves):  # each is asked of the streamer that has the stream
                said = {"do": "annotate", "stream": stream, "activity": "walk", "begin_ms": begin_ms, "end_ms": end_ms}
                page.send(json.dumps(said))
                assert awaited(page, lambda message: message["t"] == "done", PATIENCE_S)["wrong"] == ""

            page.send(json.dumps({"see": "health", "streamer": "streamer-1"}))
            # A status is a second old, and its counts some more.
            told = awaited(page, lambda message: (message.get("streamer") or {}).get("streams") == 1, PATIENCE_S)
            assert told["shown"] == "streamer-1"
            there = {each["name"]: (each["state"], each["connected"]) for each in told["streamers"]}
            assert there.items() >= {"streamer-0": ("serving", True), "streamer-1": ("serving", True)}.items()


def test_a_streamer_that_is_gone_shows_and_so_do_its_streams_and_its_directory(streamers):
    last = streamers[-1]
    with Fleet() as fleet:
        for slot, streamer in enumerate((streamers[0], last)):
            fleet.register(f"streamer-{slot}", addresses_of(streamer))
        table = fleet.plan(2)
        stream = next(name for name in map("wearer-{}".format, range(20)) if table.slot_of(name) == "streamer-1")
        with shown(fleet) as page, sender_to(fleet.address, stream) as sender:
            sender.send(X[:200])
            rows_when(page, lambda rows: stream in rows)
            os.kill(last.pid, signal.SIGKILL)
            fleet.stop_directory()
            rows = rows_when(page, lambda rows: "disconnected" in problem_of(rows[stream]) if rows else False)
            assert problem_of(rows[stream]).startswith("its streamer, streamer-1, has been disconnected for")
            state = awaited(page, lambda message: message["t"] == "state" and message["absent"])
            assert (state["absent"], state["connected"]) == (["streamer-1"], True)
            awaited(page, lambda message: message["t"] == "state" and not message["directory"]["answers"], PATIENCE_S)


def test_a_directory_that_does_not_answer_is_told():
    with unserved_addresses(1) as (nobody,), started_dashboard(Addresses(fleet=nobody)) as dashboard:
        with page_of(dashboard, SEE_ALL) as page:
            state = awaited(page, lambda message: message["t"] == "state")
            assert state["directory"]["address"] == nobody
            assert (state["directory"]["answers"], state["connected"]) == (False, False)
            page.send(json.dumps({"do": "annotate", "stream": "anna", "activity": "walk", "begin_ms": 1, "end_ms": 2}))
            wrong = awaited(page, lambda message: message["t"] == "done")["wrong"]
            assert wrong == f"the directory at {nobody} has not said which streamer has anna"
