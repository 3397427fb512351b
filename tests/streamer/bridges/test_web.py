"""Phones over HTTP and websockets: what they push gives the labels of the same readings sent; strangers get nothing."""

import json
import os
import socket
import ssl
import stat
import time
from contextlib import ExitStack

import httpx
import pytest
from websockets.sync.client import connect

from kinestream.model.errors import EndpointError
from kinestream.streamer.bridges.web import certificate, impatient
from tests.given.bridged import (
    BUNDLE_READ,
    SECOND,
    STEPS,
    Worn,
    assert_same,
    named,
    running_bridge,
    sent_without,
    until,
    write_rig,
)
from tests.given.streamers import running_streamer, subscribed

SENSORS = {"acc": "totalacceleration", "gyro": "gyroscope"}
SERVER = {"host": "127.0.0.1", "port": 0, "https": False}
SECONDS, LAST = 12.0, 9 * SECOND


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def device_of(worn, **web):
    """Describe a phone whose channels are called ``phone_acc_x`` and come as ``totalacceleration.x``."""
    sources = {}
    for channel in worn.channels:
        _, sensor, axis = channel.name.split("_")
        sources[channel.name] = {"source": f"{SENSORS[sensor]}.{axis}", "unit": channel.unit}
    return {"web": web, "rate_hz": worn.rate_hz, "channels": sources}


def body_of(worn, begin, part):
    """Return readings as Sensor Logger pushes them."""
    payload = []
    names = [channel.name.split("_")[1:] for channel in worn.channels]
    for time_ns, row in zip(worn.times(begin)[part].tolist(), worn.values[part].tolist(), strict=True):
        for sensor, called in SENSORS.items():
            values = {axis: value for (own, axis), value in zip(names, row, strict=True) if own == sensor}
            payload.append({"name": called, "time": time_ns, "values": values})
    return {"messageId": part.start, "sessionId": "s", "deviceId": "d", "payload": payload}


@pytest.fixture
def worn():
    return [Worn("phone", 102.0, SECONDS), Worn("watch", 52.0, SECONDS)]


@pytest.mark.parametrize("way", ["push", "live"])
def test_labels_are_those_of_the_same_readings_sent(worn, tmp_path, way):
    begin = time.time_ns() - 20 * SECOND
    devices = {each.device: device_of(each, clock="own") for each in worn}
    with running_streamer(BUNDLE_READ) as streamer, subscribed(streamer, "anna") as labels:
        with running_bridge(write_rig(tmp_path / "rig.yaml", streamer, devices, server=SERVER)) as running:
            address = running.bridge.address
            if way == "push":
                with httpx.Client() as client:
                    for step in range(STEPS):
                        for each in worn:
                            answer = client.post(
                                f"{address}push/{each.device}", json=body_of(each, begin, each.part(step))
                            )
                            assert answer.status_code == 200, answer.text
            else:
                base = address.replace("http", "ws", 1) + "live/"
                with connect(base + "phone", max_queue=None) as phone, connect(base + "watch", max_queue=None) as watch:
                    for step in range(STEPS):
                        for socket, each in zip((phone, watch), worn, strict=True):
                            socket.send(json.dumps(body_of(each, begin, each.part(step))))
                        time.sleep(0.02)  # they come over two connections: neither may be far ahead
                    shown = json.loads(phone.recv(timeout=10))
                    assert shown["label"] in BUNDLE_READ.description.classes
            carried = named(labels, begin + LAST)
        expected = sent_without(streamer, worn, begin, begin + LAST)
    assert_same(carried, expected, 20)


def test_a_phone_whose_clock_is_an_hour_off_is_mapped(worn, tmp_path):
    phone = worn[0]
    with running_streamer(BUNDLE_READ) as streamer:
        path = write_rig(tmp_path / "rig.yaml", streamer, {"phone": device_of(phone)}, server=SERVER)
        with running_bridge(path) as running:
            body = body_of(phone, time.time_ns() - 3600 * SECOND, phone.part(0))
            assert httpx.post(f"{running.bridge.address}push/phone", json=body).status_code == 200
            until(lambda: running.look.devices[0].readings)
            assert running.look.devices[0].delay_ms < 1000


