"""What a page has done: an annotation said of a stream, a recording begun and ended."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Any

from kinestream.model.errors import KinestreamError
from kinestream.streamer.client.keeper import annotate
from kinestream.streamer.dashboard.asking import BadAsking, name, text, whole
from kinestream.streamer.dashboard.streamers import Addresses
from kinestream.streamer.wire.messages import MAX_ACTIVITY, annotation_is_valid

_MS = 1_000_000
_MOST_MS = 1 << 42
_ANSWER_S = 5.0
_STOP_S = 10.0
_BEGINS_S = 1.0  # after so long without an end a recording has begun


class Doing:
    """Does what pages ask for.

    Parameters
    ----------
    addresses : Addresses
        Where the streamer is, or a fleet's directory.
    control : callable
        Returns where to ask about a stream; raises EndpointError where that is not known.
    recordings : Executor
        What begins and ends recordings, one after the other; on Linux they have the priority of its thread.
    record_to : Path, optional
        The folder for recordings; without it none can be begun.
    """

    def __init__(
        self, addresses: Addresses, control: Callable[[str], str], recordings: Executor, record_to: Path | None = None
    ) -> None:
        self._addresses, self._control, self._recordings, self._record_to = addresses, control, recordings, record_to
        self._is_closed = False
        self._recording: subprocess.Popen[str] | None = None
        self._since = 0.0
        self._said = ""

    async def do(self, content: dict[str, Any]) -> dict[str, Any]:
        """Do what a page asks for, and return what it is told.

        Raises
        ------
        BadAsking
            If it makes no sense.
        """
        match content.get("do"):
            case "annotate":
                wrong = await self._annotate(content)
            case "record":
                wrong = await asyncio.get_running_loop().run_in_executor(self._recordings, self._record)
            case "stop":
                wrong = await asyncio.get_running_loop().run_in_executor(self._recordings, self._stop)
            case _:
                raise BadAsking("do")
        return {"t": "done", "do": content["do"], "wrong": wrong}

    def recording(self) -> dict[str, Any] | None:
        """Return how the recording goes; None where none can be begun."""
        if self._record_to is None:
            return None
        if self._recording is not None and self._recording.poll() is not None:
            self._ended()
        return {
            "to": str(self._record_to),
            "for_s": None if self._recording is None else round(time.monotonic() - self._since),
            "said": self._said,
        }

    def close(self) -> None:
        """End the recording, and begin none any more."""
        self._is_closed = True
        self._recordings.submit(self._stop).result()  # after what a page has asked for

    async def _annotate(self, content: dict[str, Any]) -> str:
        stream, activity = name(content, "stream"), text(content, "activity", MAX_ACTIVITY)
        begin, end = whole(content, "begin_ms", _MOST_MS) * _MS, whole(content, "end_ms", _MOST_MS) * _MS
        if not annotation_is_valid(activity, begin, end):
            raise BadAsking("annotation")
        try:
            where = self._control(stream), _ANSWER_S, self._addresses.keys
            await asyncio.to_thread(annotate, stream, activity, begin, end, *where)
        except KinestreamError as error:
            return str(error)
        return ""

    def _record(self) -> str:
        if self._record_to is None:
            return "no folder for recordings is known: start the dashboard with --record-to FOLDER"
        if self._recording is not None or self._is_closed:
            return ""
        command = [sys.executable, "-P", "-m", "kinestream", "record", "--out", str(self._record_to), "--json"]
        command += self._addresses.as_options(with_control=False)
        self._said, self._since = "", time.monotonic()
        self._recording = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us, and so is what our session's niceness may be
        )
        with suppress(subprocess.TimeoutExpired):
            self._recording.wait(_BEGINS_S)
            self._ended()
        return self._said

    def _stop(self) -> str:
        if self._recording is None:
            return ""
        self._recording.send_signal(signal.SIGTERM)
        try:
            self._recording.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._recording.kill()
            self._recording.wait()
        self._ended()
        return self._said

    def _ended(self) -> None:
        """Note what a recording that has ended said, if it failed."""
        ended, self._recording = self._recording, None
        if ended is None or ended.stderr is None:
            return
        said = ended.stderr.read().strip().splitlines()
        ended.stderr.close()
        self._said = said[-1].removeprefix("kinestream: ") if ended.returncode and said else ""
