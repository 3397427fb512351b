"""Watching: a table on a terminal, a line a label elsewhere, and totals whichever way it ends."""

import io
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import zmq
from rich.console import Console

from kinestream.model.clock import monotonic_ns
from kinestream.model.errors import EndpointError
from kinestream.model.palette import CLASSES
from kinestream.screens.watch import watch
from kinestream.screens.watch_strips import Strips
from kinestream.screens.watch_table import table_of
from kinestream.streamer.events.lines import LabelLines, event_line, json_line
from kinestream.streamer.watch.tally import Tally
from kinestream.streamer.wire import published
from kinestream.streamer.wire.messages import Annotation, Event, Label, Published
from tests.streamer.watch.test_tally import SECOND, label


@contextmanager
def publishing(messages: list[Published]) -> Iterator[str]:
    """Publish messages, over and over, to whoever subscribes to them; yield the address."""
    context = zmq.Context()
    socket = context.socket(zmq.XPUB)
    address = f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
    done = threading.Event()

    def publish() -> None:
        socket.poll(20_000)
        while not done.wait(0.001):
            for message in messages:
                match message:
                    case Label():
                        socket.send_multipart(published.encode_label(message))
                    case Annotation():
                        socket.send_multipart(published.encode_annotation(message))
                    case Event():
                        socket.send_multipart(published.encode_event(message))
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


def terminal(height: int = 20, width: int = 120) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height)


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
    assert "5 labels of 1 stream;" in written(console)


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
        tally.add(label(0, stream=f"s{number}"), monotonic_ns())
    console = terminal()
    console.print(table_of(tally, monotonic_ns(), 10, 120, "tcp://127.0.0.1:1"))
    assert "s9" in written(console)
    assert "s10" not in written(console)
    assert "300 streams, 290 of them not shown" in written(console)


def test_a_stream_of_which_only_events_came_has_its_row():
    tally = Tally()
    tally.add(Event("refused", "anna", -1, {"reason": "channels missing"}), 0)
    console = terminal()
    console.print(table_of(tally, 0, 10, 120, ""))
    assert "refused: channels missing" in written(console)


def lines_of(tally: Tally, width: int) -> list[str]:
    """Return the table's lines as a terminal of so many columns shows them, without colours."""
    console = Console(file=io.StringIO(), color_system=None, width=width)
    console.print(table_of(tally, 9 * SECOND, 10, width, ""))
    return written(console).splitlines()


@pytest.fixture
def three_streams() -> Tally:
    """Return one stream with long names that goes on, one that has ended, one that was refused."""
    tally = Tally()
    for window in range(2):
        for stream, name in (("sixteen-chars-01", "WALKING_DOWNSTAIRS"), ("gone", "SITTING")):
            tally.add(label(window, name, stream=stream), (8 + window) * SECOND, 12_345_600_000)
    tally.add(Event("end", "gone", 1, {"reason": "end"}), 9 * SECOND)
    tally.add(Event("refused", "strange", -1, {"reason": "channels missing"}), 9 * SECOND)
    return tally


def test_on_80_columns_all_that_matters_is_whole(three_streams):
    head, going, ended, refused, why, *foot = lines_of(three_streams, 80)
    assert head.split("  ")[0] == "stream"
    assert head.split() == ["stream", "activity", "probability", "labels/s", "latency", "ms", "missed"]
    assert going.split() == ["sixteen-chars-01", "WALKING_DOWNSTAIRS", "0.90", "1.0", "12345.6", "0"]
    assert ended.split() == ["gone", "SITTING", "0.90", "ended", "12345.6", "0"]
    assert refused.split() == ["strange", "-", "refused"]
    assert why == "strange is refused: channels missing"
    assert foot[0].startswith("4 labels of 3 streams")
    assert foot[1].endswith("missed: windows without a label")


@pytest.mark.parametrize("width", [60, 80, 110, 160])
def test_names_give_way_on_narrow_terminals_and_numbers_never(three_streams, width):
    three_streams.add(label(0, "x" * 90, stream="y" * 90), 0, 12_345_600_000)
    lines = lines_of(three_streams, width)
    assert all(len(line) <= width for line in lines)
    assert sum("12345.6" in line and "0.90" in line for line in lines) == 3


def test_110_columns_hold_the_bar_and_the_last_event_besides(three_streams):
    narrow, wide, wider = ("\n".join(lines_of(three_streams, width)) for width in (109, 110, 140))
    assert "█" not in narrow
    assert "███████░ 0.90" in wide
    assert "sixteen-chars-01 WALKING_DOWNSTAIRS" in wide
    assert "its part in the streamer; missed: windows without a label" in wide
    assert "ended: end of session" in wider


