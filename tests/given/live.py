"""A recognizer of a small bundle, what it is fed, and whether two of them say the same; no socket."""

import numpy as np

from kinestream.model.engine.load import load_engine
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.wire.codec import encode_samples
from kinestream.streamer.wire.messages import Description, End, Label
from tests.given.bundles import random_bundle
from tests.given.fed import introduce, take_in_bulk
from tests.given.keys import described, key_of

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
ENGINE = load_engine(BUNDLE, "cpu")
TOLERANCE = 1e-5


def recognizer(**options: object) -> Recognizer:
    return Recognizer(BUNDLE, ENGINE, **options)


def samples(stream: str, session: int, seq: int, x: np.ndarray, t: int = 0) -> bytes:
    return encode_samples(key_of(stream, session), seq, t, x)


def about(stream: str, session: int = 1, channels: tuple[Channel, ...] = BUNDLE.channels, **others: object):
    return described(stream, channels, 50.0, session, **others)


def feed(live: Recognizer, message: bytes | Description | End, received: int = 0, **options: bool) -> None:
    """Give a message to a recognizer as the loop does."""
    match message:
        case Description():
            introduce(live, message)
        case End():
            live.take(message, received, **options)
        case _:
            assert take_in_bulk(live, [message], received, **options) == {}


def forget(live: Recognizer) -> None:
    """Look twice, so far apart that every stream has been silent for too long."""
    live.forget_silent(10**15)
    live.forget_silent(10**18)


def signal(n: int, seed: int = 0, missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    x[rng.random(x.shape) < missing] = np.nan
    return x


def answers(labels: list[Label]) -> list[tuple[int, int, str]]:
    return [(label.session, label.window, label.label) for label in labels]


def assert_same(one: list[Label], other: list[Label]) -> None:
    assert answers(one) == answers(other)
    np.testing.assert_allclose([label.p for label in one], [label.p for label in other], atol=TOLERANCE)
