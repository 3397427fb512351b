"""Takes pictures of the dashboard while recordings are played: ``python -m tests.pictures.dashboard FOLDER``.

They are to be looked at: every view at the size of a laptop, of a screen on a wall and of a phone, light and dark.
Those of the documentation are taken by ``python -m tests.pictures``.
"""

import argparse
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from kinestream import Channel, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE
from kinestream.replay.process import OwnStreamer, started_streamer
from kinestream.streamer.dashboard.process import OwnDashboard, started_dashboard
from kinestream.streamer.dashboard.streamers import Addresses
from tests.given.dashboards import BROWSER, WEARERS, played

CLASSES = read_bundle(BUNDLE).description.classes
SIZES = {"laptop": (1280, 800), "wall": (2560, 1440), "phone": (390, 844)}
VIEWS = {"streams": "#/", "stream": f"#/stream/{WEARERS[0]}", "health": "#/health"}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
FILL_S = 45.0
PATIENCE_MS = 60_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--views", nargs="+", choices=[*VIEWS, "gone"], default=[*VIEWS, "gone"])
    parser.add_argument("--themes", nargs="+", choices=["light", "dark"], default=["light", "dark"])
    parser.add_argument("--fill", type=float, default=FILL_S, help="seconds before the first picture")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver, running() as (streamer, dashboard):
        browser = driver.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        fill(browser, dashboard, options.fill)
        for view in [each for each in options.views if each != "gone"]:
            for size in options.sizes:
                for theme in options.themes:
                    path = options.folder / f"{view}-{size}-{theme}.png"
                    path.write_bytes(taken(browser, dashboard, view, size, theme))
        if "gone" in options.views:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(dashboard.address)
            expect(page.locator(".row .name a").first).to_be_visible(timeout=PATIENCE_MS)
            streamer.stop()
            expect(page.locator("#notice")).to_be_visible(timeout=PATIENCE_MS)
            page.screenshot(path=options.folder / "gone-laptop-light.png")
        browser.close()


@contextmanager
def running() -> Iterator[tuple[OwnStreamer, OwnDashboard]]:
    """Run a streamer, its dashboard, wearers that are played, and one whom the streamer refuses."""
    with started_streamer(BUNDLE) as streamer:
        at = streamer.addresses
        with (
            played(at.ingest, at.labels),
            started_dashboard(Addresses(at.labels, at.control, streamer.watch)) as dashboard,
            SampleSender("visitor", [Channel("nose")], 50.0, endpoint=at.ingest, control=at.control) as visitor,
        ):
            visitor.describe()
            yield streamer, dashboard


def fill(browser: Browser, dashboard: OwnDashboard, seconds: float) -> Page:
    """Look at a stream for so long, so that there are a signal and the status of that time; the page stays open."""
    page = browser.new_page()
    page.goto(dashboard.address + VIEWS["stream"])
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        page.wait_for_timeout(500)
    return page


def taken(
    browser: Browser, dashboard: OwnDashboard, view: str, size: str, theme: str, scale: float | None = None
) -> bytes:
    """Return one picture, as PNG, taken once everything is there that is to be seen."""
    width, height = SIZES[size]
    phone: dict[str, Any] = {"is_mobile": True, "has_touch": True} if size == "phone" else {}
    phone["device_scale_factor"] = scale or (2 if size == "phone" else 1)
    with browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme, **phone) as context:
        page = context.new_page()
        page.goto(dashboard.address + VIEWS[view])
        if view == "health":
            expect(page.locator("#charts .uplot").last).to_be_visible(timeout=PATIENCE_MS)
        else:
            # Between two rounds of its recordings a wearer's session has ended.
            does = page.locator("#stream-activity" if view == "stream" else ".row:not(.bare) .activity")
            expect(does.first).to_have_text(re.compile("|".join(CLASSES)), timeout=PATIENCE_MS)
        if view == "stream":
            expect(page.locator("#plots .plot").last).to_be_visible(timeout=PATIENCE_MS)
        page.wait_for_timeout(1500)  # figures of a few rounds: some are told once a second
        if view == "stream":
            expect(page.locator("#stream-activity")).to_have_text(re.compile("|".join(CLASSES)), timeout=PATIENCE_MS)
        return page.screenshot()


if __name__ == "__main__":
    main()
