"""A fleet that asks for keys: senders and subscribers show theirs to its directory and to each of its streamers."""

import numpy as np
import pytest

from kinestream import Label, LabelSubscriber, SampleSender
from kinestream.model.errors import AccessError
from kinestream.streamer.directory.table import Addresses, slot_names
from tests.given.bundles import random_bundle
from tests.given.fleets import Fleet, until
from tests.given.keyholders import file_of, kept_in, keys_of, stranger
from tests.given.streamers import ANY_PORT, running_streamer

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
X = np.random.default_rng(6).normal(size=(80, 3)).astype(np.float32)


def test_a_stream_changes_hands_under_the_same_keys(tmp_path):
    kept = kept_in(tmp_path / "keys")
    options = {"keys": kept.path, "history": 0.5, "watch": ANY_PORT}
    with (
        running_streamer(BUNDLE, **options) as first,
        running_streamer(BUNDLE, **options) as second,
        Fleet(folder=kept, keys=keys_of(kept, "keeper")) as fleet,
    ):
        for slot, streamer in zip(slot_names(2), (first, second), strict=True):
            at = Addresses(streamer.ingest, streamer.control, streamer.labels, streamer.watch)
            fleet.register(slot, at)
        stream = next(name for name in ("a", "b", "c", "d", "e", "f") if fleet.plan(2).slot_of(name) == "streamer-1")
        windows = []
        with (
            LabelSubscriber(fleet=fleet.address, keys=file_of(kept, "reader"), log=False) as labels,
            SampleSender(
                stream, BUNDLE.channels, 50.0, fleet=fleet.address, reliable=True, keys=file_of(kept, "gateway")
            ) as sender,
        ):

            def hear(count: int) -> None:
                def has_come() -> bool:
                    message = labels.receive(0.05)
                    sender._connection.service()
                    if isinstance(message, Label):
                        windows.append(message.window)
                    return len(windows) >= count

                until(has_come, f"{count} labels")

            sender.send(X[:40], seq=0)
            hear(9)
            fleet.plan(1)
            sender.send(X[40:], seq=40)
            hear(19)
        assert windows == list(range(19))


def test_a_stranger_hears_of_no_streamer(tmp_path):
    kept = kept_in(tmp_path / "keys")
    with (
        Fleet(folder=kept, keys=keys_of(kept, "keeper")) as fleet,
        pytest.raises(AccessError, match="directory"),
        SampleSender("a", BUNDLE.channels, 50.0, fleet=fleet.address, keys=stranger(kept)) as sender,
    ):
        sender.wait_accepted(20.0)
