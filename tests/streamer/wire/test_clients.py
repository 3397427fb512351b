"""The senders of docs/clients, in C and in JavaScript, get the labels that Python's gets, and end in one line."""

import os
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgpack
import numpy as np
import pytest
import zmq

from kinestream import LabelSubscriber, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.datasets import Recording, open_source
from kinestream.model.errors import ChannelMismatch
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire.codec import decode, encode_answer
from kinestream.streamer.wire.messages import Answer, End, Event, Label
from kinestream.streamer.wire.published import encode_event, encode_label
from tests.given.streamers import free_addresses, running_streamer, unserved_addresses

CLIENTS = Path(__file__).parents[3] / "docs" / "clients"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wvla")
SANITIZED = (
    "-g",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-DFRAME=1024",
)  # with a device's memory
PATIENCE_S = 60.0
LOST = 200  # the reading that never comes whole

Command = Sequence[str | Path]


class Named(NamedTuple):
    """A label as all clients tell it."""

    window: int
    label: str
    p: float
    first_seq: int
    last_seq: int
    probs: tuple[float, ...]


def compiled(folder: Path, *options: str) -> Path:
    program = folder / "sender"
    subprocess.run(["cc", *STRICT, *options, "-o", program, CLIENTS / "sender.c"], check=True)
    return program


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Command:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler, cc")
    return [compiled(tmp_path_factory.mktemp("c"), "-O2")]


@pytest.fixture(scope="module")
def in_sanitized_c(tmp_path_factory: pytest.TempPathFactory) -> Command:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler, cc")
    return [compiled(tmp_path_factory.mktemp("sanitized"), *SANITIZED)]


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


@pytest.fixture(scope="module")
def streamer() -> Iterator[Streamer]:
    with running_streamer(read_bundle(BUNDLE)) as running:
        yield running


@pytest.fixture(scope="module")
def recording() -> Recording:
    return next(iter(open_source(RECORDINGS).recordings()))


@pytest.fixture(scope="module")
def x(recording: Recording) -> np.ndarray:
    """The recording's samples; here and there a sensor was silent."""
    samples = recording.samples.copy()
    samples[50:53, 4] = samples[90, 6:] = samples[300] = np.nan
    return samples


@pytest.fixture(scope="module")
def expected(streamer: Streamer, recording: Recording, x: np.ndarray) -> list[Named]:
    """What Python's sender gets for them, without the lost one."""
    with LabelSubscriber(streamer.labels, streams=["python"], events=True) as labels:
        channels, control = recording.channels, streamer.control
        with SampleSender("python", channels, recording.rate_hz, endpoint=streamer.ingest, control=control) as sender:
            while not sender.wait_accepted()["subscribers"]:
                pass
            for seq, row in enumerate(x):
                if seq != LOST:
                    sender.send(row, seq=seq)
        answers: list[Named] = []
        while not isinstance(message := labels.receive(PATIENCE_S), Event) or message.event != "end":
            assert message is not None
            if isinstance(message, Label):
                answers.append(named(message))
    assert len({each.label for each in answers}) > 2
    assert len(answers) == 1 + (len(x) - 64) // 16
    return answers


def named(label: Label) -> Named:
    probs = tuple(map(float, label.probabilities))
    return Named(label.window, label.label, label.p, label.first_seq, label.last_seq, probs)


def printed(line: str) -> Named:
    window, label, p, first, last, probs = line.rstrip("\n").split("\t")
    return Named(int(window), label, float(p), int(first), int(last), tuple(map(float, probs.split(" "))))


def same(answers: Sequence[Named], expected: Sequence[Named]) -> bool:
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer.probs == pytest.approx(wanted.probs, abs=1e-6)
        assert answer.p == pytest.approx(wanted.p, abs=1e-6)
        assert answer._replace(p=0, probs=()) == wanted._replace(p=0, probs=())
    return True


