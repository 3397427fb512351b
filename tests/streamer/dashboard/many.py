"""What many streams cost with the dashboard closed, open, and open in a browser; and how smooth the page is.

``python -m tests.streamer.dashboard.many --streams 1000 --seconds 30 --rounds 3 --out results/bench``: 1,000 streams at
30 Hz whose labels change. The modes take turns; the report has what each changes beside ``none``, by medians:

none
    Nobody looks.
stalled
    Somebody has subscribed to all that the watch endpoint tells, every reading included, and reads none of it.
other
    No dashboard, but a program that knows nothing of the streamer, gives way like one and computes as much.
listener
    No dashboard, but somebody who subscribes to all labels, reads none of what they say, and gives way like one.
closed
    The dashboard runs, and nobody has opened it.
socket
    The dashboard's overview is told to a websocket.
low
    The same, by a dashboard that has a small share of processors that others need: ``--priority low``.
browser
    Chromium shows it.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import psutil
import zmq

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.machine import machine
from kinestream.replay.bench.bundles import write_bundle
from kinestream.replay.bench.live.load import Load
from kinestream.replay.bench.live.streams import _play
from kinestream.replay.process import OwnStreamer, started_streamer
from kinestream.streamer.dashboard.process import OwnDashboard, started_dashboard
from kinestream.streamer.dashboard.streamers import Addresses
from tests.given.dashboards import BROWSER

MODES = ("none", "stalled", "other", "listener", "closed", "socket", "low", "browser")
PACKAGES = ("kinestream", "numpy", "pyzmq", "starlette", "uvicorn", "websockets")
COMPARED = ("labels", "latency_p50_ms", "latency_p99_ms", "streamer_p99_ms", "streamer_cores")
SEE = {"see": "streams", "show": "all", "sort": "problems", "count": 40}
OTHER = """
import sys
import time
from kinestream.model.system import give_way

give_way(wholly=True)
pause_s = 0.001 / float(sys.argv[1]) - 0.001
while True:
    until = time.perf_counter() + 0.001
    while time.perf_counter() < until:
        pass
    time.sleep(pause_s)
"""
LISTENER = """
import sys
import time
import zmq
from kinestream.model.system import give_way

give_way(wholly=True)
socket = zmq.Context().socket(zmq.SUB)
socket.set(zmq.RCVHWM, 100_000)
socket.subscribe(b"label/")
socket.connect(sys.argv[1])
while True:
    time.sleep(0.05)
    while socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
        socket.recv(zmq.DONTWAIT)
