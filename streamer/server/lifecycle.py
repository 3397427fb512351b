"""Reports when a streamer is ready, alive, reloaded and stopped: on the screen, to its supervisor, and to systemd."""

import os
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server.administration import ReloadNews
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.server.supervise import STALLED_S, Orders
from kinestream.streamer.server.systemd import Notifier

_LEAST_PERIOD_S = 3.0  # a sign of life comes once a second, as long as the loop turns
_STALLED_SHARE = 0.5  # of that period: a batch that takes longer is taken for one that never ends


@dataclass(frozen=True)
class Ready:
    """A streamer that takes samples from now on.

    Parameters
    ----------
    samples, labels, control, watch : str
        Where samples go in and labels come out, where senders ask what becomes of their streams, and where readings and
        figures come out for those who watch.
    bundle : str
        Name and fingerprint of its bundle.
    engine : str
        What computes.
    pid : int
        The process that serves.
    """

    samples: str
    labels: str
    control: str
    watch: str
    bundle: str
    engine: str
    pid: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it; ``ready`` tells it from the counters that follow when it is stopped."""
        return {"ready": True, **asdict(self)}


class Display(Protocol):
    """Shows what a streamer is doing; open while it serves. Nothing of it may wait for whoever looks at it."""

    def begin(self, ready: Ready) -> None:
        """Show that it is ready, and where."""

    def say(self, line: str) -> None:
        """Show a line."""

    def show(self, streamer: Streamer) -> None:
        """Show how it goes; called about once a second."""

    def end(self, totals: dict[str, int]) -> None:
        """Show what it all came to."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End."""


class Lifecycle:
    """Reports each change of state to the screen, the supervisor and systemd.

    Parameters
    ----------
    display : Display
        For people.
    orders : Orders or None
        From whoever watches over this process, if anybody does.
    recognizer : Recognizer
        What runs.
    drain_s : float
        How long a stop may take.
    """

    def __init__(self, display: Display, orders: Orders | None, recognizer: Recognizer, drain_s: float) -> None:
        self._display, self._orders, self._recognizer = display, orders, recognizer
        self._drain_s = drain_s
        watched = (os.getpid(),) if orders is None else (os.getpid(), orders.parent)
        self._systemd = Notifier(os.environ, *watched)

    def ready(self, streamer: Streamer) -> None:
        """Say that it takes samples from now on."""
        recognizer, orders = self._recognizer, self._orders
        where = streamer.ingest, streamer.labels, streamer.control, streamer.watch
        if orders is not None:  # before anybody learns of it: should it die then, it is started again
            names = ("ingest", "labels", "control", "watch")
            orders.report_ready(**dict(zip(names, where, strict=True)))
        self._display.begin(Ready(*where, recognizer.bundle.id, recognizer.engine.name, os.getpid()))
        self._systemd.ready(f"serving {recognizer.bundle.id}")
        period = self._systemd.period_s
        if period is not None and period < _LEAST_PERIOD_S:
            self._display.say(
                f"a sign of life is wanted every {period:g} s (WatchdogSec) and comes once a second: "
                f"make it {_LEAST_PERIOD_S:g} or more"
            )

    def live(self, streamer: Streamer) -> None:
        """Give a sign of life, unless what names the windows has not answered for long; called once a second."""
        period = self._systemd.period_s
        if period is not None and streamer.stalled_s < _STALLED_SHARE * period:
            self._systemd.alive()
        if self._orders is None:
            return
        if streamer.stalled_s < STALLED_S:
            self._orders.report_alive()
        if self._orders.is_abandoned:
            streamer.stop()

    def reload(self, news: ReloadNews) -> None:
        """Say what becomes of a bundle that is loaded."""
        bundle = self._recognizer.bundle.id
        if news.refused:
            self._display.say(f"not reloaded, bundle {bundle} goes on: {news.refused}")
            self._systemd.ready(f"serving {bundle}; not reloaded: {news.refused}")
        elif news.done:
            self._display.say(f"reloaded: bundle {bundle}, {self._recognizer.engine.name}")
            self._systemd.ready(f"serving {bundle}")
            if self._orders is not None:  # should it die, it is started again with this one
                self._orders.report_bundle(news.folder)
        else:
            self._systemd.reloading()

    def stopping(self) -> None:
        """Say that a stop was asked for."""
        self._systemd.stopping("stopping")
        self._display.say(
            "stopping: no new streams; those that are known are served until nothing comes any more, "
            f"{self._drain_s:g} s at most"
        )

    def stopped(self, totals: dict[str, int]) -> dict[str, int]:
        """Say what it all came to, and return that."""
        if self._orders is not None:
            self._orders.report_stopped()
        totals = totals | {"restarts": self._orders.restarts if self._orders is not None else 0}
        self._display.end(totals)
        return totals
