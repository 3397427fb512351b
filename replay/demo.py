"""The demo: a shipped model recognises people it was not trained on, live, through a streamer of its own."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from kinestream.model.clock import now_ns
from kinestream.model.datasets import Recording, open_source
from kinestream.replay.play.screen import Screen
from kinestream.replay.play.take import Take, takes_of
from kinestream.replay.process import OwnStreamer, started_streamer
from kinestream.replay.report import ReplayReport
from kinestream.replay.run import Addresses, play_takes

DATA = Path(__file__).parent / "demo_data"
BUNDLE = DATA / "bundle"
RECORDINGS = DATA / "sp-sw-har-excerpt.zip"

_APART_S = 0.002  # wearers do not send in step; the rest of the 20 ms between samples is time to draw


def demo(
    *,
    seconds: float | None = None,
    speed: float = 1.0,
    screen: Callable[[Sequence[Take], Addresses], Screen] | None = None,
    beside: Callable[[OwnStreamer], AbstractContextManager[object]] | None = None,
) -> ReplayReport:
    """Start a streamer with the shipped bundle, play the shipped recordings into it, and score its labels.

    Parameters
    ----------
    seconds : float, optional
        Stop after so many seconds of recording; play all by default.
    speed : float
        How many times as fast as it was recorded.
    screen : callable, optional
        Given what is played and where the streamer is, returns what shows how it goes; by default nothing does.
    beside : callable, optional
        Given the streamer, returns what runs beside it, such as a dashboard; entered before anything is shown.

    Raises
    ------
    EndpointError
        If the streamer does not start.
    """
    takes = demo_takes(open_source(RECORDINGS).recordings(), seconds)
    with started_streamer(BUNDLE) as streamer, beside(streamer) if beside else nullcontext():
        shown = screen and screen(takes, streamer.addresses)
        return play_takes(takes, streamer.addresses, speed=speed, score=True, truth=True, keys="", screen=shown)


def demo_takes(recordings: Iterable[Recording], seconds: float | None) -> list[Take]:
    """Return a stream per person, whose recordings follow one another as sessions; all people begin together."""
    first_session = now_ns()
    behind: dict[str, list[Take]] = {}
    for recording in recordings:
        begin_s = _APART_S * len(behind) if recording.person not in behind else 0.0
        own = behind.setdefault(recording.person, [])
        start_s = own[-1].start_s + own[-1].recording.seconds if own else begin_s
        left_s = None if seconds is None else seconds - start_s
        if left_s is not None and left_s * recording.rate_hz < 1:
            continue
        named = replace(recording, id=recording.person)
        (take,) = takes_of([named], first_session=first_session + len(own), duration_s=left_s)
        own.append(replace(take, start_s=start_s))
    return [take for own in behind.values() for take in own]
