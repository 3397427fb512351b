"""What the tests of the senders of docs/clients share: those in C, rows, and what Python's sender gets for them."""

import shutil
from collections.abc import Iterator

import numpy as np
import pytest

from kinestream import LabelSubscriber, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.datasets import Recording, open_source
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire.messages import Event, Label
from tests.given.clients import LOST, PATIENCE_S, SANITIZED, Command, Named, compiled, named
from tests.given.streamers import running_streamer


@pytest.fixture(scope="package")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Command:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler, cc")
    return [compiled(tmp_path_factory.mktemp("c"), "-O2")]


@pytest.fixture(scope="package")
def in_sanitized_c(tmp_path_factory: pytest.TempPathFactory) -> Command:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler, cc")
    return [compiled(tmp_path_factory.mktemp("sanitized"), *SANITIZED)]


@pytest.fixture(scope="module")
def streamer() -> Iterator[Streamer]:
    with running_streamer(read_bundle(BUNDLE)) as running:
        yield running


@pytest.fixture(scope="package")
def recording() -> Recording:
    return next(iter(open_source(RECORDINGS).recordings()))


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def rows(x: np.ndarray) -> list[str]:
    """The samples as lines of text; that of the lost one was garbled on its way."""
    lines = [",".join("" if np.isnan(value) else f"{value:.9g}" for value in values) for values in x]
    lines[LOST] = lines[LOST][:-20] + ",\0?"
    return lines
