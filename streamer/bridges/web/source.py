"""The web server of a bridge: phones open its page or push to it; whoever does not know its token gets nothing.

An address looks like ``https://192.168.1.20:8443/TOKEN/``. The page lies there; ``TOKEN/push/DEVICE`` takes what the
app Sensor Logger posts; the page itself talks to ``TOKEN/live/DEVICE``, a websocket, on which it hears the activity.
"""

import asyncio
import json
import secrets
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from kinestream.model.clock import now_ns
from kinestream.model.errors import EndpointError
from kinestream.model.extras import need
from kinestream.streamer.bridges.arrivals import Arrivals
from kinestream.streamer.bridges.rig import RigDevice, WebServer
from kinestream.streamer.bridges.web.certificate import (
    addresses_of_machine,
    own_certificate,
    own_folder,
    own_token,
)
from kinestream.streamer.bridges.web.pushes import MOST_BYTES, BadPush, PushReader
from kinestream.streamer.client import Event, Label

_PAGE = Path(__file__).parent / "page"
_TYPES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_MOST_CONNECTIONS = 256
_BACKLOG = 64
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # it would hold the token
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class WebSource:
    """Serves phones.

    Parameters
    ----------
    server : WebServer
        Where, and how.
    devices : dict of RigDevice by name
        Whose readings phones may send.
    stream : str
        The wearer's name, which the page shows.

    Attributes
    ----------
    address : str
        What a phone opens, the token included; empty before `start`.
    """

    def __init__(self, server: WebServer, devices: dict[str, RigDevice], stream: str) -> None:
        need("a bridge for phones", "starlette", "uvicorn", "websockets", "cryptography", "segno", extra="web")
        self.address = ""
        self._about, self._stream = server, stream
        self._readers = {name: PushReader(name, device) for name, device in devices.items()}
        self._token = ""
        self._arrivals = Arrivals()
        self._refused = {name: "" for name in devices}
        self._listeners: set[asyncio.Queue[str]] = set()
        self._newest = ""  # what pages show
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def start(self, arrivals: Arrivals) -> None:
        """Begin to listen.

        Raises
        ------
        EndpointError
            If the address cannot be used.
        """
        import uvicorn

        self._arrivals = arrivals
        folder = own_folder()
        self._token = self._about.token or own_token(folder)
        listening = _bound(self._about.host, self._about.port)
        anywhere = self._about.host in ("0.0.0.0", "::")
        addresses = addresses_of_machine() if anywhere else [self._about.host]
        secured: dict[str, Any] = {}
        if self._about.https:
            certificate, key = own_certificate(folder, _literal(addresses))
            secured = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
        host = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
        scheme = "https" if self._about.https else "http"
        self.address = f"{scheme}://{host}:{listening.getsockname()[1]}/{self._token}/"
        from kinestream.streamer.bridges.web.impatient import ImpatientProtocol

        config = uvicorn.Config(
            self._application(),
            http=ImpatientProtocol,
            log_level="critical",  # its lines would hold the token
            access_log=False,
            ws="websockets-sansio",
            ws_max_size=MOST_BYTES,
            ws_max_queue=4,
            limit_concurrency=_MOST_CONNECTIONS,
            backlog=_BACKLOG,
            timeout_keep_alive=10,
            h11_max_incomplete_event_size=1 << 14,
            server_header=False,
            lifespan="off",
            **secured,
        )
        self._server = uvicorn.Server(config)
        arrivals.opened()
        self._thread = threading.Thread(target=self._serve, args=([listening],), name="web", daemon=True)
        self._thread.start()

    def hear(self, message: Label | Event) -> None:
        """Show a label on the page."""
        if isinstance(message, Label) and self._loop is not None:
            text = json.dumps({"label": message.label, "p": round(message.p, 3)})
            with suppress(RuntimeError):  # the loop has just ended
                self._loop.call_soon_threadsafe(self._tell, text)

    def state(self) -> dict[str, str]:
        """Return what is in the way, by device."""
        wrong = {}
        for name, reader in self._readers.items():
            missing = reader.missing()
            if refusal := self._refused[name]:
                wrong[name] = f"a message was refused: {refusal}"
            elif not reader.seen and reader.unknown:
                wrong[name] = f"only {', '.join(reader.unknown)} come: none is in the rig"
            elif not reader.seen:
                wrong[name] = f"no phone has sent anything yet: open {self.address}"
            elif missing:
                wrong[name] = (
                    f"{', '.join(missing[:4])} {'do' if len(missing) > 1 else 'does'} not come: see its settings"
                )
        return wrong

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(5)

    def _serve(self, sockets: list[socket.socket]) -> None:
        try:
            self._server.run(sockets=sockets)
        except BaseException as error:
            self._arrivals.fail(error)
        finally:
            self._arrivals.closed()

    def _application(self) -> Any:
        from starlette.applications import Starlette
        from starlette.responses import Response
        from starlette.routing import Route, WebSocketRoute

        async def nothing_here(request: Any, error: Exception) -> Response:
            return Response("nothing here: open the address that the bridge printed\n", 404, media_type="text/plain")

        routes = [
            Route("/{token}/", self._page),
            Route("/{token}/{file}", self._file),
            Route("/{token}/push/{device}", self._push, methods=["POST"]),
            WebSocketRoute("/{token}/live/{device}", self._live),
        ]
        return Starlette(routes=routes, exception_handlers={404: nothing_here, 405: nothing_here})

    def _check(self, given: str) -> None:
        """Raise for whoever does not know the token; that takes as long whatever is given."""
        from starlette.exceptions import HTTPException

        if not secrets.compare_digest(given.encode(), self._token.encode()):
            raise HTTPException(404)

    async def _page(self, request: Any) -> Any:
        from starlette.responses import HTMLResponse

        self._note_loop()
        self._check(request.path_params["token"])
        page = (_PAGE / "index.html").read_text()
        about = {"stream": self._stream, "devices": list(self._readers)}
        page = page.replace("__ABOUT__", json.dumps(about).replace("&", "&amp;").replace('"', "&quot;"))
        return HTMLResponse(page, headers=_HEADERS)

    async def _file(self, request: Any) -> Any:
        from starlette.exceptions import HTTPException
        from starlette.responses import Response

        self._check(request.path_params["token"])
        name = request.path_params["file"]
        if name not in _TYPES:
            raise HTTPException(404)
        return Response((_PAGE / name).read_bytes(), media_type=_TYPES[name], headers=_HEADERS)

    async def _push(self, request: Any) -> Any:
        from starlette.exceptions import HTTPException
        from starlette.responses import PlainTextResponse

        self._note_loop()
        self._check(request.path_params["token"])  # before a byte of the body is read
        device = request.path_params["device"]
        if device not in self._readers:
            raise HTTPException(404)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                return PlainTextResponse(f"more than {MOST_BYTES >> 20} MB: push smaller batches\n", 413)
        try:
            self._take(device, body)
        except BadPush as wrong:
            return PlainTextResponse(f"{wrong}\n", 400)
        return PlainTextResponse("taken\n")

    async def _live(self, websocket: Any) -> None:
        from starlette.exceptions import HTTPException
        from starlette.websockets import WebSocketDisconnect

        self._note_loop()
        try:
            self._check(websocket.path_params["token"])
        except HTTPException:
            await websocket.close(4404)
            return
        device = websocket.path_params["device"]
        if device not in self._readers:
            await websocket.close(4404)
            return
        await websocket.accept()
        queue: asyncio.Queue[str] = asyncio.Queue(8)
        self._listeners.add(queue)
        telling = asyncio.create_task(_tell_all(websocket, queue, self._newest))
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                body = message.get("bytes") or (message.get("text") or "").encode()
                try:
                    self._take(device, body)
                except BadPush as wrong:
                    await websocket.send_text(json.dumps({"refused": str(wrong)}))
        except WebSocketDisconnect:
            pass
        finally:
            self._listeners.discard(queue)
            telling.cancel()

    def _take(self, device: str, body: bytes) -> None:
        try:
            arrived = self._readers[device].read(body, now_ns())
        except BadPush as wrong:
            self._refused[device] = str(wrong)
            raise
        self._refused[device] = ""
        if arrived is not None:
            self._arrivals.put(arrived)

    def _note_loop(self) -> None:
        self._loop = asyncio.get_running_loop()

    def _tell(self, text: str) -> None:
        self._newest = text
        for queue in self._listeners:
            if queue.full():  # a phone that is slow wants the newest
                queue.get_nowait()
            queue.put_nowait(text)


async def _tell_all(websocket: Any, queue: "asyncio.Queue[str]", first: str) -> None:
    """Send what is to be shown, until that fails: then the phone has gone."""
    with suppress(Exception):
        if first:
            await websocket.send_text(first)
        while True:
            await websocket.send_text(await queue.get())


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, so that a port in use is told in a line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)  # who comes before it is served waits
    except OSError as error:
        listening.close()
        raise EndpointError(
            f"the bridge cannot listen at {host}:{port} ({error.strerror}): give server: another host or port"
        ) from None
    return listening


def _literal(addresses: list[str]) -> list[str]:
    import ipaddress

    literal = []
    for each in addresses:
        with suppress(ValueError):
            literal.append(str(ipaddress.ip_address(each)))
    return literal