def arguments(client: Command, addresses: Sequence[str], stream: str, recording: Recording, *options: str) -> Command:
    """Return how a client is called; addresses are those of samples, control and labels."""
    ports = [address.rpartition(":")[2] for address in addresses]
    columns = ",".join(f"{channel.name}:{channel.unit}" for channel in recording.channels)
    return [*client, *options, "127.0.0.1", *ports, stream, f"{recording.rate_hz:g}", columns]


@pytest.fixture(scope="module")
def rows(x: np.ndarray) -> list[str]:
    """The samples as lines of text; that of the lost one was garbled on its way."""
    lines = [",".join("" if np.isnan(value) else f"{value:.9g}" for value in values) for values in x]
    lines[LOST] = lines[LOST][:-20] + ",\0?"
    return lines


def of(streamer: Streamer) -> tuple[str, str, str]:
    return streamer.ingest, streamer.control, streamer.labels


def run(command: Command, rows: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=rows, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


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


@contextmanager
def trickling(addresses: Sequence[str]) -> Iterator[list[str]]:
    """Pass connections to the addresses on, both ways, a byte at a time."""

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # the other one has gone
            while byte := source.recv(1):
                sink.sendall(byte)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def accept(listener: socket.socket, port: int) -> None:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=pass_on, args=(far, near))
        back.start()
        pass_on(near, far)
        back.join()
        near.close()
        far.close()

    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in addresses]
    ports = [int(address.rpartition(":")[2]) for address in addresses]
    threads = [threading.Thread(target=accept, args=pair) for pair in zip(listeners, ports, strict=True)]
    for each in threads:
        each.start()
    yield [f"tcp://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    for each in (*threads, *listeners):
        (each.join if isinstance(each, threading.Thread) else each.close)()


@pytest.mark.parametrize("client", ["in_sanitized_c", "in_javascript"], indirect=True)
def test_nonsense_from_a_streamer_is_passed_over(client, recording):
    probs = np.float32([0.25, 0.75]).tobytes()
    topic, label = encode_label(
        Label("ben", 7, 5, 80, 143, "Übung\x1b[2J", 1, 0.75, probs, {"sensor": 0.5}, "m", *range(5))
    )
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with false_streamer() as (addresses, samples, control, labels):
        with subprocess.Popen(arguments(client, addresses, "ben", recording), text=True, **pipes) as process:
            subscriptions = [labels.recv(), labels.recv()]
            peer, message = control.recv_multipart()
            about = decode(message)
            answer = encode_answer(Answer(True, about.key, "ben", {"classes": ["a"] * 20}))
            for each in (*nonsense(answer), answer):
                control.send_multipart([peer, each])
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


@contextmanager
def false_streamer() -> Iterator[tuple[list[str], zmq.Socket[bytes], zmq.Socket[bytes], zmq.Socket[bytes]]]:
    """Open the sockets of a streamer; addresses as in `arguments`."""
    with zmq.Context() as context:
        opened = [context.socket(kind) for kind in (zmq.PULL, zmq.ROUTER, zmq.XPUB)]
        for each in opened:
            each.set_hwm(0)
            each.set(zmq.RCVTIMEO, round(1000 * PATIENCE_S))
            each.bind("tcp://127.0.0.1:*")
        try:
            yield [each.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode() for each in opened], *opened
        finally:
            context.destroy(linger=0)


def nonsense(message: bytes) -> Iterator[bytes]:
    """Yield what looks like a message: cut short, with bits changed, with more announced than there is."""
    yield from (message[:length] for length in range(len(message)))
    chance = random.Random(1)
    for _ in range(300):
        changed = bytearray(message)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        yield bytes(changed)
    entry = msgpack.packb("other")
    for mark in range(0xC0, 0xE0):  # a number that follows is as large as can be, or there are but zeros
        yield from (b"\x82" + entry + bytes([mark]) + byte * 300 for byte in (b"\xff", b"\0"))
        yield bytes([mark]) + b"\xff" * 300
    yield b"\x82" + entry + b"\x91" * 60_000
