"""Answers administrators at the control endpoint: health, annotations, reloading a bundle, forgetting a stream.

A bundle is read, checked and made ready in a thread of its own while labels go on, and then takes the place of the one
before between two batches. It must have the same channels, rate and window: the windows that are open are cut as
before, so that no stream is dropped; classes, weights and the network may be others.

Whoever may ask for that may change what every label says. Where keys are asked for, that takes the right to administer
(`kinestream.streamer.server.access`). Without keys it is answered only where the control endpoint is bound to this
machine alone: then those who have an account on it may ask, and the folder must be one that the streamer's own account
can read. A bundle is data: nothing in it is run.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.clock import monotonic_ns
from kinestream.model.engine.engine import Device, Engine
from kinestream.model.engine.load import load_engine
from kinestream.model.errors import KinestreamError
from kinestream.model.system import own_version
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.recognizer.replacement import check_replacement
from kinestream.streamer.wire.annotate import Annotated, AnnotateRequest
from kinestream.streamer.wire.requests import (
    ForgetRequest,
    Forgotten,
    Health,
    HealthRequest,
    KeeperRequest,
    Refused,
    Reloaded,
    encode_reply,
)

_FRESH_NS = 1_000_000_000
"""So old may counters be that are answered: to add them up takes longer the more streams there are."""

_logger = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """A bundle that is ready to take the place of another, and what runs it."""

    folder: str
    bundle: Bundle
    engine: Engine


class ReloadNews(NamedTuple):
    """What becomes of a bundle that is to take the place of another.

    Attributes
    ----------
    folder : str
        Where it lies.
    done : bool
        Whether it has taken it; before, it is being loaded.
    refused : str
        Why it has not and will not; empty else.
    """

    folder: str
    done: bool = False
    refused: str = ""


class _Underway(NamedTuple):
    peer: bytes | None  # who is answered; nobody asked where it came by a signal
    folder: str
    loading: Future[Loaded]


class Administration:
    """Answers administrators' requests.

    Parameters
    ----------
    recognizer : Recognizer
        What is asked about.
    totals : callable
        Returns every counter.
    forget : callable
        Removes all that is known of a stream, and returns how much of what that was.
    device, threads
        As in `kinestream.model.engine.load.load_engine`, for bundles that are loaded.
    folder : str, optional
        Where the bundle lies that is being served.
    tell : callable, optional
        Called with what becomes of a bundle that is loaded.

    Attributes
    ----------
    is_local : bool
        Whether only those can ask who may: this machine's, or whoever has the right.
    state : str
        ``ready``, or why it is not: ``draining``.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        totals: Callable[[], dict[str, int]],
        forget: Callable[[str], dict[str, int]],
        device: Device = "auto",
        threads: int = 1,
        *,
        folder: str | None = None,
        tell: Callable[[ReloadNews], object] = lambda news: None,
    ) -> None:
        self.is_local = False
        self.state = "ready"
        self._recognizer, self._totals, self._forget = recognizer, totals, forget
        self._device, self._threads = device, threads
        self._folder, self._tell = folder, tell
        self._began = monotonic_ns()
        self._counted: tuple[int, dict[str, int]] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._underway: _Underway | None = None
        self._read_again = False

    def take(self, sender: bytes, request: KeeperRequest) -> bytes | None:
        """Take a request of a peer; return what it is answered at once, None where that comes later."""
        if isinstance(request, HealthRequest):
            return encode_reply(self._health())
        if isinstance(request, AnnotateRequest):
            return encode_reply(self._annotate(request))
        what = "forget" if isinstance(request, ForgetRequest) else "reload"
        if not self.is_local:
            why = f"{what} is answered only where the control endpoint is bound to the streamer's own machine, as to "
            return encode_reply(Refused(why + "tcp://127.0.0.1:5572, or asks for keys: start it anew with the other"))
        if isinstance(request, ForgetRequest):
            return encode_reply(Forgotten(request.stream, self._forget(request.stream)))
        if self._underway is not None:
            return encode_reply(Refused("another bundle is being loaded: ask again when that is done"))
        refused = self._begin(sender, request.bundle)
        return None if refused is None else encode_reply(refused)

    def read_again(self) -> None:
        """Have the bundle's folder read anew, as soon as nothing else is being loaded; from a signal handler, too."""
        self._read_again = True

    def finish(self, change: Callable[[Loaded], None]) -> tuple[bytes, bytes] | None:
        """Have a bundle that was asked for, as soon as it is ready, take the place of the one before.

        Parameters
        ----------
        change : callable
            Called with it.

        Returns
        -------
        (bytes, bytes) or None
            Who is answered, and what; None where nothing is ready, or nobody asked.
        """
        if self._underway is None:
            if self._read_again:
                self._read_again = False
                self._begin_again()
            return None
        if not self._underway.loading.done():
            return None
        (peer, folder, loading), self._underway = self._underway, None
        reply = self._outcome(folder, loading, change)
        return None if peer is None else (peer, encode_reply(reply))

    def close(self) -> None:
        """Wait for what is being loaded, and end the thread."""
        if self._thread is not None:
            self._thread.shutdown()

    def _annotate(self, request: AnnotateRequest) -> Annotated | Refused:
        """Publish what somebody says of a stream; it changes no label, so whoever can ask may say it."""
        session = self._recognizer.annotate(*request)
        return Refused(session) if isinstance(session, str) else Annotated(request.stream, session)

    def _begin_again(self) -> None:
        if self._folder is None:
            _logger.warning("there is no folder of the bundle that could be read again: nothing is done")
        else:
            self._begin(None, self._folder)

    def _begin(self, peer: bytes | None, folder: str) -> Refused | None:
        """Have a bundle loaded; return why not, where no thread is to be had for it."""
        self._tell(ReloadNews(folder))
        try:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="reload")
            loading = self._thread.submit(self._make_ready, folder)
        except (RuntimeError, MemoryError) as error:
            why = f"nothing more can be begun ({error}): give the streamer more memory, or more threads"
            self._tell(ReloadNews(folder, refused=why))
            return Refused(why)
        self._underway = _Underway(peer, folder, loading)
        return None

    def _outcome(self, folder: str, loading: Future[Loaded], change: Callable[[Loaded], None]) -> Reloaded | Refused:
        try:
            loaded = loading.result()
        except KinestreamError as error:
            why = str(error)
        except Exception as error:  # whatever reading and compiling may raise: the bundle before goes on
            _logger.exception("a bundle could not be loaded")
            why = f"it cannot be loaded ({type(error).__name__}): see the streamer's log"
        else:
            before, self._folder = self._recognizer.bundle.id, folder
            if loaded.bundle.id != before:  # else there is nothing to tell all streams of
                change(loaded)
            self._tell(ReloadNews(folder, done=True))
            return Reloaded(before, loaded.bundle.id)
        self._tell(ReloadNews(folder, refused=why))
        return Refused(why)

    def _make_ready(self, folder: str) -> Loaded:
        bundle = read_bundle(folder)
        check_replacement(self._recognizer.bundle, bundle)
        return Loaded(folder, bundle, load_engine(bundle, self._device, self._threads))

    def _health(self) -> Health:
        now = monotonic_ns()
        if self._counted is None or now - self._counted[0] >= _FRESH_NS:
            self._counted = now, self._totals()
        recognizer = self._recognizer
        return Health(
            own_version(),
            self.state == "ready",
            self.state,
            recognizer.bundle.id,
            recognizer.engine.name,
            (now - self._began) / 1e9,
            recognizer.streams,
            self._counted[1],
        )
