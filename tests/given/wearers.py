"""The demo's wearers, each several times over under other names, sent reliably to a fleet at a pace of their own."""

import threading
import time
from dataclasses import replace
from typing import Self

from kinestream import SampleConnection, SampleSender
from kinestream.model.datasets import open_source
from kinestream.model.recordings.recording import Recording
from kinestream.replay.play.take import Take
from kinestream.replay.run import chosen_recordings
from kinestream.streamer.client import Reliable
from tests.faults.killed import RECORDINGS

SESSION = 1
CHUNK = 10


def wearers(times: int) -> list[Recording]:
    """Return the demo's recordings so many times, each under a name of its own."""
    found = chosen_recordings(open_source(RECORDINGS), None, None, None)
    return [replace(each, id=f"{each.id}-{number}") for number in range(times) for each in found]


def takes_once(recordings: list[Recording], session: int = SESSION) -> list[Take]:
    """Return each played once."""
    return [Take(each, session, 0.0) for each in recordings]


class Feed:
    """Sends recordings to a fleet from a thread, so fast times their true rate.

    Parameters
    ----------
    fleet : str
        Where the directory answers.
    recordings : list of Recording
        What is sent, sample for sample side by side.
    speed : float
        How much faster than it was recorded.
    session : int
        Of each stream.
    """

    def __init__(self, fleet: str, recordings: list[Recording], speed: float, session: int = SESSION) -> None:
        self.is_over = threading.Event()
        self._fleet, self._recordings, self._speed, self._session = fleet, recordings, speed, session
        self._trouble: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        if self._trouble:
            raise self._trouble[0]

    def _run(self) -> None:
        try:
            self._send()
        except BaseException as error:
            self._trouble.append(error)
        finally:
            self.is_over.set()

    def _send(self) -> None:
        longest = max(len(each.samples) for each in self._recordings)
        with SampleConnection(fleet=self._fleet, reliable=Reliable(close_s=120), timeout_s=60) as connection:
            senders = [
                SampleSender(each.id, each.channels, each.rate_hz, session=self._session, connection=connection)
                for each in self._recordings
            ]
            began = time.monotonic()
            for first in range(0, longest, CHUNK):
                due = began + (first + CHUNK) / (self._recordings[0].rate_hz * self._speed)
                time.sleep(max(0.0, due - time.monotonic()))
                for sender, each in zip(senders, self._recordings, strict=True):
                    if first < len(each.samples):
                        sender.send(each.samples[first : first + CHUNK], seq=first)
            for sender in senders:
                sender.end()
            for sender in senders:
                sender.close()
