"""Processes beside a streamer: sent home when it dies or when they take too long, so that nobody waits for ever."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

import psutil

from kinestream.replay.process import OwnStreamer

Result = TypeVar("Result")

_LOOK_EVERY_S = 0.5
GRACE_S = 100.0
"""Beyond what it is meant to take: to start its processes on a busy machine, and to wait for the last labels."""


class Crew:
    """The processes; `ready` is an event that they share."""

    def __init__(self, pool: ProcessPoolExecutor, ready: Any) -> None:
        self.ready = ready
        self._pool = pool
        self._jobs: list[Future[Any]] = []

    def start(self, job: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Let one of them do a job."""
        future = self._pool.submit(job, *arguments)
        self._jobs.append(future)
        return future

    def state(self) -> str:
        """Say which jobs go on."""
        return ", ".join("done" if job.done() else "going on" for job in self._jobs) or "nothing begun"


@contextmanager
def crew(size: int, streamer: OwnStreamer, seconds: float) -> Iterator[Crew]:
    """Start so many processes.

    Parameters
    ----------
    size : int
        How many jobs at a time.
    streamer : OwnStreamer
        Whom they need.
    seconds : float
        What they are meant to take.

    Raises
    ------
    RuntimeError
        If the streamer died, or a job went on for `GRACE_S` longer.
    """
    process = psutil.Process(streamer.pid)
    deadline = time.monotonic() + seconds + GRACE_S
    over = threading.Event()
    trouble: list[str] = []
    spawn = multiprocessing.get_context("spawn")

    def watch() -> None:
        while not over.wait(_LOOK_EVERY_S):
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                trouble.append("the streamer died")
            elif time.monotonic() > deadline:
                about = f"{process.status()}, {process.cpu_times()}"
                trouble.append(f"not over in {seconds + GRACE_S:g} s (jobs: {hands.state()}; streamer: {about})")
            else:
                continue
            for child in multiprocessing.active_children():
                child.kill()
            return

    with spawn.Manager() as manager, ProcessPoolExecutor(size, mp_context=spawn) as pool:
        hands = Crew(pool, manager.Event())
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield hands
        except (BrokenProcessPool, EOFError, ConnectionError) as error:
            if not trouble:
                raise
            raise RuntimeError("; ".join([*trouble, *map(str.strip, streamer.said)])) from error
        else:
            over.set()  # whatever else went wrong, jobs that go on are still looked after