"""
WATCH_TASKS = """
window.longest = []; new PerformanceObserver((list) => window.longest.push(...list.getEntries().map((e) => e.duration)))
.observe({type: "longtask", buffered: true});
window.frames_ = 0; const count = () => { window.frames_ += 1; requestAnimationFrame(count); }; count();
"""


def measured(bundle: Path, streams: int, seconds: float, chunk: int, mode: str, other_cores: float) -> dict[str, Any]:
    """Serve so many streams for so long while nobody looks, a websocket is told, or a browser shows them."""
    about = read_bundle(bundle)
    load = Load(streams, about.description.rate_hz, about.channels, chunk, seconds, about.grid.stride)
    with started_streamer(bundle, "--max-streams", str(streams + 1), "--max-senders", "8") as streamer:
        opened = (
            nullcontext()
            if mode in ("none", "stalled", "other", "listener")
            else started_dashboard(
                Addresses(streamer.addresses.labels, streamer.addresses.control, streamer.watch),
                priority="low" if mode == "low" else "idle",
            )
        )
        with opened as dashboard, _looking(mode, dashboard, streamer, other_cores) as figures:
            process = psutil.Process(streamer.pid)
            before, began = sum(process.cpu_times()[:2]), time.monotonic()
            own = psutil.Process(dashboard.pid) if dashboard else None
            own_before = sum(own.cpu_times()[:2]) if own else 0.0
            sent, heard = _play(streamer, load, lambda second: None)
            passed = time.monotonic() - began
            told = {
                "mode": mode,
                "streams": streams,
                "seconds": seconds,
                "labels": heard.labels,
                "latency_p50_ms": heard.latency_p50_ms,
                "latency_p99_ms": heard.latency_p99_ms,
                "streamer_p99_ms": heard.streamer_p99_ms,
                "sent_late_p99_ms": round(sent.late_p99_ms, 3),
                "streamer_cores": round((sum(process.cpu_times()[:2]) - before) / passed, 3),
            }
            if own:
                told["dashboard_cores"] = round((sum(own.cpu_times()[:2]) - own_before) / passed, 3)
                told["dashboard_mb"] = round(own.memory_info().rss / 1e6, 1)
            return told | figures()


@contextmanager
def _looking(
    mode: str, dashboard: OwnDashboard | None, streamer: OwnStreamer, cores: float
) -> Iterator[Callable[[], dict[str, Any]]]:
    if mode == "stalled":
        with _stalled(streamer.watch):
            yield dict
    elif mode in ("other", "listener"):
        program = (OTHER, str(cores)) if mode == "other" else (LISTENER, streamer.addresses.labels)
        with subprocess.Popen([sys.executable, "-c", *program]) as other:
            yield dict
            other.kill()
    elif mode in ("socket", "low"):
        assert dashboard
        with _told(dashboard) as figures:
            yield figures
    elif mode == "browser":
        assert dashboard
        with _shown(dashboard) as figures:
            yield figures
    else:
        yield dict


@contextmanager
def _stalled(watch: str) -> Iterator[None]:
    """Subscribe to everything at the watch endpoint, and read nothing: what is in the way is full soon."""
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVHWM, 1)
        socket.set(zmq.RCVBUF, 4096)
        socket.subscribe(b"")
        socket.connect(watch)
        yield


@contextmanager
def _told(dashboard: OwnDashboard) -> Iterator[Callable[[], dict[str, Any]]]:
    """Open the overview as a page does, and count what comes."""
    from websockets.sync.client import connect

    at = urlsplit(dashboard.address).netloc
    with connect(f"ws://{at}/live/now", origin=f"http://{at}", max_size=None) as socket:
        socket.send(json.dumps(SEE))
        sizes: list[int] = []
        thread = threading.Thread(target=lambda: sizes.extend(map(len, socket)), daemon=True)
        thread.start()
        yield lambda: {"messages": len(sizes), "kilobytes": sum(sizes) // 1000}


@contextmanager
def _shown(dashboard: OwnDashboard) -> Iterator[Callable[[], dict[str, Any]]]:
    """Open the overview in a browser, and look for long tasks."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH_TASKS)
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(dashboard.address)
        browser.start_tracing(page=page, categories=["toplevel", "disabled-by-default-devtools.timeline", "__metadata"])
        began = time.monotonic()

        def figures() -> dict[str, Any]:
            longest = sorted(page.evaluate("window.longest"))
            shown = page.locator(".row:not([hidden])").count()
            frames = page.evaluate("window.frames_") / (time.monotonic() - began)
            spent = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
            names = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
            return {
                "page_cores": {name: round(spent[name] / (time.monotonic() - began), 3) for name in names},
                "long_tasks_ms": [round(each) for each in longest[-5:]],
                "longest_thread_ms": _longest(browser.stop_tracing()),
                "rows": shown,
                "frames_s": round(frames, 1),
            }

        yield figures
        browser.close()


def _longest(trace: bytes) -> list[float]:
    """Return what the page's longest tasks took of a processor, ms: however busy the machine is."""
    events = json.loads(trace)["traceEvents"]
    pages = {(each["pid"], each["tid"]) for each in events if each.get("args", {}).get("name") == "CrRendererMain"}
    tasks = [each for each in events if each["name"].endswith("RunTask") and (each["pid"], each["tid"]) in pages]
    return sorted(round(each.get("tdur", 0) / 1000, 1) for each in tasks)[-3:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--chunk", type=int, default=6)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--other", type=float, default=0.07, help="processors that the other program takes")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each mode")
    parser.add_argument("--out", type=Path, help="write the report, dashboard.json, in this folder")
    options = parser.parse_args()
    found = []
    with TemporaryDirectory() as folder:
        bundle = write_bundle(Path(folder), "kinestream")
        for _ in range(options.rounds):
            for mode in options.modes:
                found.append(measured(bundle, options.streams, options.seconds, options.chunk, mode, options.other))
                print(json.dumps(found[-1]), flush=True)
    changes = changed(found)
    print(json.dumps(changes), flush=True)
    if options.out is not None:
        settings = {key: getattr(options, key) for key in ("streams", "seconds", "chunk", "rounds", "other")}
        command = shlex.join(["python", "-m", "tests.streamer.dashboard.many", *sys.argv[1:]])
        whole = {"command": command, "machine": machine(PACKAGES), "settings": settings}
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "dashboard.json").write_text(
            json.dumps(whole | {"runs": found, "changes": changes}, indent=1) + "\n"
        )


def changed(found: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return by how many per cent each mode's medians differ from those where nobody looks."""
    medians = {
        mode: {key: statistics.median(each[key] for each in found if each["mode"] == mode) for key in COMPARED}
        for mode in dict.fromkeys(each["mode"] for each in found)
    }
    without = medians.pop("none", None)
    if without is None:
        return {}
    return {
        mode: {key: round(100 * (value / without[key] - 1), 2) for key, value in figures.items()}
        for mode, figures in medians.items()
    }


if __name__ == "__main__":
    main()
