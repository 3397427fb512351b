"""How the streamer has fared, from its status second by second."""

import numpy as np
import pytest

from kinestream.streamer.dashboard.health import Health
from kinestream.streamer.dashboard.quantiles import quantile_ms
from kinestream.streamer.wire.status import LATENCY_BOUNDS_NS, STAGES, Latencies, Status
from tests.given.labels import label_of

SECOND = 1_000_000_000


def status_of(second: int, **others: object) -> Status:
    counts = [0] * (len(LATENCY_BOUNDS_NS) + 1)
    counts[30] = 100 * second
    known = {
        "t": second * SECOND,
        "version": "1",
        "bundle": "m-1",
        "engine": "kernel",
        "rate_hz": 50.0,
        "length": 64,
        "stride": 16,
        "classes": ("sit", "walk"),
        "null_class": "",
        "uptime_s": float(second),
        "streams": 3,
        "totals": {"windows_labelled": 100 * second, "samples_late": 2 * second, "samples_received": 5000 * second},
        "queue": {"windows": 1, "backlog_bytes": 7},
        "connections": {"senders": 2},
        "cpu_s": 0.25 * second,
        "memory_bytes": 1 << 20,
        "events": {},
        "latency": {stage: Latencies(counts, 1.0) for stage in STAGES},
    }
    return Status(**{**known, **others})


def test_each_second_is_the_difference_to_the_one_before():
    health = Health()
    for second in range(1, 5):
        health.add(status_of(second))
    columns = health.columns()
    assert columns["t"] == [2000.0, 3000.0, 4000.0]
    assert columns["labels"] == [100.0] * 3
    assert columns["lost"] == [2.0] * 3
    assert columns["cpu"] == [0.25] * 3
    expected = LATENCY_BOUNDS_NS[30] / 1e6
    assert columns["ready_inferred_p99"] == pytest.approx([expected] * 3, rel=0.02)
    assert health.losses() == {"samples_late": 8}


def test_another_streamer_begins_anew_instead_of_counting_backwards():
    health = Health()
    for status in (status_of(100), status_of(101), status_of(102, uptime_s=1.0, totals={}), status_of(103, totals={})):
        health.add(status)
    assert min(health.columns()["labels"]) >= 0
    assert len(health.columns()["t"]) == 2


def test_quantiles_are_within_a_bucket_of_the_truth():
    rng = np.random.default_rng(0)
    latencies = rng.lognormal(np.log(3e6), 1.0, 20_000)
    bounds = np.array(LATENCY_BOUNDS_NS)
    counts = np.bincount(np.searchsorted(bounds, latencies), minlength=len(bounds) + 1).tolist()
    for share in (0.5, 0.9, 0.99):
        assert quantile_ms(counts, share) == pytest.approx(np.quantile(latencies, share) / 1e6, rel=0.1)
    assert quantile_ms([0] * len(counts), 0.5) is None


def test_windows_that_were_made_ready_together_are_a_batch():
    health = Health()
    health.add(status_of(1))
    for ready in (1, 1, 1, 2, 3, 3, 4, 4):
        health.count(label_of(t_ready=ready))
    health.add(status_of(2))
    assert health.columns()["batch"] == [2.0]