@pytest.mark.parametrize("width", [60, 80, 110])
def test_what_was_annotated_stands_beside_the_label_of_that_time(three_streams, width):
    stream = "sixteen-chars-01"
    assert "annotated" not in lines_of(three_streams, width)[0]
    for begin, name in ((0, "STANDING"), (60 * SECOND, "LATER"), (-SECOND, "BEFORE")):
        three_streams.add(Annotation(stream, 1, name, max(begin, 0), begin + 30 * SECOND), 0)
    lines = lines_of(three_streams, width)
    assert "annot" in lines[0]
    (going,) = (line for line in lines if line.startswith(stream[:4]))
    assert "BEF" in going or "BEFORE" in going
    assert "LATER" not in going
    assert sum("12345.6" in line and "0.90" in line for line in lines) == 2


def test_elsewhere_annotations_are_lines_on_stderr_and_json(capfd):
    said = Annotation("anna", 1, "[walk]", 0, 1_500_000_000)
    with publishing([said, label(0, "walk")]) as address:
        watch(address, count=2, console=plain())
        told = capfd.readouterr().err
        assert (
            "\ntruth: anna was said to be [walk] from 1970-01-01T00:00:00.000+00:00 to 1970-01-01T00:00:01.500" in told
        )
        file = io.StringIO()
        watch(address, count=2, json_to=file)
    kinds = {json.loads(line)["kind"] for line in file.getvalue().splitlines()}
    assert kinds == {"label", "annotation"}
    assert json.loads(json_line(said, 0)) == {"kind": "annotation", **said._asdict()}


def test_an_ended_stream_is_dim(three_streams):
    console = terminal(width=80)
    console.print(table_of(three_streams, 0, 10, 80, ""))
    (line,) = (line for line in written(console).splitlines() if "gone" in line)
    assert line.startswith("\x1b[2m")
    assert "\x1b[1m" not in line


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Event("end", "anna", 1, {"reason": "end"}), "anna  ended: end of session"),
        (Event("end", "anna", 1, {"reason": "idle"}), "anna  ended: silent for too long"),
        (Event("end", "anna", 1, {"reason": "unheard of"}), "anna  ended: unheard of"),
        (Event("reset", "anna", 1, {}), "anna  reset"),
    ],
)
def test_why_a_session_ended_is_said_in_words(event, expected):
    assert event_line(event) == expected


def test_what_is_no_address_is_refused():
    with pytest.raises(EndpointError):
        watch("nowhere", console=plain())


REASON = "channels do not match: c1, c2 and c3 are missing, there are acc_x, acc_y and acc_z; see its description"


@pytest.mark.parametrize("width", [40, 80, 109, 110, 200])
def test_the_whole_reason_of_a_refusal_is_shown_at_any_width(three_streams, width):
    three_streams.add(Event("refused", "other", -1, {"reason": REASON}), 9 * SECOND)
    text = " ".join(" ".join(lines_of(three_streams, width)).split())
    assert f"other is refused: {REASON}" in text


def test_a_stream_that_is_accepted_after_all_is_refused_no_more(three_streams):
    three_streams.add(Event("accepted", "strange", -1, {}), 9 * SECOND)
    assert "strange is refused" not in "\n".join(lines_of(three_streams, 80))


def test_many_refusals_leave_room_for_the_streams_and_are_counted():
    tally = Tally()
    for number in range(30):
        tally.add(label(0, stream=f"good{number}"), 0)
        tally.add(Event("refused", f"bad{number}", -1, {"reason": REASON}), 0)
    lines = lines_of(tally, 80)
    assert len(lines) <= 10 + 5
    assert any("bad0 is refused" in line for line in lines)
    assert any(line.startswith("good0") for line in lines)
    assert any("more streams are refused" in line for line in lines)


def test_lines_stand_below_one_another():
    lines = LabelLines()
    lines.line(label(0, "WALKING", stream="a-long-name"), 0)
    first, second = (lines.line(label(0, name, stream="anna"), ns) for name, ns in (("SIT", 5), ("WALKING", 10**9)))
    assert len(first) == len(second)
    assert first.index("0.900") == second.index("0.900")


def test_json_is_a_line_for_each_label_and_event_as_it_comes():
    file = io.StringIO()
    with publishing([label(0, "wa\nlk"), Event("gap", "anna", 1, {"first_seq": 3, "last_seq": 5})]) as address:
        watch(address, count=3, json_to=file)
    messages = [json.loads(line) for line in file.getvalue().splitlines()]
    labels = [message for message in messages if message["kind"] == "label"]
    assert [message["label"] for message in labels] == ["wa\nlk"] * 3
    assert {"class", "window", "p", "probs", "missing", "latency_ms", "t_source"} <= labels[0].keys()
    assert (labels[0]["probs"], labels[0]["missing"]) == ([0.75, 0.25], {"sensor": 0.0})
    assert {"kind": "event", "event": "gap", "stream": "anna", "session": 1, "first_seq": 3, "last_seq": 5} in messages


