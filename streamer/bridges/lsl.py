"""Streams of the lab streaming layer (LSL), in as readings and out as labels.

Kothe et al., The Lab Streaming Layer for Synchronized Multimodal Recording, Imaging Neuroscience 3 (2025). liblsl finds
outlets in the network, carries their samples and corrects their clocks; a bridge's times are its corrected ones.
"""

import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np

from kinestream.model.clock import now_ns, wall_clock
from kinestream.model.errors import MissingExtra
from kinestream.model.extras import need
from kinestream.streamer.bridges.arrivals import Arrivals, whole
from kinestream.streamer.bridges.rig import LslSection, RigDevice
from kinestream.streamer.client import Event, Label

_PULL_S = 0.05
_MOST_AT_ONCE = 1024
_FIND_S = 1.0
"""How long outlets have to answer: the first that does is not to be taken for the only one."""


class LslSource:
    """Receives one LSL stream; where it goes away, waits for it to come back.

    Parameters
    ----------
    device : str
        What the rig calls it.
    about : RigDevice
        What it says of it.
    """

    def __init__(self, device: str, about: RigDevice) -> None:
        _load()
        assert about.lsl is not None
        self._device, self._wanted = device, about.lsl
        self._channels = about.channels
        self._factors = np.array([each.factor for each in about.channels.values()])
        self._offsets = np.array([each.offset for each in about.channels.values()])
        self._state = f"looking for a stream of {_in_words(self._wanted)}"
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, arrivals: Arrivals) -> None:
        """Begin to look for the stream."""
        arrivals.opened()
        self._thread = threading.Thread(target=self._run, args=(arrivals,), name=f"lsl {self._device}", daemon=True)
        self._thread.start()

    def hear(self, message: Label | Event) -> None:
        """Do nothing: labels go out by `LslLabels`."""

    def state(self) -> dict[str, str]:
        """Return what is in its way."""
        return {self._device: self._state} if self._state else {}

    def close(self) -> None:
        """Receive no more."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self, arrivals: Arrivals) -> None:
        import pylsl

        try:
            while not self._closing.is_set():
                found = self._find()
                if found is None:
                    continue
                inlet = pylsl.StreamInlet(
                    found, max_buflen=30, recover=False, processing_flags=pylsl.proc_clocksync, as_numpy=True
                )
                try:
                    columns = self._columns(inlet)
                    if columns is not None:
                        self._state = ""
                        self._receive(inlet, columns, arrivals)
                except (pylsl.util.LostError, TimeoutError, pylsl.util.TimeoutError):
                    self._state = f"the stream of {_in_words(self._wanted)} has gone: waiting for it to come back"
                finally:
                    inlet.close_stream()
        except BaseException as error:  # a fault of ours must not look like a sensor that is silent
            arrivals.fail(error)
        finally:
            arrivals.closed()

    def _find(self) -> Any:
        """Return the stream, once there is one and no other that fits."""
        import pylsl

        given = {key: value for key, value in self._wanted.model_dump().items() if value}
        wanted = [f'{key}="{value}"' if "'" in value else f"{key}='{value}'" for key, value in given.items()]
        found = pylsl.resolve_bypred(" and ".join(wanted), 2, _FIND_S)
        if len(found) > 1:
            names = sorted({f"{each.name()} ({each.source_id() or each.hostname()})" for each in found})
            self._state = f"{len(found)} streams of {_in_words(self._wanted)}, {', '.join(names)[:80]}: say more of it"
            self._closing.wait(_FIND_S)
            return None
        return found[0] if found else None

    def _columns(self, inlet: Any) -> list[int] | None:
        """Return which of the stream's channels are the rig's, or None, saying why, where some are not there."""
        info = inlet.info(timeout=5.0)
        if info.channel_format() == 3:  # cf_string
            self._state = f"the stream of {_in_words(self._wanted)} holds texts, no readings: name another"
            self._closing.wait(_FIND_S)
            return None
        labels = [label or "" for label in (info.get_channel_labels() or [])]
        columns, absent = [], []
        for each in self._channels.values():
            at = each.source - 1 if isinstance(each.source, int) else _index(labels, each.source)
            columns.append(at)
            if not 0 <= at < info.channel_count():
                absent.append(each.source)
        if absent:
            there = ", ".join(filter(None, labels))[:120] or f"{info.channel_count()} without labels: give positions"
            self._state = f"its stream has no channel {absent[0]!r}; it has {there}"
            self._closing.wait(_FIND_S)
            return None
        return columns

    def _receive(self, inlet: Any, columns: list[int], arrivals: Arrivals) -> None:
        import pylsl

        while not self._closing.is_set():
            values, stamps = inlet.pull_chunk(timeout=_PULL_S, max_samples=_MOST_AT_ONCE, min_samples=1)
            if not len(stamps):
                continue
            arrival = now_ns()
            # LSL's clock and our monotonic one differ by a constant on each machine; Unix time moves against both.
            behind = time.monotonic() - pylsl.local_clock()
            times = np.rint((np.asarray(stamps) + behind) * 1e9).astype(np.int64) + wall_clock.offset_ns()
            with np.errstate(over="ignore"):  # what is too large becomes infinite, which is no reading
                rows = (values[:, columns] * self._factors + self._offsets).astype(np.float32)
            rows[~np.isfinite(rows)] = np.nan
            arrivals.put(whole(self._device, times, rows, arrival))


class LslLabels:
    """Hands the stream's labels out as an LSL stream of texts, irregular, stamped with the window's last sample.

    Parameters
    ----------
    name : str
        What the LSL stream is called.
    stream : str
        Whose labels they are.
    """

    def __init__(self, name: str, stream: str) -> None:
        _load()
        self._name, self._stream = name, stream
        self._outlet: Any = None

    def start(self, arrivals: Arrivals) -> None:
        """Offer the stream."""
        import pylsl

        info = pylsl.StreamInfo(self._name, "Markers", 1, pylsl.IRREGULAR_RATE, "string", f"kinestream-{self._stream}")
        info.set_channel_labels(["activity"])
        self._outlet = pylsl.StreamOutlet(info)

    def hear(self, message: Label | Event) -> None:
        """Hand out a label."""
        if isinstance(message, Label) and self._outlet is not None:
            import pylsl

            age_s = wall_clock.age_ns(message.t_source, time.monotonic_ns()) / 1e9
            self._outlet.push_sample([message.label], pylsl.local_clock() - age_s)

    def state(self) -> dict[str, str]:
        """Return nothing: it is there for whoever listens."""
        return {}

    def close(self) -> None:
        """Offer it no more."""
        with suppress(AttributeError):
            self._outlet = None


def _load() -> None:
    """Make sure that liblsl is there, and can be loaded."""
    need("the lab streaming layer", "pylsl", extra="lsl")
    try:
        import pylsl  # noqa: F401  (its import loads liblsl)
    except (RuntimeError, OSError) as error:  # a wheel that brings no liblsl for this system
        raise MissingExtra(f"pylsl finds no liblsl ({' '.join(str(error).split())[:120]}): install liblsl") from None


def _index(labels: list[str], name: str) -> int:
    return labels.index(name) if name in labels else -1


def _in_words(wanted: LslSection) -> str:
    return ", ".join(f"{key} {value!r}" for key, value in wanted.model_dump().items() if value)
