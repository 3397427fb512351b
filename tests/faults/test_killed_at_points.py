"""A streamer that dies at the worst moments there are: each is named, and no label is lost or changed."""

import os
import time

import pytest

from kinestream.replay.run import play_takes
from kinestream.streamer.client import Reliable
from tests.faults.killed import Heard, takes, undisturbed
from tests.given.served import served

PATCH = """
import os, pathlib, signal
place, left = os.environ["DIES"], pathlib.Path(os.environ["DIES_LEFT"])

def die():
    lives = int(left.read_text())
    if lives:
        left.write_text(str(lives - 1))
        os.kill(os.getpid(), signal.SIGKILL)

def dying(kind, name, every, before=False):
    calls, call = 0, getattr(kind, name)
    def patched(self, *args, **kwargs):
        nonlocal calls
        happens = every(self, *args)
        calls += happens
        if before and happens and calls == 8:
            die()
        done = call(self, *args, **kwargs)
        if not before and happens and calls == 8:
            die()
        return done
    setattr(kind, name, patched)

from kinestream.streamer.reliable.receipts import Receipts
from kinestream.streamer.server.acknowledgements import Acknowledgements
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.recognizer.tracking import Tracking

def has_labels(streamer, outcomes):
    return any(hasattr(each, "probs") for each in outcomes)

match place:
    case "published":
        dying(Streamer, "_publish", has_labels)
    case "named":
        dying(Streamer, "_publish", has_labels, before=True)
    case "noted":
        dying(Tracking, "look", lambda self, now: bool(self.keys))
    case "acknowledged":
        calls = 0
        call = Acknowledgements.take
        def take(self, peer, request):
            global calls
            call(self, peer, request)
            calls += 1
            if calls == 4:
                die()
        Acknowledgements.take = take
    case "taken":
        dying(Receipts, "take", lambda self, *args: True)
"""
PLACES = {
    "named": "windows were named, and their labels not published yet",
    "published": "labels were published, and nothing acknowledged yet",
    "noted": "it was noted how far a key had come",
    "acknowledged": "an acknowledgement had just left",
    "taken": "a message was taken, one of those that are sent again",
}


# Each takes twenty seconds: all of them where KINESTREAM_LONG is set.
@pytest.mark.parametrize("place", PLACES if "KINESTREAM_LONG" in os.environ else ["published"])
def test_no_label_is_lost_when_it_dies_just_when(tmp_path, place):
    (tmp_path / "sitecustomize.py").write_text(PATCH)
    left = tmp_path / "left"
    left.write_text("2")
    played = takes()
    expected = undisturbed(played)
    environment = {"PYTHONPATH": str(tmp_path), "DIES": place, "DIES_LEFT": str(left)}
    with served("--history", "3", environment=environment) as streamer, Heard(streamer.addresses) as heard:
        play_takes(played, streamer.addresses, speed=40.0, reliable=Reliable(close_s=90), timeout_s=60)
        time.sleep(0.5)
        starts = streamer.starts
    assert heard.labels == expected
    assert not heard.differing
    assert starts == 3
    assert left.read_text() == "0"
