"""The senders of docs/clients: how they are compiled and called, and what they print."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from kinestream.model.datasets import Recording
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire.messages import Label

CLIENTS = Path(__file__).parents[2] / "docs" / "clients"
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
    """Compile the sender in C."""
    program = folder / "sender"
    subprocess.run(["cc", *STRICT, *options, "-o", program, CLIENTS / "sender.c"], check=True)
    return program


def named(label: Label) -> Named:
    """Return what a client tells of a label."""
    probs = tuple(map(float, label.probabilities))
    return Named(label.window, label.label, label.p, label.first_seq, label.last_seq, probs)


def printed(line: str) -> Named:
    """Read a line that a client printed."""
    window, label, p, first, last, probs = line.rstrip("\n").split("\t")
    return Named(int(window), label, float(p), int(first), int(last), tuple(map(float, probs.split(" "))))


def same(answers: Sequence[Named], expected: Sequence[Named]) -> bool:
    """Assert that labels are those, one for one."""
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


def of(streamer: Streamer) -> tuple[str, str, str]:
    """Return a streamer's addresses in the order of `arguments`."""
    return streamer.ingest, streamer.control, streamer.labels


def run(command: Command, rows: str = "") -> subprocess.CompletedProcess[str]:
    """Run a client on rows."""
    return subprocess.run(command, input=rows, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
