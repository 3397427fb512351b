"""The senders of docs/clients, in C and in JavaScript, get the labels that Python's gets, and end in one line."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from kinestream import SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.errors import ChannelMismatch
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.wire.codec import decode, encode_answer
from kinestream.streamer.wire.messages import Answer, End, Event, Label
from kinestream.streamer.wire.published import encode_event, encode_label
from kinestream.streamer.wire.tracked import Acknowledgement, encode_acknowledged
from tests.given.clients import (
    CLIENTS,
    LOST,
    PATIENCE_S,
    SANITIZED,
    STRICT,
    Command,
    Named,
    arguments,
    of,
    printed,
    run,
    same,
)
from tests.given.peers import false_streamer, nonsense, trickling
from tests.given.streamers import free_addresses, running_streamer, unserved_addresses

GIVEN = Path(__file__).parents[2] / "given"

A_LABEL = encode_label(
    Label("ben", 7, 5, 80, 143, "Übung\x1b[2J", 1, 0.75, b"\0\0\x80>\0\0@?", {"sensor": 0.5}, "m", *range(5))
)
"""Of two classes, 0.25 and 0.75, one of which means to clear the screen."""


@pytest.fixture(scope="module")
def in_javascript(tmp_path_factory: pytest.TempPathFactory) -> Command:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node with npm")
    folder = tmp_path_factory.mktemp("javascript")
    for name in ("package.json", "package-lock.json", "sender.mjs"):
        shutil.copy(CLIENTS / name, folder)
    # The packages bring what they would compile: their scripts need not run.
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"npm cannot fetch the packages: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    return ["node", folder / "sender.mjs"]


@pytest.fixture(params=["in_c", "in_sanitized_c", "in_javascript"])
def client(request: pytest.FixtureRequest) -> Command:
    return request.getfixturevalue(request.param)


def test_every_client_gets_the_labels_that_pythons_gets(client, streamer, recording, rows, expected, request):
    header = ",".join(channel.name for channel in recording.channels)
    text = "\n\n".join([header, "\r\n".join(rows)])  # the last line does not end
    done = run(arguments(client, of(streamer), f"one-{request.node.callspec.id}", recording), text)
    assert done.returncode == 0, done.stderr
    assert same([printed(line) for line in done.stdout.splitlines()], expected)
    lost, gap = done.stderr.splitlines()
    assert lost == f"sender: reading {LOST} cannot be read as {len(recording.channels)} numbers: it counts as lost"
    assert gap == "sender: event gap"


def test_the_one_in_c_takes_nothing_from_the_heap(in_c, tmp_path):
    subprocess.run(["cc", *STRICT, "-c", "-o", tmp_path / "sender.o", CLIENTS / "sender.c"], check=True)
    listed = subprocess.run(
        ["nm", "--undefined-only", tmp_path / "sender.o"], capture_output=True, text=True, check=True
    )
    called = {line.split()[-1].partition("@")[0] for line in listed.stdout.splitlines()}
    assert {"send", "recv", "poll"} <= called
    assert not called & {"malloc", "calloc", "realloc", "free", "strdup", "getline", "fopen", "getaddrinfo"}


def test_rows_without_commas_are_told(client, streamer, recording, rows, request):
    spaced = "\n".join(row.replace(",", " ") for row in rows[:3])
    width = len(recording.channels)
    done = run(arguments(client, of(streamer), f"spaced-{request.node.callspec.id}", recording), spaced)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"sender: row 1 is left out: it has 1 field, not {width} numbers with commas between them",
        f"sender: none of 3 rows could be read: write {width} numbers with commas between them",
    ]


@pytest.mark.parametrize("client", ["in_c", "in_javascript"], indirect=True)
def test_rows_are_paced_if_asked(client, streamer, recording, rows, expected, request):
    stream = f"paced-{request.node.callspec.id}"
    begun = time.monotonic()
    done = run(arguments(client, of(streamer), stream, recording, "-p"), "\n".join(rows[:80]))
    assert time.monotonic() - begun > 79 / recording.rate_hz
    assert done.returncode == 0, done.stderr
    assert same([printed(line) for line in done.stdout.splitlines()], expected[:2])


def test_a_refusal_is_one_line_with_the_reason(client, streamer, recording, request):
    wrong = recording.channels[:4]
    with SampleSender("python", wrong, recording.rate_hz, endpoint=streamer.ingest, control=streamer.control) as sender:
        with pytest.raises(ChannelMismatch) as refused:
            sender.wait_accepted()
    *command, columns = arguments(client, of(streamer), "python", recording)
    done = run([*command, ",".join(columns.split(",")[:4])])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"sender: {refused.value}\n"


def test_a_dead_address_is_one_line_after_the_time_that_was_given(client, recording):
    with unserved_addresses(3) as addresses:
        done = run(arguments(client, addresses, "ben", recording, "-w", "0.5"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sender: no streamer answered at ")
    assert done.stderr.endswith(" within 0.5 s: start one with 'kinestream serve BUNDLE'\n")
    assert len(done.stderr.splitlines()) == 1


def test_what_no_streamer_would_take_is_said_before_anything_is_sent(client, recording):
    with unserved_addresses(3) as addresses:
        *known, stream, rate, columns = arguments(client, addresses, "ben", recording)
    wrong = {
        "a/b is no name of a stream": [*known, "a/b", rate, columns],
        "0 is no number of rows": [*known, stream, "0", columns],
        "usage: ": [*known, stream, rate],
    }
    for message, command in wrong.items():
        done = run(command)
        assert done.returncode == 2
        assert message in done.stderr


def test_a_streamer_that_is_restarted_in_between_is_survived(client, recording, rows, expected):
    ingest, labels, control = free_addresses(3)
    bundle = read_bundle(BUNDLE)
    command = arguments(client, (ingest, control, labels), "ben", recording)
    pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
    with subprocess.Popen(command, text=True, **pipes) as process:
        with running_streamer(bundle, ingest=ingest, labels=labels, control=control):
            process.stdin.write("\n".join([*rows[:150], ""]))
            process.stdin.flush()
            before = [printed(process.stdout.readline()) for _ in range(6)]
        said = "nothing"
        while said and "lost the streamer: connecting again" not in said:
            said = process.stderr.readline()
        with running_streamer(bundle, ingest=ingest, labels=labels, control=control):
            after, errors = process.communicate("\n".join(rows[150:280]), timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert same(before, expected[:6])
    # The new streamer's first window is the first that begins at sample 150 or later; nothing that came since was lost.
    whole = [each for each in expected if each.first_seq >= 150 and each.last_seq < 280]
    assert same([printed(line) for line in after.splitlines()], whole)


def test_what_comes_byte_by_byte_is_put_together(in_sanitized_c, streamer, recording, rows, expected):
    with trickling(of(streamer)) as addresses:
        done = run(arguments(in_sanitized_c, addresses, "trickled", recording), "\n".join(rows[:100]))
    assert done.returncode == 0, done.stderr
    assert same([printed(line) for line in done.stdout.splitlines()], expected[:3])


@pytest.mark.parametrize("client", ["in_sanitized_c", "in_javascript"], indirect=True)
def test_nonsense_from_a_streamer_is_passed_over(client, recording):
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with false_streamer() as (addresses, samples, control, labels):
        with subprocess.Popen(arguments(client, addresses, "ben", recording), text=True, **pipes) as process:
            subscriptions = [labels.recv(), labels.recv()]
            peer, message = control.recv_multipart()
            about = decode(message)
            answer = encode_answer(Answer(True, about.key, "ben", {"classes": ["a"] * 20}))
            for each in (*nonsense(answer), answer):
                control.send_multipart([peer, each])
            topic, label = A_LABEL
            for each in (*nonsense(label), label):
                labels.send_multipart([topic, each])
            labels.send_multipart(encode_event(Event("accepted", "ben", -1, {})))
            while decode(samples.recv()) != End(about.key):
                pass
            labels.send_multipart(encode_event(Event("end", "ben", about.session, {"reason": "end"})))
            stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert subscriptions == [b"\1label/ben/", b"\1event/ben/"]
    assert process.returncode == 0, stderr
    assert "\x1b" not in stdout + stderr
    assert printed(stdout.splitlines()[-1]) == Named(5, "Übung?[2J", 0.75, 80, 143, (0.25, 0.75))


def test_no_byte_past_the_end_of_a_frame_is_read(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler, cc")
    program = tmp_path / "frames"
    command = ["cc", *STRICT, *SANITIZED, "-I", CLIENTS, "-o", program, GIVEN / "frames.c"]
    subprocess.run(command, check=True)
    said = encode_acknowledged([Acknowledgement(9, 2, 1, 5), Acknowledgement(7, 3, 2, 1 << 40, True)])
    frames = [*nonsense(A_LABEL[1]), *nonsense(said)]
    text = b"".join(len(frame).to_bytes(4, "little") + frame for frame in frames)
    done = subprocess.run([program], input=text, capture_output=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout) == len(frames) > 600