def test_strangers_get_nothing(worn, tmp_path):
    with running_streamer(BUNDLE_READ) as streamer:
        path = write_rig(tmp_path / "rig.yaml", streamer, {"phone": device_of(worn[0])}, server=SERVER)
        with running_bridge(path) as running:
            right = running.bridge.address
            wrong = right.rstrip("/").rpartition("/")[0] + "/not-the-token-at-all/"
            body = body_of(worn[0], time.time_ns(), worn[0].part(0))
            answers = [
                httpx.get(wrong),
                httpx.get(wrong + "page.js"),
                httpx.post(wrong + "push/phone", json=body),
                httpx.get(wrong.replace("/not-the-token-at-all", "")),
                httpx.get(right + "../../../etc/passwd"),
                httpx.get(right + "source.py"),
                httpx.post(right + "push/nobody", json=body),
            ]
            assert [answer.status_code for answer in answers] == [404] * len(answers)
            assert len({answer.text for answer in answers}) == 1, "they tell what is there"
            with pytest.raises(Exception, match=r"HTTP 403|4404"):
                connect(wrong.replace("http", "ws", 1) + "live/phone").recv(timeout=5)
            assert running.look.devices[0].readings == 0
            assert httpx.get(right).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"\x00\xff no json", 400, "no JSON"),
        (b"[1, 2]", 400, 'list "payload"'),
        (b'{"payload": [{"name": "gyroscope", "time": -1, "values": {}}]}', 400, "no {name, time, values}"),
        (b'{"payload": [{"name": "gyroscope", "time": 1e18, "values": {}}]}', 400, "no {name, time, values}"),
        (b"[" * 100_000, 400, "no JSON"),
        (b" " * (2 << 20), 413, "smaller batches"),
        (b'{"payload": [{"name": "gyroscope", "time": 1, "values": {"x": NaN, "y": "a", "z": null}}]}', 200, "taken"),
        (b'{"payload": []}', 200, "taken"),
        (
            '{"payload": [{"name": "gyroscope", "time": "\u00b2", "values": {}}]}'.encode(),
            400,
            "no {name, time, values}",
        ),
        (b'{"payload": [{"name": "gyroscope", "time": 1, "values": {"x": 1' + b"0" * 400 + b"}}]}", 200, "taken"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_in_a_line(worn, tmp_path, body, status, said):
    with running_streamer(BUNDLE_READ) as streamer:
        path = write_rig(tmp_path / "rig.yaml", streamer, {"phone": device_of(worn[0])}, server=SERVER)
        with running_bridge(path) as running:
            answer = httpx.post(f"{running.bridge.address}push/phone", content=body)
            assert answer.status_code == status
            assert said in answer.text
            assert answer.text.count("\n") == 1
            good = body_of(worn[0], time.time_ns(), worn[0].part(0))
            assert httpx.post(f"{running.bridge.address}push/phone", json=good).status_code == 200


def test_sensors_that_do_not_come_are_named(worn, tmp_path):
    with running_streamer(BUNDLE_READ) as streamer:
        path = write_rig(tmp_path / "rig.yaml", streamer, {"phone": device_of(worn[0])}, server=SERVER)
        with running_bridge(path) as running:
            until(lambda: any("no phone has sent anything" in problem for problem in running.look.problems))
            body = {"payload": [{"name": "barometer", "time": 1, "values": {"pressure": 1}}]}
            httpx.post(f"{running.bridge.address}push/phone", json=body)
            until(lambda: any("only barometer come" in problem for problem in running.look.problems))
            body = {"payload": [{"name": "gyroscope", "time": time.time_ns(), "values": {"x": 1, "y": 2, "z": 3}}]}
            httpx.post(f"{running.bridge.address}push/phone", json=body)
            until(lambda: any("totalacceleration.x" in problem for problem in running.look.problems))


def test_https_with_a_certificate_of_its_own(worn, tmp_path):
    with running_streamer(BUNDLE_READ) as streamer:
        devices = {"phone": device_of(worn[0])}
        path = write_rig(tmp_path / "rig.yaml", streamer, devices, server=SERVER | {"https": True})
        with running_bridge(path) as running:
            address = running.bridge.address
            assert address.startswith("https://127.0.0.1:")
            folder = certificate.own_folder()
            trusting = ssl.create_default_context(cafile=str(folder / "certificate.pem"))
            page = httpx.get(address, verify=trusting)
            assert page.status_code == 200
            assert "default-src 'self'" in page.headers["content-security-policy"]
        modes = {name: stat.S_IMODE(os.stat(folder / name).st_mode) for name in ("key.pem", "token")}
        assert modes == {"key.pem": 0o600, "token": 0o600}
        before = (folder / "certificate.pem").read_bytes()
        with running_bridge(path) as running:  # a phone that trusts it, and its bookmark, go on working
            assert running.bridge.address.rpartition(":")[2].split("/")[1] == address.split("/")[3]
        assert (folder / "certificate.pem").read_bytes() == before


def test_a_port_in_use_is_a_line(worn, tmp_path):
    with running_streamer(BUNDLE_READ) as streamer:
        devices = {"phone": device_of(worn[0])}
        with running_bridge(write_rig(tmp_path / "rig.yaml", streamer, devices, server=SERVER)) as running:
            port = int(running.bridge.address.split(":")[2].split("/")[0])
            path = write_rig(tmp_path / "other.yaml", streamer, devices, server=SERVER | {"port": port})
            with pytest.raises(EndpointError, match=f"cannot listen at 127.0.0.1:{port}"), running_bridge(path):
                pass


def test_whoever_sends_a_request_byte_by_byte_keeps_nobody_out(worn, tmp_path, monkeypatch):
    monkeypatch.setattr(impatient, "REQUEST_S", 1.0)
    with running_streamer(BUNDLE_READ) as streamer:
        path = write_rig(tmp_path / "rig.yaml", streamer, {"phone": device_of(worn[0])}, server=SERVER)
        with running_bridge(path) as running, ExitStack() as stack:
            address = running.bridge.address
            port = int(address.split(":")[2].split("/")[0])
            slow = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(300)]
            for each in slow:
                each.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\nX-")
            until(lambda: httpx.get(address).status_code == 200)
            slow[0].settimeout(10)
            assert slow[0].recv(4096) in (b"",) or slow[0].recv(4096) == b""
