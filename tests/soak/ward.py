"""A ward in fast motion: wearers, each with recordings one after the other, while all that can go wrong does.

``python -m tests.soak.ward --wearers 200 --minutes 25 --seed 0 --out results/soak`` is the long form;
``--wearers 20 --minutes 1`` a short one. Meanwhile the streamer is killed, reloads bundles (now and then one that
is no good), readers are stopped for seconds, and the wall clock is set, each at random moments drawn from a seed.

What is right is known before: a label is a function of its window, so those of each recording are computed once.
Wearers send as fast as their labels come: only so many windows may be on their way. The time of day does not matter.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.datasets import open_source
from kinestream.model.errors import BundleError, EndpointError
from kinestream.replay.run import Addresses
from kinestream.streamer.client import Event, Label, LabelSubscriber, Reliable, SampleConnection, SampleSender
from kinestream.streamer.client.keeper import reload
from kinestream.streamer.recognizer.recognizer import Recognizer
from tests.faults.killed import BUNDLE, RECORDINGS
from tests.given.clocks import HOUR_S, SteppedClock
from tests.given.served import READY_S, Served, served
from tests.soak.reloads import others_of

SHARED_BY = 10
"""Wearers who share a connection."""
ON_THEIR_WAY, BEHIND = 4_000, 20_000
"""Windows that may be sent and not heard yet, by the reader who is never stopped and by the one who is."""
_QUIET_S = 15.0  # after so long without a label nothing more comes
_CLOSE_S = 180.0
_SAY_EVERY_S = 30.0
_PAUSE_S = 0.01
_KILLS_S, _RELOADS_S, _STOPS_S, _STEPS_S = (15.0, 60.0), (5.0, 20.0), (5.0, 25.0), (5.0, 30.0)
_LEAST_STOPPED_S = 0.3
HISTORY_S = 5.0
"""For how long the streamer keeps what it published: a reader is stopped for up to half of that."""
_USUAL = ("accepted", "end", "model")
_MOST_SAID, _MOST_LACKING = 100_000, 50
_BAD_EVERY = 4  # reloads, one of a bundle that is no good

_FILLED = ("missing", "wrong", "strangers", "repeats", "out_of_turn", "missed")
_WRONG = {"steady": _FILLED, "stopped": _FILLED, "published": ("wrong", "strangers")}
"""What may not be, by reader: each label once and in order where holes are filled; repeats say the same elsewhere."""

Named = tuple[str, bytes]
Expected = list[dict[int, Named]]
"""What each window of each day is."""


class Day(NamedTuple):
    """What a wearer sends in a session: all recordings, beginning with another each day."""

    samples: npt.NDArray[np.float32]
    windows: dict[int, Named]


def days() -> list[Day]:
    """Return as many as there are recordings, and what an engine says of each."""
    source = open_source(RECORDINGS)
    recorded = [np.asarray(each.samples) for each in source.recordings()]
    recognizer = Recognizer.load(BUNDLE, device="cpu")
    made = []
    for first in range(len(recorded)):
        samples = np.concatenate(recorded[first:] + recorded[:first]).astype(np.float32)
        named = recognizer.push(f"day-{first}", samples)
        made.append(Day(samples, {label.window: (label.label, label.probs) for label in named}))
    return made


class Counts:
    """What processes tell one another: windows that were sent and heard, and whether it is over."""

    def __init__(self, context: Any, senders: int) -> None:
        self.sent = [context.Value("q", 0, lock=False) for _ in range(senders)]
        self.heard, self.heard_by_stopped = (context.Value("q", 0, lock=False) for _ in range(2))
        self.due = context.Value("q", -1, lock=False)  # labels in all, once that is known
        self.over = context.Event()

    def may_send(self) -> bool:
        """Tell whether not too much is on its way."""
        sent = sum(each.value for each in self.sent)
        return sent - self.heard.value < ON_THEIR_WAY and sent - self.heard_by_stopped.value < BEHIND


class Wearers(NamedTuple):
    """Some of them, who send from one process, and the first session of each."""

    number: int
    first: int
    names: list[str]
    session: int


def wear(at: Addresses, played: list[Day], wearers: Wearers, counts: Counts, told: Connection) -> None:
    """Send as some wearers until it is over, each to the end of its day; tell how many sessions each had."""
    number, first, names, session = wearers
    about = read_bundle(BUNDLE)
    rate, stride = about.description.rate_hz, about.grid.stride
    rng, sessions = random.Random(session + number), dict.fromkeys(names, 0)
    kept = Reliable(keep_bytes=64 << 20, close_s=_CLOSE_S)
    connections = [
        SampleConnection(at.ingest, control=at.control, reliable=kept) for _ in range(0, len(names), SHARED_BY)
    ]

    def wearer(index: int, name: str) -> Iterator[int]:
        """Send a message each time; yield for how many windows more all is sent."""
        connection = connections[index // SHARED_BY]
        with SampleSender(name, about.channels, rate, session=session, connection=connection) as sender:
            while True:
                samples, at = played[(first + index + sessions[name]) % len(played)].samples, 0
                while at < len(samples):
                    end = min(at + rng.randint(1, 4 * stride), len(samples))
                    sender.send(samples[at:end], t=session + int((at + end) * 1e9 / rate), seq=at)
                    yield about.grid.count(end) - about.grid.count(at)
                    at = end
                sessions[name] += 1
                if counts.over.is_set():
                    return
                sender.new_session(session + sessions[name])

    going = [wearer(index, name) for index, name in enumerate(names)]
    waited = 0.0
    while going:
        while not counts.may_send() and waited < _QUIET_S:
            waited += _PAUSE_S
            time.sleep(_PAUSE_S)
            for connection in connections:
                connection.service()
        waited = 0.0
        for each in list(going):
            windows = next(each, None)
            if windows is None:
                going.remove(each)
            else:
                counts.sent[number].value += windows
    unacknowledged = 0
    for connection in connections:
        connection.close()
        unacknowledged += connection.unacknowledged
    told.send((sessions, unacknowledged))


def read(
    at: Addresses, expected: Expected, fill: bool, first_session: int, heard: Any, due: Any, told: Connection
) -> None:
    """Hold every label against what it has to be, until all have come or none comes any more; tell what came of it."""
    came: dict[tuple[str, int], int] = {}  # a bit for each window
    of_model: dict[tuple[str, int, str], int] = {}
    last: dict[tuple[str, str], tuple[int, int]] = {}
    labels = wrong = repeats = out_of_turn = 0
    said: list[tuple[int, str, int, str, dict[str, Any]]] = []  # besides labels, by the one who fills nothing
    heard_at = time.monotonic()
    control = at.control if fill else None
    with LabelSubscriber(at.labels, control=control, fill=fill, events=not fill, log=False) as subscriber:
        told.send("listening")
        while due.value < 0 or (labels < due.value and time.monotonic() - heard_at < _QUIET_S):
            message = subscriber.receive(0.5)
            if not isinstance(message, Label):
                if isinstance(message, Event) and message.event not in _USUAL and len(said) < _MOST_SAID:
                    number = message.session - first_session
                    said.append((time.monotonic_ns(), message.stream, number, message.event, message.details))
                continue
            heard_at = time.monotonic()
            stream, session, window = message.stream, message.session, message.window
            day = (int(stream.rpartition("-")[2]) + session - first_session) % len(expected)
            wrong += expected[day].get(window) != (message.label, message.probs)
            before = came.get((stream, session), 0)
            is_first = not before >> window & 1
            labels += is_first
            came[stream, session] = before | 1 << window
            # Another model's label of a window is another one, as where bundles were reloaded and what came before a
            # kill is named anew.
            by = stream, session, message.model
            had = of_model.get(by, 0)
            repeats += had >> window & 1
            of_model[by] = had | 1 << window
            out_of_turn += is_first and (session, window) <= last.get((stream, message.model), (-1, -1))
            last[stream, message.model] = session, window
            heard.value = labels
        told.send(
            {
                "came": came,
                "said": said,
                "labels": labels,
                "wrong": wrong,
                "repeats": repeats,
                "out_of_turn": out_of_turn,
                "filled": subscriber.filled,
                "missed": subscriber.missed,
            }
        )


class Plan(NamedTuple):
    """How long it goes on and what goes wrong when: `pace` says how much of the usual time lies in between."""

    wearers: int = 200
    seconds: float = 1500.0
    seed: int = 0
    senders: int = 4
    pace: float = 1.0
    history_s: float = HISTORY_S
    log: Path = Path(os.devnull)


class Harm:
    """What is done to a streamer and its readers, each kind in a thread of its own."""

    def __init__(self, streamer: Served, stopped: int, clock: SteppedClock, folder: Path, plan: Plan) -> None:
        self.done: Counter[str] = Counter()
        self.times: list[tuple[int, str]] = []  # monotonic ns, and what was done
        self._streamer, self._stopped, self._clock, self._plan = streamer, stopped, clock, plan
        self._folders = (BUNDLE, *others_of(BUNDLE, folder))
        self._over = threading.Event()
        kinds = ((self._kill, _KILLS_S), (self._reload, _RELOADS_S), (self._stop, _STOPS_S), (self._set, _STEPS_S))
        self._threads = [
            threading.Thread(target=self._go_on, args=(what, every, random.Random(f"{plan.seed}{what.__name__}")))
            for what, every in kinds
        ]

    def __enter__(self) -> "Harm":
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in self._threads:
            each.join()
        self._clock.set(0.0)

    def _go_on(self, what: Callable[[random.Random], None], every: tuple[float, float], rng: random.Random) -> None:
        while not self._over.wait(self._plan.pace * rng.uniform(*every)):
            self.times.append((time.monotonic_ns(), what.__name__))
            what(rng)

    def _kill(self, rng: random.Random) -> None:
        starts = self._streamer.starts
        self._streamer.kill()
        self._streamer.wait_ready(starts + 1)
        self.done["kills"] += 1

    def _reload(self, rng: random.Random) -> None:
        number = self.done["reloads"] + self.done["bundles_refused"]
        folder = self._folders[2 if number % _BAD_EVERY == _BAD_EVERY - 1 else rng.randrange(2)]
        try:
            reload(folder, self._streamer.addresses.control, 10.0)
            self.done["reloads"] += 1
        except BundleError:
            self.done["bundles_refused"] += 1
        except EndpointError:  # it was killed meanwhile
            self.done["reloads_cut_short"] += 1

    def _stop(self, rng: random.Random) -> None:
        os.kill(self._stopped, signal.SIGSTOP)
        try:
            self._over.wait(rng.uniform(_LEAST_STOPPED_S, self._plan.history_s / 2))
        finally:
            os.kill(self._stopped, signal.SIGCONT)
        self.done["readers_stopped"] += 1

    def _set(self, rng: random.Random) -> None:
        self._clock.set(rng.choice((-HOUR_S, HOUR_S)) * rng.random())
        self.done["clock_steps"] += 1


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    """Have processes that are started in the block begin with more in their environment."""
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def ward(folder: Path, plan: Plan) -> dict[str, Any]:
    """Run it, and return what came of it."""
    clock, spawn = SteppedClock(folder), multiprocessing.get_context("spawn")
    counts, session = Counts(spawn, plan.senders), time.time_ns()
    names = [f"wearer-{i}" for i in range(plan.wearers)]
    share = -(-plan.wearers // plan.senders)
    processes, pipes = [], []

    def start(job: Callable[..., None], *arguments: Any) -> tuple[int, Connection]:
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=job, args=(*arguments, theirs), daemon=True)
        process.start()
        processes.append(process)
        pipes.append(ours)
        assert process.pid is not None
        return process.pid, ours

    played, began = days(), time.monotonic()
    expected = [each.windows for each in played]
    with (
        plan.log.open("wb") as log,
        _environment(clock.environment),
        served(
            *("--max-streams", str(2 * plan.wearers + 10), "--history", f"{plan.history_s:g}"),
            environment=clock.environment,
            patience_s=600.0 if plan.pace == 1.0 else READY_S,
            log=log,
        ) as streamer,
    ):
        try:
            at, nobody = streamer.addresses, spawn.Value("q", 0, lock=False)
            readers = {
                "steady": start(read, at, expected, True, session, counts.heard, counts.due),
                "stopped": start(read, at, expected, True, session, counts.heard_by_stopped, counts.due),
                "published": start(read, at, expected, False, session, nobody, counts.due),
            }
            for _, pipe in readers.values():
                assert _told(pipe, 60.0) == "listening"
            worn = [
                start(wear, at, played, Wearers(i, i * share, names[i * share : (i + 1) * share], session), counts)[1]
                for i in range(plan.senders)
            ]
            with Harm(streamer, readers["stopped"][0], clock, folder, plan) as harm:
                _wait(plan.seconds, counts, harm)
            counts.over.set()
            sessions: dict[str, int] = {}
            unacknowledged = 0
            for pipe in worn:
                had, left = _told(pipe, 2 * _CLOSE_S + 60.0)
                sessions |= had
                unacknowledged += left
            due = _due(played, sessions, session)
            counts.due.value = sum(len(day.windows) for day in due.values())
            heard = {name: _told(pipe, _CLOSE_S) for name, (_, pipe) in readers.items()}
        finally:
            for process in processes:
                process.kill()
    return _report(due, heard, harm, session) | {
        "wearers": plan.wearers,
        "history_s": plan.history_s,
        "seed": plan.seed,
        "seconds": round(time.monotonic() - began, 1),
        "unacknowledged": unacknowledged,
    }


def _wait(seconds: float, counts: Counts, harm: Harm) -> None:
    began = said = time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        time.sleep(min(0.5, began + seconds - now))
        if now - said > _SAY_EVERY_S:
            said = now
            sent = sum(each.value for each in counts.sent)
            print(f"{now - began:.0f} s: {counts.heard.value:,} of {sent:,} labels, {dict(harm.done)}", file=sys.stderr)


def _told(pipe: Connection, patience_s: float) -> Any:
    if not pipe.poll(patience_s):
        raise TimeoutError(f"a process said nothing for {patience_s:g} s")
    return pipe.recv()


def _due(played: list[Day], sessions: Mapping[str, int], first: int) -> dict[tuple[str, int], Day]:
    """Return what was sent of each stream and session."""
    return {
        (stream, first + number): played[(index + number) % len(played)]
        for index, (stream, count) in enumerate(sessions.items())
        for number in range(count)
    }


def _lacking(
    bits: Mapping[tuple[str, int], int], heard: dict[str, Any], times: list[tuple[int, str]], first: int
) -> list[dict[str, Any]]:
    """Return which windows any reader lacks, the first of them, what was said of their streams, and what was done."""
    said, found = heard["published"]["said"], []
    for (stream, session), expected in bits.items():
        lacks = {name: expected & ~about["came"].get((stream, session), 0) for name, about in heard.items()}
        if not any(lacks.values()):
            continue
        about = {name: [at for at in range(left.bit_length()) if left >> at & 1] for name, left in lacks.items()}
        number = session - first
        words = [each for each in said if each[1] == stream and abs(each[2] - number) <= 1]
        done = [(at, what) for at, what in times if any(abs(at - each[0]) < 5e9 for each in words)]
        found.append({"stream": stream, "session": number, "windows": about, "said": words, "done": done})
    return found[:_MOST_LACKING]


def _report(due: dict[tuple[str, int], Day], heard: dict[str, Any], harm: "Harm", first: int) -> dict[str, Any]:
    done = harm.done
    bits = {each: sum(1 << window for window in day.windows) for each, day in due.items()}
    lacking = _lacking(bits, heard, harm.times, first)
    for about in heard.values():
        came, said = about.pop("came"), about.pop("said")
        about["events"] = Counter(each[3] for each in said)
        about["missing"] = sum((expected & ~came.get(each, 0)).bit_count() for each, expected in bits.items())
        about["strangers"] = sum((found & ~bits.get(each, 0)).bit_count() for each, found in came.items())
    samples, rate = sum(len(day.samples) for day in due.values()), read_bundle(BUNDLE).description.rate_hz
    wrong = {name: [what for what in _WRONG[name] if about[what]] for name, about in heard.items()}
    return {
        "wearer_hours": round(samples / rate / 3600, 2),
        "sessions": len(due),
        "labels_expected": sum(len(day.windows) for day in due.values()),
        **{name: done[name] for name in ("kills", "reloads", "bundles_refused", "reloads_cut_short")},
        **{name: done[name] for name in ("readers_stopped", "clock_steps")},
        "heard": heard,
        "wrong": {name: what for name, what in wrong.items() if what},
        **({"lacking": lacking} if lacking else {}),
        "is_right": not any(wrong.values()),
    }


def main() -> None:
    """Run it, and say whether it holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.ward", description=__doc__)
    parser.add_argument("--wearers", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pace", type=float, default=1.0, help="how much of the usual time lies between disturbances")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="a file for what the streamer says")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(asked.wearers, 60 * asked.minutes, asked.seed, pace=asked.pace, log=asked.log)
        report = ward(Path(folder), plan)
    print(json.dumps(report, indent=2))
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "ward.json").write_text(json.dumps(report, indent=2) + "\n")
    sys.exit(not report["is_right"])


if __name__ == "__main__":
    main()
