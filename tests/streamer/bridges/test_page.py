"""The page that makes a phone a sensor, in Chromium with emulated motion sensors: what it sends, and what it says."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from kinestream import Channel, SampleSender
from tests.given.bridged import assert_same, named, running_bridge, until, write_rig
from tests.given.bundles import random_bundle
from tests.given.streamers import running_streamer, subscribed

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium: apt-get install chromium")
sync_api = pytest.importorskip("playwright.sync_api")

BUNDLE = random_bundle(channels=3, classes=4, length=25, stride=10)
DEVICES = {
    "phone": {
        "web": {"clock": "own"},
        "channels": {f"c{at}": f"totalacceleration.{axis}" for at, axis in enumerate("xyz")},
    }
}
SERVER = {"host": "127.0.0.1", "port": 0, "https": False}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
ELSEWHERE = "phone.test"
"""A name of this machine that a browser does not know to be this machine's."""
PATIENCE_MS = 20_000


@pytest.fixture(scope="module")
def browser():
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
    ]
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def bridged(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with running_streamer(BUNDLE) as streamer:
        with running_bridge(write_rig(tmp_path / "rig.yaml", streamer, DEVICES, server=SERVER)) as running:
            yield streamer, running


class Phone:
    """The page on an emulated phone."""

    def __init__(self, browser, address, sensors=True, **options):
        self.context = browser.new_context(**(PHONE | options))
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.frames: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("websocket", lambda socket: socket.on("framesent", lambda frame: self.frames.append(frame)))
        self.devtools = self.context.new_cdp_session(self.page)
        self.page.goto(address)
        for kind in ("accelerometer", "linear-acceleration", "gyroscope") if sensors else ():
            self.devtools.send("Emulation.setSensorOverrideEnabled", {"enabled": True, "type": kind})
            self.feel(kind, 0, 0, 0)

    def feel(self, kind, *xyz):
        reading = {"xyz": dict(zip("xyz", xyz, strict=True))}
        self.devtools.send("Emulation.setSensorOverrideReadings", {"type": kind, "reading": reading})

    def start(self):
        self.page.click("#start")

    def says(self, text):
        sync_api.expect(self.page.locator("#state")).to_contain_text(text, timeout=PATIENCE_MS)

    def fits(self):
        """Tell whether nothing is cut off or has to be scrolled to."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight"
        )

    def readings(self):
        """Return what was sent: times and values of the accelerometer."""
        sent = [entry for frame in self.frames for entry in json.loads(frame)["payload"]]
        mine = [each for each in sent if each["name"] == "totalacceleration"]
        values = [[each["values"][axis] for axis in "xyz"] for each in mine]
        return np.array([each["time"] for each in mine]), np.array(values, np.float32)


def keep(page, name):
    """Keep a picture where somebody wants to look at it."""
    if folder := os.environ.get("KINESTREAM_PICTURES"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def test_its_readings_give_the_labels_of_the_same_readings_sent(browser, bridged):
    streamer, running = bridged
    with subscribed(streamer, "anna") as labels:
        phone = Phone(browser, running.bridge.address)
        phone.feel("accelerometer", 0, 0, 9.8)
        phone.start()
        phone.says("Sending")
        began = time.time_ns()
        rng = np.random.default_rng(0)
        while time.time_ns() < began + 4_000_000_000:
            phone.feel("accelerometer", *rng.normal(0, 3, 3).tolist())
            phone.page.wait_for_timeout(30)
        carried = named(labels, began + 2_500_000_000)
        activity = phone.page.inner_text("#label")
        keep(phone.page, "sending")
        assert phone.fits()
        phone.start()  # the button stops now
        phone.says("Stopped")
        until(lambda: running.look.devices[0].readings == len(phone.readings()[0]))
        times, values = phone.readings()
        assert phone.errors == []
        phone.context.close()
        with subscribed(streamer, "ben") as others:
            channels = [Channel(f"c{at}") for at in range(3)]
            with SampleSender(
                "ben",
                channels,
                0,
                endpoint=streamer.ingest,
                control=streamer.control,
                device="phone",
                timing="times",
                session=1,
            ) as sender:
                for begin in range(0, len(times), 10):
                    sender.send(values[begin : begin + 10], times=times[begin : begin + 10])
                expected = named(others, began + 2_500_000_000)
    assert activity in BUNDLE.description.classes
    assert_same(carried, expected, 5)


def test_axes_are_the_phones_in_both_orientations_of_the_screen(browser, bridged):
    _, running = bridged
    seen = []
    for turned in (False, True):
        sizes = {"viewport": {"width": 844, "height": 390}} if turned else {}
        phone = Phone(browser, running.bridge.address, **sizes)
        if turned:
            about = {"width": 844, "height": 390, "deviceScaleFactor": 2, "mobile": True}
            orientation = {"type": "landscapePrimary", "angle": 90}
            phone.devtools.send("Emulation.setDeviceMetricsOverride", about | {"screenOrientation": orientation})
            assert phone.page.evaluate("screen.orientation.angle") == 90
        phone.feel("accelerometer", 1, 2, 9)
        phone.feel("gyroscope", 0.5, 1.0, 1.5)
        phone.start()
        phone.says("Sending")
        until(lambda phone=phone: phone.page.wait_for_timeout(50) or len(phone.readings()[0]) > 5)
        seen.append(phone.readings()[1][-1].tolist())
        gyroscope = [
            each["values"]
            for frame in phone.frames
            for each in json.loads(frame)["payload"]
            if each["name"] == "gyroscope"
        ]
        assert np.allclose([gyroscope[-1][axis] for axis in "xyz"], [0.5, 1.0, 1.5], atol=0.01)
        assert phone.fits()
        keep(phone.page, "landscape" if turned else "portrait")
        phone.context.close()
    assert np.allclose(seen, [[1, 2, 9], [1, 2, 9]], atol=0.01)


def test_a_refused_permission_says_where_to_allow_it(browser, bridged):
    _, running = bridged
    phone = Phone(browser, running.bridge.address)
    origin = running.bridge.address.split("/", 3)
    where = {"permission": {"name": "accelerometer"}, "setting": "denied", "origin": "/".join(origin[:3])}
    browser.new_browser_cdp_session().send(
        "Browser.setPermission",
        where | {"browserContextId": phone.devtools.send("Target.getTargetInfo")["targetInfo"]["browserContextId"]},
    )
    phone.start()
    phone.says("Motion sensors are not allowed for this page")
    assert phone.page.inner_text("#start") == "Start"
    keep(phone.page, "refused")
    phone.context.close()


def test_without_https_it_says_so(browser, bridged):
    _, running = bridged
    phone = Phone(browser, running.bridge.address.replace("127.0.0.1", ELSEWHERE), sensors=False)
    phone.says("on HTTPS only")
    assert phone.page.is_disabled("#start")
    keep(phone.page, "without-https")
    phone.context.close()


def test_a_device_without_sensors_says_so(browser, bridged):
    _, running = bridged
    phone = Phone(browser, running.bridge.address, sensors=False)
    phone.start()
    phone.says("No readings come from this device")
    phone.context.close()


def test_offline_and_back_it_goes_on(browser, bridged):
    _, running = bridged
    phone = Phone(browser, running.bridge.address)
    phone.feel("accelerometer", 0, 0, 9.8)
    phone.start()
    phone.says("Sending")
    phone.context.set_offline(True)
    phone.says("This phone is offline")
    keep(phone.page, "offline")
    phone.context.set_offline(False)
    phone.says("Sending")
    before = running.look.devices[0].readings
    until(lambda: phone.page.wait_for_timeout(50) or running.look.devices[0].readings > before + 10)
    phone.context.close()


def test_a_bridge_that_goes_and_comes_back_gets_what_was_kept(browser, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with running_streamer(BUNDLE) as streamer:
        with running_bridge(write_rig(tmp_path / "rig.yaml", streamer, DEVICES, server=SERVER)) as running:
            address = running.bridge.address
            phone = Phone(browser, address)
            phone.feel("accelerometer", 0, 0, 9.8)
            phone.start()
            phone.says("Sending")
        phone.says("The bridge does not answer")
        phone.page.wait_for_timeout(1500)
        kept = int(phone.page.inner_text("#waiting").replace(",", ""))
        assert kept > 50
        port = int(address.split(":")[2].split("/")[0])
        path = write_rig(tmp_path / "rig.yaml", streamer, DEVICES, server=SERVER | {"port": port})
        with running_bridge(path) as running:
            phone.says("Sending")
            until(lambda: phone.page.wait_for_timeout(50) or running.look.devices[0].readings > kept / 3)
        phone.context.close()
