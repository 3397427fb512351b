"""The benches measure what they say: the same answers everywhere, every sample and label of a load accounted for."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.config.network import NETWORK_PRESETS
from kinestream.model.datasets import open_source
from kinestream.model.errors import ChannelMismatch
from kinestream.model.recordings.resample import resampling, settled_until
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate
from kinestream.replay.bench.bundles import write_bundle
from kinestream.replay.bench.figures import OURS, OURS_COLD, OURS_GRID, OURS_WORN
from kinestream.replay.bench.live.latency import CONTENDERS, measure_latency, measure_worn
from kinestream.replay.bench.live.streams import measure
from kinestream.replay.bench.live.worn import Devices
from kinestream.replay.bench.offline.engines import measure_engines
from kinestream.replay.bench.offline.reading import ROWS, RUNS, write_full_size
from kinestream.replay.bench.report import figures_dict
from kinestream.replay.bench.run import bench_engines, bench_replay, bench_streams, bench_training
from kinestream.replay.demo import BUNDLE
from tests.given.bundles import random_bundle, reference_knobs
from tests.given.long import long_form


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    small = random_bundle(channels=3, classes=4, length=8, stride=4, rate_hz=50.0)
    small.write(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.parametrize("network", [{}, reference_knobs(), {**NETWORK_PRESETS["kinestream"], "stem_kernel": 4}])
def test_every_engine_gives_the_same_answers(network):
    figures = measure_engines(random_bundle(channels=5, length=6, **network), (1, 3), compiled=False, rounds=1)
    assert {figure.windows for figure in figures} == {1, 3}
    assert OURS in {figure.engine for figure in figures}
    others = [figure for figure in figures if figure.engine != "OpenVINO"]  # which computes in bfloat16 where it can
    assert max(figure.difference for figure in others) < 1e-5


@pytest.mark.parametrize(("chunk", "options"), [(1, {}), (6, {}), (1, {"connections": 0, "io_threads": 2})])
def test_a_load_is_sent_whole_on_time_and_every_label_of_it_comes_back(bundle, chunk, options):
    point = measure(bundle, 7, chunk=chunk, seconds=3.0, **options)
    messages = int(3.0 * 50 / chunk)
    assert point.sent.samples == 7 * messages * chunk
    assert point.sent.messages == 7 * messages
    assert point.labels_expected == 7 * ((messages * chunk - 8) // 4 + 1) == point.heard.labels
    assert point.labels_missing == point.samples_lost == point.heard.skipped == point.heard.gaps == 0
    assert point.heard.ended == 7
    assert point.sent.seconds >= 3.0


@pytest.mark.parametrize(("chunk", "rate_hz"), [(1, 50.0), (10, 100.0)])
def test_a_load_of_devices_is_laid_whole_and_every_label_of_it_comes_back(bundle, chunk, rate_hz):
    point = measure(bundle, 5, chunk=chunk, seconds=3.0, devices=3, device_rate_hz=rate_hz)
    messages = int(3.0 * rate_hz / chunk)
    assert point.sent.messages == 5 * 3 * messages
    assert point.sent.samples == 5 * 3 * messages * chunk
    assert point.labels_expected == point.heard.labels
    assert 5 * 30 < point.labels_expected < 5 * 40  # of windows of eight samples every four
    assert point.labels_missing == point.samples_lost == point.heard.skipped == point.heard.gaps == 0
    assert point.heard.ended == 5
    assert point.heard.latency_p50_ms is not None
    assert point.heard.latency_p50_ms > 0


@settings(max_examples=20)
@given(st.integers(0, 1 << 20), st.sampled_from([40.0, 50.0, 100.0, 104.0]), st.integers(1, 12))
def test_latency_of_devices_counts_from_the_last_reading_that_a_window_needs(seed, rate_hz, chunk):
    channels = random_bundle(channels=4, length=8).channels
    worn = Devices(3, 2, rate_hz, chunk, 8, channels, 50.0, 8, 4, seed)
    grid = SampleGrid(0, exact_rate(50.0))
    how = resampling(rate_hz, grid)
    for stream in range(3):
        ends = grid.times(0, 200)
        found = worn.needed(np.full(200, stream), ends)
        for end, due in zip(ends.tolist(), found.tolist(), strict=True):
            needed = []
            for phase in worn.phases[stream].tolist():
                times = phase + np.arange(8 * chunk) * worn.period_ns
                values = np.ones((len(times), 1), np.float32)
                after = [settled_until(times[:n], values[:n], how) for n in range(chunk, len(times) + 1, chunk)]
                whole = [n for n, settled in enumerate(after) if settled is not None and settled >= end]
                needed.append(int(times[(whole[0] + 1) * chunk - 1]) if whole else None)
            assert due == (-1 if None in needed else max(needed))


@long_form
def test_two_devices_are_timed_beside_a_stream_on_the_grid():
    figures = measure_worn(BUNDLE, seconds=4.0, turns=1)
    assert [figure.name for figure in figures] == [OURS_GRID, OURS_WORN]
    for figure in figures:
        assert figure.missing == 0
        assert figure.labels > 5
        assert figure.latency_ms["p50"] > 0


def test_channels_that_devices_cannot_share_are_refused(bundle, tmp_path):
    with pytest.raises(ChannelMismatch, match=r"3 channels .* cannot be shared out evenly to 2 devices"):
        bench_streams(bundle=str(bundle), preset="reference", out=None, counts=(1,), chunk=1, devices=2, seconds=2.0)


def test_memory_is_watched_while_the_load_goes_on(bundle):
    point = measure(bundle, 2, chunk=1, seconds=3.0)
    seconds = [second for second, _ in point.rss_over_time]
    assert seconds == sorted(seconds)
    assert len(seconds) > 20
    assert 0 <= seconds[0] < 1
    assert 2 < seconds[-1]
    assert all(10 < mb < 500 for _, mb in point.rss_over_time)
    settled = [mb for second, mb in point.rss_over_time if second >= point.sent.seconds / 10]
    assert point.rss_growth_mb == settled[-1] - settled[0]
    assert point.as_dict()["rss_growth_mb"] == point.rss_growth_mb


def test_a_replay_at_max_counts_every_sample_and_label_of_every_recording(bundle, tmp_path):
    found = bench_replay(bundle=str(bundle), preset="reference", out=tmp_path, chunks=(1, 6), samples=600)
    figures = json.loads((tmp_path / "replay.json").read_text())["figures"]
    assert figures == figures_dict(found)["figures"]
    for figure, chunk in zip(figures, (1, 6), strict=True):
        assert figure["chunk"] == chunk
        assert figure["samples"] == 4 * 600
        assert figure["labels_expected"] == 4 * ((600 - 8) // 4 + 1)
        assert figure["labels_missing"] == figure["samples_lost"] == 0
        assert figure["samples_per_second"] == pytest.approx(figure["samples"] / figure["seconds"])


@long_form
def test_what_others_would_write_gives_as_many_labels(bundle):
    figures = measure_latency(bundle, seconds=2.0, turns=1)
    assert [figure.name for figure in figures] == [OURS, OURS_COLD, *CONTENDERS.values()]
    assert [figure.labels for figure in figures] == [(100 - 8) // 4 + 1] * len(figures)
    for figure in figures:
        assert figure.missing == 0
        assert sum(values["p50"] for values in figure.stages_ms.values()) == pytest.approx(
            figure.latency_ms["p50"], rel=0.5
        )


def test_a_report_names_the_machine_the_versions_and_the_settings(bundle, tmp_path, monkeypatch):
    out = tmp_path / "out"
    bench_engines(bundle=str(bundle), preset="reference", out=out, batches=(1,), compiled=False, rounds=1)
    monkeypatch.setenv("KINESTREAM_KEYS", "of another streamer")  # which its own does not ask for
    bench_streams(bundle=str(bundle), preset="reference", out=out, counts=(2,), chunk=1, seconds=2.0)
    engines = json.loads((out / "engines.json").read_text())
    assert {"command", "machine", "settings", "figures", "times_ours"} <= engines.keys()
    assert {"cpu", "cores", "versions"} <= engines["machine"].keys()
    (point,) = json.loads((out / "streams-chunk-1.json").read_text())["points"]
    assert point["labels_missing"] == 0
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in ("engines.png", "streams-chunk-1.png"))


def test_both_forms_of_training_take_the_same_steps_and_the_ratio_is_of_their_speeds(tmp_path):
    found = bench_training(presets=("reference",), out=tmp_path, batch=4, steps=1, rounds=1)
    assert max(figure.difference for figure in found) < 1e-4
    ours, plain = (figure.windows_per_second for figure in found)
    written = json.loads((tmp_path / "train.json").read_text())
    assert written["times_plain"]["reference"] == pytest.approx(ours / plain, abs=0.01)


def test_the_bundle_of_opportunitys_size_is_one(tmp_path):
    for preset in ("reference", "kinestream"):
        about = read_bundle(write_bundle(tmp_path / preset, preset)).description
        assert (len(about.channels), about.window.length, about.network.hidden) == (113, 24, 28)


def test_the_written_opportunity_is_read_as_what_was_written(tmp_path):
    path = tmp_path / "OpportunityUCIDataset.zip"
    write_full_size(path, rows=50)
    source = open_source(path)
    assert len(source.ids) == len(RUNS) == 24
    recordings = list(source.recordings())
    assert all(recording.samples.shape == (50, 113) for recording in recordings)
    assert any(np.isnan(recording.samples).any() for recording in recordings)
    assert ROWS * 24 == 870_000
