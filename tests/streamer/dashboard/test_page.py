"""The page in Chromium, with a live replay: what it shows is what was published, and it says what is in the way."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from kinestream import Channel, LabelSubscriber, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE
from kinestream.replay.process import started_streamer
from kinestream.streamer.client import Annotation
from kinestream.streamer.dashboard.process import started_dashboard
from kinestream.streamer.dashboard.streamers import Addresses
from kinestream.streamer.directory.table import Addresses as Places
from tests.given.bundles import random_bundle
from tests.given.dashboards import BROWSER, WEARERS, listening, played
from tests.given.fleets import Fleet
from tests.given.streamers import free_addresses, running_streamer

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium: apt-get install chromium")
sync_api = pytest.importorskip("playwright.sync_api")

SMALL = random_bundle(channels=3, classes=4, length=25, stride=10)
CLASSES = read_bundle(BUNDLE).description.classes
PATIENCE_MS = 20_000
HOSTILE = "<img src=x onerror='window.hacked=1'><b>&amp;"
THEMES = ("light", "dark")
VIEWS = {"streams": "#/", "stream": f"#/stream/{WEARERS[0]}", "health": "#/health"}
SHOWN = {"streams": ".row .name a", "stream": "#plots .plot", "health": "#charts .uplot"}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=BROWSER, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def live():
    """Return a streamer to which recordings are played, and its dashboard."""
    with started_streamer(BUNDLE) as streamer:
        at = streamer.addresses
        with (
            played(at.ingest, at.labels),
            started_dashboard(Addresses(at.labels, at.control, streamer.watch)) as dashboard,
        ):
            yield streamer, dashboard


@pytest.fixture
def page(browser):
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
        yield page
        assert errors == []


def another_dashboard(streamer, port=0):
    at = streamer.addresses
    return started_dashboard(Addresses(at.labels, at.control, streamer.watch), port)


def opened(page, dashboard, view="#/"):
    page.goto(dashboard.address + view)
    return page


def row_of(page, stream):
    return page.locator(".row", has=page.get_by_role("link", name=stream, exact=True))


def expect(locator):
    sync_api.expect.set_options(timeout=PATIENCE_MS)
    return sync_api.expect(locator)


def test_rows_show_the_labels_that_are_published_and_their_strips_move(page, live):
    streamer, dashboard = live
    with listening(streamer.addresses.labels) as listener:
        opened(page, dashboard)
        for wearer in WEARERS:
            expect(row_of(page, wearer).locator(".activity")).to_have_text(re.compile("|".join(CLASSES)))
        strips = []
        for _ in range(6):
            page.wait_for_timeout(500)
            shown = page.evaluate(
                "[...document.querySelectorAll('.row:not([hidden])')].map((row) => ["
                "row.querySelector('a').textContent, row.querySelector('.activity').textContent])"
            )
            assert {name for name, _ in shown} == set(WEARERS)
            for name, activity in shown:
                assert activity in listener.lately(name, time.time_ns() - 1_000_000_000), name
            strips.append(row_of(page, WEARERS[0]).locator("canvas").evaluate("(canvas) => canvas.toDataURL()"))
    assert len(set(strips)) > 3


def test_search_filters_and_keys_find_a_stream(page, live):
    opened(page, live[1])
    expect(page.locator(".row:not([hidden])")).to_have_count(len(WEARERS))
    page.keyboard.press("/")
    page.keyboard.type("S12")
    expect(page.locator(".row:not([hidden])")).to_have_count(1)
    page.get_by_role("link", name="s12_01").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#stream-name")).to_have_text("s12_01")
    page.go_back()
    page.fill("#search", "nobody")
    expect(page.locator("#nothing")).to_contain_text("No stream's name contains “nobody”")


def test_a_stream_shows_signal_labels_truth_and_probabilities(page, live):
    streamer, dashboard = live
    with listening(streamer.addresses.labels) as listener:
        opened(page, dashboard, VIEWS["stream"])
        expect(page.locator("#plots .plot").first).to_be_visible()
        expect(page.locator("#stream-activity")).to_have_text(re.compile("|".join(CLASSES)))
        page.wait_for_timeout(1000)
        assert page.inner_text("#stream-activity") in listener.lately(WEARERS[0], time.time_ns() - 1_000_000_000)
    told = page.evaluate(
        "[...document.querySelectorAll('#probs > div')].map((line) => ["
        "line.querySelector('dt').textContent, parseInt(line.querySelector('dd').textContent)])"
    )
    assert [name for name, _ in told] == list(CLASSES)
    assert 97 <= sum(p for _, p in told) <= 103
    expect(page.locator("#devices")).to_contain_text("Hz")


def test_a_stream_that_is_clicked_on_goes_on(page, live):
    """The mouse leaves the list meanwhile, which asks for the list anew."""
    opened(page, live[1])
    row_of(page, WEARERS[0]).hover()
    row_of(page, WEARERS[0]).get_by_role("link").first.click()
    expect(page.locator("#plots .plot").first).to_be_visible()
    page.mouse.move(5, 5)
    page.wait_for_timeout(500)
    before = page.locator("#lanes").evaluate("(canvas) => canvas.toDataURL()")
    page.wait_for_timeout(2500)
    assert page.locator("#lanes").evaluate("(canvas) => canvas.toDataURL()") != before


def test_a_fleets_streamers_are_chosen_in_health_and_one_that_is_gone_is_named(page):
    with running_streamer(SMALL) as one, ExitStack() as ends, Fleet() as fleet:
        two = ends.enter_context(running_streamer(SMALL))
        for slot, each in enumerate((one, two)):
            fleet.register(f"streamer-{slot}", Places(each.ingest, each.control, each.labels, each.watch))
        fleet.plan(2)
        with started_dashboard(Addresses(fleet=fleet.address)) as dashboard:
            opened(page, dashboard, VIEWS["health"])
            buttons = page.locator("#streamers button")
            expect(buttons).to_have_count(2)
            expect(buttons.nth(0)).to_have_attribute("aria-pressed", "true")
            buttons.nth(1).click()
            expect(buttons.nth(1)).to_have_attribute("aria-pressed", "true")
            expect(page.locator("#about")).to_contain_text(SMALL.id)
            ends.close()
            expect(page.locator("#notice-title")).to_have_text("streamer-1 is disconnected.")
            expect(buttons.nth(1)).to_contain_text("disconnected for")
            expect(buttons.nth(0)).to_contain_text("0 streams")


def test_it_can_be_paused_zoomed_and_a_moment_sent_to_somebody(page, live, browser):
    opened(page, live[1], VIEWS["stream"])
    expect(page.locator("#plots .plot").first).to_be_visible()
    page.keyboard.press("Space")
    expect(page.locator("#pause")).to_have_text("Live")
    before = page.locator("#lanes").evaluate("(canvas) => canvas.toDataURL()")
    page.wait_for_timeout(700)
    page.keyboard.press("-")
    expect(page.locator("#span")).to_have_text("1 min")
    page.keyboard.press("+")
    expect(page.locator("#span")).to_have_text("30 s")
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.click("#link")
    expect(page.locator("#link")).to_have_text("Copied")
    link = page.evaluate("window.copied")
    assert re.search(r"#/stream/s04_01\?until=\d+&span=30000$", link)
    page.keyboard.press("End")
    expect(page.locator("#pause")).to_have_text("Pause")
    page.goto("about:blank")
    page.goto(link)
    expect(page.locator("#pause")).to_have_text("Live")
    expect(page.locator("#plots .plot").first).to_be_visible()
    page.wait_for_timeout(500)
    assert page.locator("#lanes").evaluate("(canvas) => canvas.toDataURL()") != before  # another page, the same moment
    still = page.locator("#lanes").evaluate("(canvas) => canvas.toDataURL()")
    page.wait_for_timeout(700)
    assert page.locator("#lanes").evaluate("(canvas) => canvas.toDataURL()") == still


def test_a_refused_stream_stands_first_and_says_why(page, live):
    streamer, dashboard = live
    at = streamer.addresses
    with SampleSender("zoe", [Channel("nose")], 50.0, endpoint=at.ingest, control=at.control) as sender:
        opened(page, dashboard)
        sender.describe()
        expect(page.locator(".row:not([hidden])").first).to_contain_text("zoe")
        expect(row_of(page, "zoe")).to_contain_text("refused: ")
        row_of(page, "zoe").get_by_role("link").click()
        expect(page.locator("#stream-activity")).to_have_text("Refused")
        expect(page.locator("#stream-problem")).to_contain_text("channel")


def test_hostile_names_are_shown_as_text(page, live):
    streamer, dashboard = live
    at = streamer.addresses
    channels = [*read_bundle(BUNDLE).channels, Channel(HOSTILE, "<i>g</i>")]
    with SampleSender("eve", channels, 50.0, endpoint=at.ingest, control=at.control) as sender:
        opened(page, dashboard, "#/stream/eve")
        now = time.time_ns()
        sender.annotate(HOSTILE, now - 5_000_000_000, now + 60_000_000_000)
        for _ in range(30):
            sender.send([[0.0] * len(channels)] * 5)
            page.wait_for_timeout(100)
        page.click("#channels summary")
        expect(page.locator("#channels")).to_contain_text(HOSTILE)
    with SampleSender("mallory", [Channel(HOSTILE)], 50.0, endpoint=at.ingest, control=at.control) as sender:
        page.goto(dashboard.address)
        sender.describe()
        expect(row_of(page, "mallory")).to_contain_text(HOSTILE)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img").count() == 0


def test_what_is_said_on_the_page_is_published_and_recordings_begin_and_end_there(page, live, tmp_path):
    pytest.importorskip("mcap")
    streamer, _ = live
    at, channels = streamer.addresses, read_bundle(BUNDLE).channels
    command = [sys.executable, "-m", "kinestream", "dashboard", "--port", "0", "--json", "--record-to", str(tmp_path)]
    command += ["--labels", at.labels, "--control", at.control, "--watch", streamer.watch, "--priority", "low"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
        LabelSubscriber(at.labels, streams=["fred"], annotations=True, log=False) as subscriber,
        SampleSender(
            "fred", channels, 50.0, endpoint=at.ingest, control=at.control
        ) as sender,  # of whom nobody else says anything
    ):
        try:
            page.goto(json.loads(process.stdout.readline())["address"] + "#/stream/fred")
            sender.wait_accepted()
            sender.send([[0.0] * len(channels)] * 100)
            expect(page.locator("#stream-activity")).to_have_text(re.compile("|".join(CLASSES)))
            page.click("#record")
            expect(page.locator("#record")).to_have_attribute("aria-pressed", "true")
            page.get_by_role("button", name="TURNING", exact=True).click()
            expect(page.locator("#said")).to_contain_text("TURNING since")
            page.wait_for_timeout(300)  # of nothing, nothing is told
            page.get_by_role("button", name="TURNING", exact=True).click()
            expect(page.locator("#said")).to_have_text("Told.")
            until = time.monotonic() + PATIENCE_MS / 1000
            while not (isinstance(said := subscriber.receive(1.0), Annotation) and said.activity == "TURNING"):
                assert time.monotonic() < until
            assert 0 < said.end - said.begin < PATIENCE_MS * 1_000_000
            while not list(tmp_path.rglob("*.mcap*")):
                assert time.monotonic() < until
                page.wait_for_timeout(100)
            page.click("#record")
            expect(page.locator("#record")).to_have_attribute("aria-pressed", "false")
        finally:
            process.terminate()
    assert list(tmp_path.rglob("*.mcap"))


@contextmanager
def serving(*where):
    """Run a streamer at these addresses; it is killed when the block ends, if it has not been."""
    command = [sys.executable, "-m", "kinestream", "serve", str(BUNDLE), "--no-restart", *where]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_streamer_that_dies_shows_as_gone_and_is_there_again_by_itself(page):
    ingest, labels, control, watch = free_addresses(4)
    where = ["--ingest", ingest, "--labels", labels, "--control", control, "--watch", watch]
    with started_dashboard(Addresses(labels, control, watch)) as dashboard:
        opened(page, dashboard)
        expect(page.locator("#notice")).to_contain_text("No streamer answers")
        expect(page.locator("#notice")).to_contain_text(labels)
        with serving(*where) as streamer, played(ingest, labels, WEARERS[:1]):
            expect(page.locator("#connection")).to_have_text("Live")
            expect(row_of(page, WEARERS[0]).locator(".p")).to_contain_text("%")
            streamer.kill()
            expect(page.locator("#connection")).to_have_text("No streamer")
            expect(page.locator("#notice")).to_be_visible()
        with serving(*where), played(ingest, labels, WEARERS[1:2]):
            expect(page.locator("#connection")).to_have_text("Live")
            expect(page.locator("#notice")).to_be_hidden()
            expect(row_of(page, WEARERS[1]).locator(".p")).to_contain_text("%")


def test_a_dashboard_that_goes_is_told_and_found_again(page, live):
    with another_dashboard(live[0]) as dashboard:
        opened(page, dashboard)
        expect(page.locator("#connection")).to_have_text("Live")
        port = int(dashboard.address.split(":")[2].strip("/"))
    expect(page.locator("#connection")).to_have_text("Disconnected")
    expect(page.locator("#notice")).to_contain_text("kinestream dashboard")
    with another_dashboard(live[0], port):
        expect(page.locator("#connection")).to_have_text("Live")
        expect(row_of(page, WEARERS[0]).locator(".p")).to_contain_text("%")


def test_what_is_old_because_the_dashboard_has_no_processor_is_told(page, live):
    def told(message):
        content = json.loads(message)
        if content["t"] == "state":
            content["behind_s"] += 7.4
        return json.dumps(content)

    def between(ours):
        theirs = ours.connect_to_server()
        theirs.on_message(lambda message: ours.send(told(message)))

    page.route_web_socket("**/live/now", between)
    opened(page, live[1])
    expect(page.locator("#notice")).to_contain_text(re.compile("What you see is up to [78] s late"))
    expect(page.locator("#notice")).to_contain_text("--priority low")


def test_a_dashboard_that_says_nothing_for_a_while_is_late_and_not_gone(page, live):
    with another_dashboard(live[0]) as dashboard:
        opened(page, dashboard)
        expect(page.locator("#connection")).to_have_text("Live")
        os.kill(dashboard.pid, signal.SIGSTOP)
        try:
            expect(page.locator("#connection")).to_have_text("Late")
            expect(page.locator("#notice")).to_contain_text(re.compile("What you see is up to [2-9] s late"))
        finally:
            os.kill(dashboard.pid, signal.SIGCONT)
        expect(page.locator("#connection")).to_have_text("Live", timeout=30_000)


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    if shutil.which("npm") is None:
        pytest.skip("there is no npm")
    folder = tmp_path_factory.mktemp("axe")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(Path(__file__).parent / name, folder)
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"npm cannot fetch axe-core: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


@pytest.mark.parametrize("theme", THEMES)
def test_no_serious_fault_of_accessibility(browser, live, axe, theme):
    serious = []
    with browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=theme) as context:
        page = context.new_page()
        for view, address in VIEWS.items():
            page.goto(live[1].address + address)
            expect(page.locator(SHOWN[view]).first).to_be_visible()
            page.evaluate(axe)
            found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
            serious += [
                (view, each["id"], each["nodes"][0]["html"])
                for each in found
                if each["impact"] in ("serious", "critical")
            ]
            page.goto("about:blank")
    assert serious == [], json.dumps(serious, indent=1)


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_the_screen(browser, live, view):
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        page.goto(live[1].address + VIEWS[view])
        expect(page.locator(SHOWN[view]).first).to_be_visible()
        for width in (320, 390, 768, 1280, 2560):
            page.set_viewport_size({"width": width, "height": 800})
            page.wait_for_timeout(150)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
