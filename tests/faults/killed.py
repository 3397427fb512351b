"""Replays of recordings while the streamer is killed, and the connections to it are cut; what comes of them.

The long form kills it a hundred times::

    python -m tests.faults.killed --kills 100 --seed 0 --out results/faults

An undisturbed replay of the same recordings says what is right: label for label, to the last bit of each probability.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kinestream.model.datasets import open_source
from kinestream.model.recordings.devices import DeviceReadings
from kinestream.replay.play.delivery import delivered
from kinestream.replay.play.impair import Impairments
from kinestream.replay.play.take import Take, takes_of
from kinestream.replay.run import Addresses, chosen_recordings, play_takes
from kinestream.streamer.client import Label, LabelSubscriber, Reliable
from tests.given.proxies import proxy
from tests.given.served import DEMO, READY_S, served

BUNDLE, RECORDINGS = DEMO / "bundle", DEMO / "sp-sw-har-excerpt.zip"

LabelKey = tuple[str, int, int]
Named = tuple[str, bytes]


class Heard:
    """Every label that is published, in a thread of its own.

    Attributes
    ----------
    labels : dict of (str, bytes) by (str, int, int)
        Class and probabilities, by stream, session and window.
    repeats, differing : int
        Labels that came once more, and those of them that said anything else.
    """

    def __init__(self, addresses: Addresses, *, fill: bool = True) -> None:
        self.labels: dict[LabelKey, Named] = {}
        self.repeats = self.differing = 0
        self._addresses, self._fill = addresses, fill
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> "Heard":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _listen(self) -> None:
        addresses = self._addresses
        with LabelSubscriber(addresses.labels, control=addresses.control, fill=self._fill, log=False) as subscriber:
            while not self._stop.is_set():
                message = subscriber.receive(0.1)
                if isinstance(message, Label):
                    self._add(message)

    def _add(self, label: Label) -> None:
        key, named = (label.stream, label.session, label.window), (label.label, label.probs)
        if (before := self.labels.get(key)) is not None:
            self.repeats += 1
            self.differing += before != named
        self.labels[key] = named


def takes(loop: int = 1, source: Path = RECORDINGS, *, devices: bool = False) -> list[Take]:
    """Return what is played, device by device if that is asked for."""
    opened = open_source(source)
    by_device: dict[str, tuple[DeviceReadings, ...]] = {}
    return takes_of(
        chosen_recordings(opened, None, None, by_device if devices else None),
        first_session=time.time_ns(),
        loop=loop,
        deliver=(lambda part: delivered(part, by_device[part.id], 1, Impairments())) if devices else None,
    )


def undisturbed(played: Sequence[Take], bundle: Path = BUNDLE) -> dict[LabelKey, Named]:
    """Return the labels of a replay that nothing happens to."""
    with served(bundle=bundle) as streamer, Heard(streamer.addresses) as heard:
        play_takes(played, streamer.addresses, speed="max", score=True, timeout_s=60)
        time.sleep(0.5)
    return heard.labels


class Outcome(NamedTuple):
    """What came of a disturbed replay."""

    expected: int
    missing: int
    wrong: int
    strangers: int
    repeats: int
    differing: int
    kills: int
    cuts: int
    seconds: float

    @property
    def is_right(self) -> bool:
        """Whether all labels came, each the right one, and every repeat said the same."""
        return not (self.missing or self.wrong or self.strangers or self.differing)


def killed(
    played: Sequence[Take],
    expected: dict[LabelKey, Named],
    *,
    speed: float,
    rng: random.Random,
    kills: int = 0,
    cuts: int = 0,
    patience_s: float = READY_S,
) -> Outcome:
    """Replay while the streamer is killed so often, at random moments: while it starts again, too.

    The sender's connections lead through a network that delays what passes, and cuts them so often, also in the middle
    of a message.
    """
    began = time.monotonic()
    with (
        served(patience_s=patience_s) as streamer,
        proxy(streamer.addresses.ingest, rng, delay_s=0.002 if cuts else 0.0) as samples,
        proxy(streamer.addresses.control, rng, delay_s=0.02 if cuts else 0.0) as requests,
        Heard(streamer.addresses) as heard,
        Heard(streamer.addresses, fill=False) as every,
    ):
        done = threading.Event()
        through = (
            Addresses(samples.address, streamer.addresses.labels, requests.address) if cuts else streamer.addresses
        )

        def cut() -> None:
            for _ in range(cuts):
                if done.wait(rng.uniform(0.0, 0.8)):
                    return
                rng.choice([samples.cut, samples.halve, samples.halve, requests.cut])()

        def kill() -> None:
            for number in range(kills):
                if done.wait(rng.uniform(0.0, 1.5)):
                    return
                streamer.kill()
                streamer.wait_ready(number + 2)

        threads = [threading.Thread(target=kill), threading.Thread(target=cut)]
        for thread in threads:
            thread.start()
        try:
            play_takes(played, through, speed=speed, reliable=Reliable(close_s=120), timeout_s=60)
            time.sleep(1.0)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        starts = streamer.starts
    found = heard.labels
    return Outcome(
        expected=len(expected),
        missing=len(expected.keys() - found.keys()),
        wrong=sum(expected[key] != found[key] for key in expected.keys() & found.keys()),
        strangers=len(found.keys() - expected.keys()),
        repeats=every.repeats,
        differing=every.differing + heard.differing,
        kills=starts - 1,
        cuts=samples.cuts + requests.cuts,
        seconds=time.monotonic() - began,
    )


def main() -> None:
    """Kill, and write a report."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.killed", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--devices", action="store_true", help="played device by device")
    parser.add_argument("--cuts", type=int, default=0, help="of the sender's connections")
    parser.add_argument("--speed", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--loop", type=int, default=60, help="how often the recordings are played, one after the other")
    parser.add_argument("--out", type=Path, help="folder for the report")
    chosen = parser.parse_args()
    played = takes(loop=chosen.loop, devices=chosen.devices)
    expected = undisturbed(played)
    print(f"{len(expected):,} labels are expected", flush=True)
    how = {"kills": chosen.kills, "cuts": chosen.cuts, "speed": chosen.speed, "patience_s": 600.0}
    outcome = killed(played, expected, **how, rng=random.Random(chosen.seed))
    report = {"seed": chosen.seed, "speed": chosen.speed, **outcome._asdict(), "is_right": outcome.is_right}
    print(json.dumps(report))
    if chosen.out is not None:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / ("cut.json" if chosen.cuts else "killed.json")).write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(not outcome.is_right)


if __name__ == "__main__":
    main()
