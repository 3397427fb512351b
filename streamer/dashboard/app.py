"""The dashboard's page and its websocket: what a page asks for, it is told until it asks for something else."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.dashboard.asking import BadAsking, read_object, text
from kinestream.streamer.dashboard.closeup import Closeup, Glance
from kinestream.streamer.dashboard.doing import Doing
from kinestream.streamer.dashboard.feed import Feed
from kinestream.streamer.dashboard.guard import Guard
from kinestream.streamer.dashboard.listing import Listing, Query
from kinestream.streamer.dashboard.strip import SECOND
from kinestream.streamer.dashboard.vitals import Vitals
from kinestream.streamer.wire.messages import MAX_TEXT

MOST_PAGES = 32
"""Websockets at a time."""
_PAGE = Path(__file__).parent / "page"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",  # it may hold the token
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_STATE_NS = SECOND  # how often a page is told of the streamer as a whole
_POLICY = 1008  # of a websocket's end: it asked for what there is not
_BUSY = 1013
_MOST_ACTS = 4  # that a page may have done at a time


class Application:
    """What serves pages.

    Parameters
    ----------
    feed : Feed
        What keeps what is shown up to date.
    guard : Guard
        Who may see it.
    doing : Doing
        What does what pages ask for.
    """

    def __init__(self, feed: Feed, guard: Guard, doing: Doing) -> None:
        self._feed, self._guard, self._doing = feed, guard, doing
        self._pages = 0
        self._files = {path.name: path for path in sorted(_PAGE.iterdir()) if path.suffix in _TYPES}

    def asgi(self) -> Any:
        """Return the ASGI application."""
        from starlette.applications import Starlette
        from starlette.responses import Response
        from starlette.routing import Route, WebSocketRoute

        async def nothing_here(request: Any, error: Exception) -> Response:
            text = "nothing here: open the address that kinestream dashboard printed\n"
            return Response(text, 404, media_type="text/plain", headers=_HEADERS)

        begin = "/{token}" if self._guard.token else ""
        routes = [
            Route(f"{begin}/", self._index),
            Route(f"{begin}/{{file}}", self._file),
            WebSocketRoute(f"{begin}/live/now", self._live),
        ]
        return Starlette(routes=routes, exception_handlers={404: nothing_here, 405: nothing_here})

    def _check(self, request: Any) -> None:
        from starlette.exceptions import HTTPException

        if not self._guard.admits(request.headers.get("host", ""), request.path_params.get("token", "")):
            raise HTTPException(404)

    async def _index(self, request: Any) -> Any:
        from starlette.responses import Response

        self._check(request)
        return Response((_PAGE / "index.html").read_bytes(), media_type="text/html", headers=_HEADERS)

    async def _file(self, request: Any) -> Any:
        from starlette.exceptions import HTTPException
        from starlette.responses import Response

        self._check(request)
        path = self._files.get(request.path_params["file"])
        if path is None:
            raise HTTPException(404)
        return Response(path.read_bytes(), media_type=_TYPES[path.suffix], headers=_HEADERS)

    async def _live(self, websocket: Any) -> None:
        from starlette.exceptions import HTTPException
        from starlette.websockets import WebSocketDisconnect

        try:
            self._check(websocket)
        except HTTPException:
            await websocket.close(_POLICY)
            return
        if not self._guard.admits_page(websocket.headers):
            await websocket.close(_POLICY)
            return
        if self._pages >= MOST_PAGES:
            await websocket.accept()
            await websocket.close(_BUSY, f"{MOST_PAGES} pages are open already: close one")
            return
        await websocket.accept()
        self._pages += 1
        self._feed.attend()
        page = Page(self._feed, self._doing)
        acts: set[asyncio.Task[None]] = set()
        telling = asyncio.create_task(_tell(websocket, page))
        try:
            while True:
                content = read_object(await websocket.receive_text())
                if "do" not in content:
                    page.ask(content)
                elif len(acts) < _MOST_ACTS:
                    act = asyncio.create_task(_do(websocket, self._doing, content))
                    acts.add(act)
                    act.add_done_callback(acts.discard)
        except (BadAsking, KeyError) as wrong:
            with suppress(RuntimeError):
                await websocket.close(_POLICY, str(wrong)[:100])
        except WebSocketDisconnect:
            pass
        finally:
            self._pages -= 1
            self._feed.leave()
            telling.cancel()
            page.close()


class Page:
    """One page that is open: what it looks at, and what it is told next.

    Parameters
    ----------
    feed : Feed
        What keeps what is shown up to date.
    doing : Doing
        What does what pages ask for.
    """

    def __init__(self, feed: Feed, doing: Doing) -> None:
        self._feed, self._board, self._doing = feed, feed.board, doing
        self._view: Listing | Closeup | Vitals | None = None
        self._looks_at: str | None = None
        self._has_no_room = False
        self._told_classes = -1
        self._told_at: int | None = None
        self.asked = asyncio.Event()

    def ask(self, content: dict[str, Any]) -> None:
        """Take what the page asks for.

        Raises
        ------
        BadAsking
            If it makes no sense.
        """
        match content.get("see"):
            case "streams":
                query = Query.read(content)
                self._look_at(None)
                if isinstance(self._view, Listing):
                    self._view.ask(query)
                else:
                    self._view = Listing(query)
            case "stream":
                glance = Glance.read(content)
                self._look_at(glance.stream)
                if isinstance(self._view, Closeup):
                    self._view.ask(glance)
                else:
                    self._view = Closeup(glance)
            case "health":
                self._look_at(None)
                self._view = Vitals(text(content, "streamer", 2 * MAX_TEXT))
            case _:
                raise BadAsking("see")
        self.asked.set()

    def close(self) -> None:
        """Look at nothing any more."""
        self._look_at(None)

    def messages(self, now: int) -> list[dict[str, Any]]:
        """Return what the page is to be told now."""
        told: list[dict[str, Any]] = []
        if self._told_at is None or now - self._told_at >= _STATE_NS:
            self._told_at = now
            told.append(self._state(now))
        if self._told_classes != self._board.classes.version:
            self._told_classes = self._board.classes.version
            told.append({"t": "classes", **self._board.classes.as_dict()})
        match self._view:
            case Listing():
                told.append(self._view.message(self._board, now))
            case Closeup():
                signals = self._feed.watching.of(self._view.glance.stream)
                message = self._view.message(self._board, signals, now)
                if message is not None:
                    told.append(message)
            case Vitals():
                told.append(self._view.message(self._board, now))
        # A row may have brought an activity that has not been told yet.
        if self._told_classes != self._board.classes.version:
            self._told_classes = self._board.classes.version
            told.insert(0, {"t": "classes", **self._board.classes.as_dict()})
        return told

    @property
    def every_s(self) -> float:
        """How often it is told."""
        return (SECOND if self._view is None else self._view.every_ns) / SECOND

    def _state(self, now: int) -> dict[str, Any]:
        board = self._board
        return {
            "t": "state",
            "connected": board.is_connected,
            "since_s": (now - board.changed_at) // SECOND,
            "behind_s": round(self._feed.behind_ns(now) / SECOND, 1),
            "labels": self._feed.addresses.labels,
            "streams": len(board.rows),
            "no_room": self._has_no_room,
            "recording": self._doing.recording(),
            "directory": self._feed.streamers.directory(),
            "absent": [name for name, member in board.members.items() if name and member.is_missed(now)],
        }

    def _look_at(self, stream: str | None) -> None:
        if stream == self._looks_at:
            return
        if self._looks_at is not None:
            self._feed.watching.leave(self._looks_at, monotonic_ns())
        self._looks_at, self._has_no_room = None, False
        if stream is not None:
            if self._feed.watching.look(stream):
                self._looks_at = stream
            else:
                self._has_no_room = True


async def _do(websocket: Any, doing: Doing, content: dict[str, Any]) -> None:
    """Do what a page asks for, and tell it what came of that."""
    try:
        reply = await doing.do(content)
    except BadAsking as wrong:
        reply = {"t": "done", "do": "", "wrong": f"it makes no sense: {wrong}"}
    with suppress(Exception):  # it may have gone
        await websocket.send_text(json.dumps(reply))


async def _tell(websocket: Any, page: Page) -> None:
    """Tell a page what is new, no faster than it takes it; ends when that fails, since then it has gone."""
    with suppress(Exception):
        while True:
            page.asked.clear()
            for message in page.messages(monotonic_ns()):
                await websocket.send_text(json.dumps(message, allow_nan=False, separators=(",", ":")))
            with suppress(TimeoutError):
                await asyncio.wait_for(page.asked.wait(), page.every_s)
