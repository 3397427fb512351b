"""The demo as a command, with a browser and without: what each shows, and that both end with the same summary."""

import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

import pytest

from kinestream.commands.demo import has_screen, open_in_browser
from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE
from tests.given.dashboards import BROWSER

for name in ("starlette", "uvicorn", "websockets", "cryptography"):
    pytest.importorskip(name)

CLASSES = read_bundle(BUNDLE).description.classes
WEARERS = ("s04", "s08", "s12", "s16", "s20")
SECONDS = 14
PATIENCE_S = 90.0
SCREENS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
ROW = "#rows .row:not([hidden])"
TRUTH = """(canvas) => {
    const scale = canvas.height / canvas.clientHeight, strip = document.createElement("canvas");
    [strip.width, strip.height] = [canvas.width, 30 * scale];
    strip.getContext("2d").drawImage(canvas, 0, -82 * scale);
    return strip.toDataURL();
}"""
PICTURE = "(canvas) => canvas.toDataURL()"


class Demo:
    """A ``kinestream demo --web`` on a terminal of its own, which is read by a thread."""

    def __init__(self, *options: object, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in SCREENS}
        kept |= {"TERM": "xterm", "COLUMNS": "80", "LINES": "24", **environment}
        command = [sys.executable, "-m", "kinestream", "demo", "--web", "--seconds", str(SECONDS), *map(str, options)]
        self._terminal, its = pty.openpty()
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its, text=True, env=kept)
        os.close(its)
        self._shown: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._reader.join()
        os.close(self._terminal)

    @property
    def shown(self) -> str:
        """Return what it has shown, without the terminal's commands."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(self._shown).decode(errors="replace"))

    def printed(self) -> str:
        """Wait until it ends well, and return what it has printed."""
        printed, _ = self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0, self.shown
        return printed

    def _read(self) -> None:
        while True:
            try:
                self._shown.append(os.read(self._terminal, 1 << 16))
            except OSError:  # nobody has it open any more
                return


def scores(printed: str) -> str:
    """Return the summary's line that does not depend on how busy the machine is."""
    [line] = re.findall(r"^accuracy 0\.\d+, macro F1 .+", printed, re.MULTILINE)
    assert re.search(r"^latency p50 .+\n(\d+) of \1 labels, 0 missing; ", printed, re.MULTILINE), printed
    return str(line)


@pytest.fixture(scope="module")
def plain() -> tuple[str, str]:
    """Return what is shown and printed where there is no browser."""
    with Demo("--speed", 8) as demo:
        printed = demo.printed()
    return demo.shown, printed


def assert_every_wearer_beside_the_truth(shown: str) -> None:
    for wearer in WEARERS:
        assert re.search(rf"{wearer} +[A-Z_]+ +[01]\.\d\d +[A-Z_]+ +\d+/\d+ +[■x]", shown), shown[-3000:]


def test_without_a_browser_the_terminal_shows_every_wearer_beside_the_truth(plain: tuple[str, str]):
    shown, printed = plain
    assert re.search(r"^no browser here: open the dashboard at http://127\.0\.0\.1:\d+/", shown, re.MULTILINE)
    assert_every_wearer_beside_the_truth(shown)
    assert scores(printed)


def test_a_browser_that_shows_nothing_here_is_not_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in SCREENS:
        monkeypatch.delenv(name, raising=False)
    assert not has_screen()
    for browser in ("w3m", "/usr/bin/lynx %s"):
        monkeypatch.setenv("BROWSER", browser)
        assert not has_screen()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BROWSER", "/nowhere/firefox")
    assert has_screen()
    assert not open_in_browser("http://127.0.0.1:1/")


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium: apt-get install chromium")
def test_a_browser_shows_signals_labels_and_the_truth_and_the_summary_is_the_same(
    plain: tuple[str, str], tmp_path: Path
):
    sync_api = pytest.importorskip("playwright.sync_api")
    sync_api.expect.set_options(timeout=PATIENCE_S * 1000)
    expect, asked = sync_api.expect, tmp_path / "asked"
    opens = tmp_path / "browser"
    # It goes on until its window is closed, as browsers do that were not open before.
    opens.write_text(f'#!/bin/sh\necho "$$ $1" > {asked}.part\nmv {asked}.part {asked}\nexec sleep 120\n')
    opens.chmod(0o755)
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=arguments)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        with Demo(BROWSER=str(opens)) as demo:
            try:
                for _ in range(int(PATIENCE_S * 10)):
                    if asked.exists():
                        break
                    page.wait_for_timeout(100)
                _, address = asked.read_text().split()
                page.goto(address)
                row = page.locator(ROW, has=page.get_by_role("link", name=WEARERS[0], exact=True))
                expect(row.locator(".activity")).to_have_text(re.compile("|".join(CLASSES)))
                expect(page.locator(ROW)).to_have_count(len(WEARERS))
                row.get_by_role("link").first.click()
                signal, lanes = page.locator("#plots canvas").first, page.locator("#lanes")
                expect(signal).to_be_visible()
                pictures = []
                for _ in range(5):
                    page.wait_for_timeout(300)
                    pictures.append((signal.evaluate(PICTURE), lanes.evaluate(TRUTH), lanes.evaluate(PICTURE)))
                assert all(len(set(each)) >= 4 for each in zip(*pictures, strict=True)), "signal, truth and labels move"
                printed = demo.printed()
                expect(page.locator("#connection")).to_have_text("Disconnected")
            finally:
                if asked.exists():
                    os.kill(int(asked.read_text().split()[0]), 15)
        browser.close()
    assert f"the dashboard is open at {address}" in demo.shown
    assert_every_wearer_beside_the_truth(demo.shown)
    assert scores(printed) == scores(plain[1])
