"""Metrics of a live streamer, as Prometheus reads them."""

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from kinestream import Channel, SampleSender
from kinestream.model.errors import EndpointError
from kinestream.streamer.directory.table import Addresses
from tests.given.bundles import random_bundle
from tests.given.fleets import Fleet
from tests.given.live import signal
from tests.given.streamers import running_streamer, unserved_addresses

prometheus_client = pytest.importorskip("prometheus_client")
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from kinestream.streamer.metrics.exporter import Exporter  # noqa: E402

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
MONITORING = Path(__file__).resolve().parents[3] / "docs" / "monitoring"
PROMTOOL = shutil.which("promtool")


@pytest.fixture(scope="module")
def scraped():
    """Return a streamer that has named windows, and what a scrape says of it."""
    with running_streamer(BUNDLE) as streamer, Exporter(streamer.watch) as exporter:
        thread = threading.Thread(target=exporter.run)
        thread.start()
        awaited(lambda: exporter.status is not None)
        channels = [Channel(f"c{at}") for at in range(3)]
        with SampleSender("anna", channels, 50.0, endpoint=streamer.ingest, control=streamer.control) as sender:
            sender.wait_accepted(10)
            for _ in range(10):
                sender.send(signal(40))
            awaited(lambda: exporter.status.totals.get("windows_labelled", 0) >= 90)
            yield streamer, scrape(exporter)
        exporter.stop()
        thread.join()


def awaited(is_so, timeout_s: float = 20.0) -> None:
    until = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def scrape(exporter: Exporter) -> str:
    with urllib.request.urlopen(exporter.address, timeout=10) as response:
        return response.read().decode()


def samples_of(text: str) -> dict[tuple[str, str], float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[sample.name, labels] = sample.value
    return found


def test_counters_are_the_streamers_own(scraped):
    streamer, text = scraped
    found, totals = samples_of(text), streamer.totals()
    assert found["kinestream_up", ""] == 1
    assert found["kinestream_streams", ""] == 1
    assert found["kinestream_windows_total", "outcome=labelled"] == totals["windows_labelled"]
    assert found["kinestream_samples_received_total", ""] == totals["samples_received"] == 400
    assert found["kinestream_connections", "endpoint=senders"] == 1


def test_every_stage_is_a_histogram_of_all_labels(scraped):
    streamer, text = scraped
    found = samples_of(text)
    for stage in ("received_ready", "ready_inferred", "inferred_published", "source_published"):
        buckets = [value for (name, labels), value in found.items() if name.endswith("_bucket") and stage in labels]
        assert buckets == sorted(buckets)
        assert buckets[-1] == found["kinestream_latency_seconds_count", f"stage={stage}"]
        assert buckets[-1] == streamer.totals()["windows_labelled"]


def test_no_stream_is_named(scraped):
    assert "anna" not in scraped[1]


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: apt-get install prometheus")
def test_promtool_finds_no_fault(scraped):
    checked = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=scraped[1], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.skipif(not MONITORING.exists(), reason="of the checkout: this is an install")
@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: apt-get install prometheus")
def test_the_rules_are_rules():
    checked = subprocess.run(
        [PROMTOOL, "check", "rules", MONITORING / "alerts.yaml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(not MONITORING.exists(), reason="of the checkout: this is an install")
@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool: apt-get install prometheus")
def test_the_opentelemetry_collector_is_told_to_scrape_as_prometheus_is(tmp_path):
    """The Collector itself is not run: of its file, what it hands to Prometheus' own code is checked."""
    whole = yaml.safe_load((MONITORING / "opentelemetry.yaml").read_text())
    scraping = whole["receivers"]["prometheus"]["config"]
    (shown,) = re.findall(r"```yaml\n(.*?)```", (MONITORING / "README.md").read_text(), re.DOTALL)
    assert scraping["scrape_configs"] == yaml.safe_load(shown)["scrape_configs"]
    assert set(whole["service"]["pipelines"]["metrics"]["receivers"]) <= whole["receivers"].keys()
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(scraping))
    checked = subprocess.run(
        [PROMTOOL, "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(not MONITORING.exists(), reason="of the checkout: this is an install")
def test_what_rules_and_panels_ask_for_is_there(scraped):
    known = {name for name, _ in samples_of(scraped[1])} | {"kinestream_readings_total", "kinestream_connections_total"}
    known |= {"kinestream_watched_total", "kinestream_subscribers_total", "kinestream_latency_seconds"}
    panels = json.loads((MONITORING / "grafana.json").read_text())["panels"]
    known |= {"kinestream_fleet_directory_up", "kinestream_fleet_slots"}  # a fleet's: another test sees to them
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    asked.append((MONITORING / "alerts.yaml").read_text())
    named = {name for text in asked for name in re.findall(r"kinestream_[a-z_]+(?![a-z_(])", text)}
    assert {name for name in named if not name.endswith("_")} <= known


def test_of_a_fleet_each_metric_says_of_which_streamer_it_is_and_there_are_the_directorys_own():
    with running_streamer(BUNDLE) as one, running_streamer(BUNDLE) as two, Fleet() as fleet:
        for slot, each in enumerate((one, two)):
            fleet.register(f"streamer-{slot}", Addresses(each.ingest, each.control, each.labels, each.watch))
        table = fleet.plan(2)
        anna = table.slot_of("anna")
        with Exporter(fleet=fleet.address) as exporter:
            thread = threading.Thread(target=exporter.run)
            thread.start()
            awaited(lambda: len(exporter.fleet.statuses) == 2 and all(exporter.fleet.statuses.values()))
            channels = [Channel(f"c{at}") for at in range(3)]
            with SampleSender("anna", channels, 50.0, fleet=fleet.address) as sender:
                sender.send(signal(40))
                awaited(lambda: exporter.fleet.statuses[anna].totals.get("windows_labelled", 0) >= 9)
                text = scrape(exporter)
            exporter.stop()
            thread.join()
    found = samples_of(text)
    for slot in ("streamer-0", "streamer-1"):
        assert found["kinestream_up", f"streamer={slot}"] == 1
        assert found["kinestream_streams", f"streamer={slot}"] == (slot == anna)
        received = found.get(("kinestream_samples_received_total", f"streamer={slot}"), 0)
        assert received == 40 * (slot == anna)
    assert found["kinestream_latency_seconds_count", f"stage=source_published,streamer={anna}"] >= 9
    assert found["kinestream_fleet_directory_up", ""] == 1
    assert found["kinestream_fleet_slots", "state=serving"] == 2
    assert found["kinestream_fleet_slots", "state=away"] == 0
    assert round(1000 * found["kinestream_fleet_epoch_timestamp_seconds", ""]) == table.epoch
    assert "anna" not in text
    if PROMTOOL is not None:
        checked = subprocess.run(
            [PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, "")


def test_without_a_directory_of_a_fleet_nothing_else_is_said():
    with unserved_addresses(1) as (nobody,), Exporter(fleet=nobody) as exporter:
        assert samples_of(scrape(exporter)) == {("kinestream_fleet_directory_up", ""): 0}


def test_without_a_streamer_it_is_down_and_says_nothing_else():
    with unserved_addresses(1) as (watch,), Exporter(watch) as exporter:
        found = samples_of(scrape(exporter))
        assert found == {("kinestream_up", ""): 0}


def test_a_port_in_use_is_told_in_a_line():
    with unserved_addresses(1) as (watch,), Exporter(watch) as exporter:
        port = int(exporter.address.rpartition(":")[2].partition("/")[0])
        with pytest.raises(EndpointError, match="--port"):
            Exporter(watch, port=port)
