"""Watching: a table on a terminal, a line a label elsewhere, and totals whichever way it ends."""

import io
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import zmq
from rich.console import Console

from model.clock import now_ns
from model.errors import EndpointError
from streamer import wire
from streamer.tally import Tally
from streamer.watch import table_of, watch
from streamer.wire import Event, Label
from tests.streamer.test_tally import label


@contextmanager
def publishing(messages: list[Label | Event]) -> Iterator[str]:
    """Publish messages, over and over, to whoever subscribes to them; yield the address."""
    context = zmq.Context()
    socket = context.socket(zmq.XPUB)
    address = f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
    done = threading.Event()

    def publish() -> None:
        socket.poll(20_000)
        while not done.wait(0.001):
            for message in messages:
                socket.send_multipart(
                    wire.encode_label(message) if isinstance(message, Label) else wire.encode_event(message)
                )
        context.destroy(linger=0)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield address
    finally:
        done.set()
        thread.join()


def plain() -> Console:
    return Console(file=io.StringIO(), force_terminal=False)


def terminal(height: int = 20) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, height=height)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_elsewhere_than_on_a_terminal_each_label_is_a_line_and_events_go_to_stderr(capfd):
    gap = Event("gap", "anna", 1, {"first_seq": 3, "last_seq": 5})
    console = plain()
    with publishing([gap, label(0, "[walk]")]) as address:
        seen = watch(address, count=3, console=console)
    lines = written(console).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("1970-01-01T00:00:00.000+00:00  anna  [walk]  0.900  ")
    assert "anna  gap: samples 3 to 5" in capfd.readouterr().err
    assert seen.as_dict()["labels"] == 3


def test_totals_say_what_was_seen_of_each_stream():
    with publishing([label(0, "walk"), label(0, "sit", stream="bert")]) as address:
        content = watch(address, streams=["bert"], count=4, console=plain()).as_dict()
    assert content["streams"] == {
        "bert": {"labels": 4, "activities": {"sit": 4}, "windows_skipped": 0, "windows_missed": 0}
    }
    assert content["malformed"] == 0


def test_a_terminal_gets_a_table():
    console = terminal()
    with publishing([label(0, "walk")]) as address:
        watch(address, count=5, console=console)
    assert "walk" in written(console)
    assert "5 labels of 1 streams" in written(console)


@pytest.mark.parametrize("console", [plain(), terminal()])
def test_it_ends_in_time_where_nothing_comes(console):
    with publishing([]) as address:
        seen = watch(address, seconds=0.05, console=console)
    assert seen.tally.labels == 0
    assert 0.05 <= seen.seconds < 5


@pytest.mark.parametrize("console", [plain(), terminal()])
def test_ctrl_c_ends_it_with_its_totals(console):
    noticed = threading.Event()

    class Noticing(io.StringIO):
        def write(self, text: str) -> int:
            if "walk" in text:
                noticed.set()
            return super().write(text)

    console.file = Noticing()

    def interrupt() -> None:
        noticed.wait(20)
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    with publishing([label(0, "walk")]) as address:
        interrupter.start()
        seen = watch(address, console=console)
        interrupter.join()
    assert seen.as_dict()["labels"] >= 1


def test_hundreds_of_streams_are_cut_to_what_fits_and_the_rest_is_counted():
    tally = Tally()
    for number in range(300):
        tally.add(label(0, stream=f"s{number}"), now_ns())
    console = terminal()
    console.print(table_of(tally, now_ns(), 10, "tcp://127.0.0.1:1"))
    assert "s9" in written(console)
    assert "s10" not in written(console)
    assert "300 streams, 290 of them not shown" in written(console)


def test_a_stream_of_which_only_events_came_has_its_row():
    tally = Tally()
    tally.add(Event("refused", "anna", -1, {"reason": "channels missing"}), 0)
    console = terminal()
    console.print(table_of(tally, 0, 10, ""))
    assert "refused: channels missing" in written(console)


def test_what_is_no_address_is_refused():
    with pytest.raises(EndpointError):
        watch("nowhere", console=plain())
