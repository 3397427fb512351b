"""Takes the pictures of the documentation anew, of the running product: ``make pictures``.

A streamer, its dashboard and wearers that are played run for as long as their strips take to fill; then a browser and
a terminal show what the documentation speaks of. Each picture is at most 150 kB.
"""

import argparse
import subprocess
import sys
import time
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from kinestream.model.clock import monotonic_ns, wall_clock
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.replay.process import OwnStreamer, started_streamer
from kinestream.screens.watch_strips import Strips
from kinestream.screens.watch_table import table_of
from kinestream.streamer.client import Label, LabelSubscriber
from kinestream.streamer.watch.tally import Tally
from tests.given.dashboards import BROWSER, WEARERS
from tests.pictures.dashboard import ARGUMENTS, fill, running, taken
from tests.pictures.limits import MOST_BYTES
from tests.pictures.terminal import as_svg

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
FILL_S = 185.0  # a row shows the last three minutes
WATCHED_S = 45.0
COLUMNS, LINES = 120, 14
SHOWN = {  # by name, of what view and size
    "streams": ("streams", "laptop"),
    "stream": ("stream", "laptop"),
    "health": ("health", "laptop"),
    "phone": ("stream", "phone"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=FOLDER, help="the folder; docs/pictures by default")
    parser.add_argument("--only", nargs="+", choices=[*SHOWN, "report", "watch"], default=[*SHOWN, "report", "watch"])
    parser.add_argument("--fill", type=float, default=FILL_S, help="seconds before the first picture")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver, running() as (streamer, dashboard):
        browser = driver.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        views = [name for name in SHOWN if name in options.only]
        if views:
            fill(browser, dashboard, options.fill)
        for name in views:
            view, size = SHOWN[name]
            for theme in ("light", "dark"):
                write(options.to / f"{name}-{theme}.webp", taken(browser, dashboard, view, size, theme))
        if "watch" in options.only:
            path = options.to / "watch.svg"
            path.write_text(watched(streamer, min(options.fill, WATCHED_S)), encoding="utf-8")
        if "report" in options.only:
            for theme in ("light", "dark"):
                write(options.to / f"report-{theme}.webp", reported(browser, theme))
        browser.close()


def write(path: Path, png: bytes) -> None:
    """Write a picture as WebP: without loss, unless it is too large."""
    with Image.open(BytesIO(png)) as picture:
        picture.load()
    for settings in ({"lossless": True}, {"quality": 90}, {"quality": 80}):
        whole = BytesIO()
        picture.convert("RGB").save(whole, "WEBP", method=6, **settings)
        if whole.tell() <= MOST_BYTES:
            path.write_bytes(whole.getvalue())
            return
    raise SystemExit(f"{path.name} is larger than {MOST_BYTES:,} bytes")


def watched(streamer: OwnStreamer, seconds: float) -> str:
    """Return what `kinestream watch` shows after so many seconds of listening."""
    at = streamer.addresses
    tally, strips = Tally(), Strips()
    until = time.monotonic() + seconds
    with LabelSubscriber(at.labels, events=True, annotations=True, control=at.control, log=False) as subscriber:
        while (left := until - time.monotonic()) > 0 or not _all_live(tally):
            message = subscriber.receive(max(left, 0.1))
            if message is None or message.stream not in WEARERS:
                continue  # the visitor's refusal is shown by the picture of the overview
            arrived = monotonic_ns()
            latency = wall_clock.age_ns(message.t_source, arrived) if isinstance(message, Label) else 0
            tally.add(message, arrived, latency)
            strips.add(message, arrived)
    console = Console(file=StringIO(), record=True, width=COLUMNS, height=LINES, force_terminal=True)
    console.print(table_of(tally, monotonic_ns(), LINES, COLUMNS, at.labels, "", strips))
    return as_svg(console, "kinestream watch")


def _all_live(tally: Tally) -> bool:
    seen = tally.streams.values()
    return len(seen) == len(WEARERS) and not any(each.ended or each.label is None for each in seen)


def reported(browser: Browser, theme: str) -> bytes:
    """Return the beginning of the page that a scored replay writes, by a streamer that plays nothing else."""
    with TemporaryDirectory() as folder, started_streamer(BUNDLE) as streamer:
        page_file = Path(folder) / "report.html"
        command = [sys.executable, "-m", "kinestream", "replay", str(RECORDINGS), "--recording", WEARERS[0]]
        at = streamer.addresses
        command += ["--ingest", at.ingest, "--labels", at.labels, "--control", at.control, "--json"]
        subprocess.run([*command, "--score", "--report", str(page_file)], check=True, stdout=subprocess.DEVNULL)
        with browser.new_context(viewport={"width": 1280, "height": 1000}, color_scheme=theme) as context:
            page = context.new_page()
            page.goto(page_file.as_uri())
            return page.screenshot()


if __name__ == "__main__":
    main()