def test_what_json_cannot_say_is_said_otherwise():
    odd = Event(
        "gap", "anna", 1, {"kind": "label", "p": float("nan"), "raw": b"x", "more": [float("inf"), {"a": None}]}
    )
    assert json.loads(json_line(odd, 0)) == {
        **{"kind": "event", "event": "gap", "stream": "anna", "session": 1},
        **{"p": None, "raw": "b'x'", "more": [None, {"a": None}]},
    }


def nobodys_address() -> str:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{held.getsockname()[1]}"


def test_where_nobody_publishes_it_says_so_once_and_what_to_do(monkeypatch, capfd):
    monkeypatch.setattr("kinestream.screens.watch._FIRST_S", 0.05)
    address = nobodys_address()
    watch(address, seconds=1.0, console=plain())
    listening, silent = capfd.readouterr().err.splitlines()
    assert listening == f"listening at {address}"
    assert f"nobody publishes at {address} yet" in silent
    assert "kinestream serve" in silent
    assert "--labels" in silent


def test_a_terminal_shows_that_nobody_publishes_in_place_of_the_table(monkeypatch):
    monkeypatch.setattr("kinestream.screens.watch._FIRST_S", 0.05)
    console = terminal()
    watch(nobodys_address(), seconds=1.0, console=console)
    assert "nobody publishes at" in written(console)


@pytest.mark.parametrize("console", [plain(), terminal()])
def test_a_streamer_that_goes_is_missed(monkeypatch, capfd, console):
    """Lines and rows of it stand there all the same."""
    monkeypatch.setattr("kinestream.screens.watch._SILENT_S", 0.05)
    console.file = io.StringIO()
    told: list[str] = []

    def wait_for(text: str) -> None:
        until = time.monotonic() + 20
        while text not in written(console) + "".join(told) and time.monotonic() < until:
            told.append(capfd.readouterr().err)
            time.sleep(0.01)

    with ExitStack() as stack:
        address = stack.enter_context(publishing([label(0, "walk")]))

        def go() -> None:
            wait_for("walk")
            stack.close()
            wait_for("any more")
            os.kill(os.getpid(), signal.SIGINT)

        going = threading.Thread(target=go)
        going.start()
        seen = watch(address, seconds=50, console=console)
        going.join()
    assert seen.interrupted
    assert f"nobody publishes at {address} any more: start the streamer again" in " ".join(
        (written(console) + "".join(told)).split()
    )


def test_a_streamer_without_streams_is_not_taken_for_nobody(monkeypatch, capfd):
    monkeypatch.setattr("kinestream.screens.watch._FIRST_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        watch(f"tcp://127.0.0.1:{server.getsockname()[1]}", seconds=1.0, console=plain())
    assert "nobody publishes" not in capfd.readouterr().err


def strips_of(tally: Tally) -> Strips:
    """Return strips of a minute in which somebody walked, sat and was not heard for a while."""
    strips = Strips()
    names = ["WALKING_DOWNSTAIRS"] * 20 + ["SITTING"] * 20 + [""] * 10 + ["WALKING_DOWNSTAIRS"] * 10
    for window, name in enumerate(names):
        if name:
            told = label(window, name, stream="sixteen-chars-01")._replace(t_published=(100 + window) * SECOND)
            strips.add(told, window * SECOND)
    return strips


@pytest.mark.parametrize("width", [40, 59, 60, 80, 109, 110, 150, 200])
def test_strips_fill_the_width_that_is_left_and_numbers_stay_whole(three_streams, width):
    console = Console(file=io.StringIO(), color_system=None, width=width)
    console.print(table_of(three_streams, 59 * SECOND, 10, width, "", "", strips_of(three_streams)))
    lines = written(console).splitlines()
    assert all(len(line) <= width for line in lines)
    assert lines[0].rstrip().endswith("lately")
    (going,) = (line for line in lines if line.startswith("sixt"))
    assert "0.90" in going
    assert ("12345.6" in going) == (width >= 60)
    assert going.rstrip().endswith("WWWWWWWWWW")
    if width >= 150:
        assert "SSSSSSSSSS" + " " * 10 + "WWWWWWWWWW" in going


def test_strips_have_the_colours_of_every_other_page():
    console = terminal(width=100)
    tally = Tally()
    for name in ("walk", "sit"):
        tally.add(label(0, name), 0)
    strips = Strips()
    strips.add(Event("accepted", "anna", -1, {"classes": ["sit", "walk"], "null_class": None}), 0)
    strips.add(label(0, "walk")._replace(t_published=100 * SECOND), 0)
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=100)
    console.print(table_of(tally, 0, 10, 100, "", "", strips))
    red, green, blue = (int(CLASSES[1].dark[at : at + 2], 16) for at in (1, 3, 5))
    assert f"\x1b[38;2;{red};{green};{blue}m▆" in written(console)
