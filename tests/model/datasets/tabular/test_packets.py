"""Rows that share the time of their packet, rows that are numbered, and what each device of a table delivered."""

from pathlib import Path

import numpy as np
import pytest

from kinestream.model.datasets import Source, open_source
from kinestream.model.datasets.drafts.first import write_first_draft
from kinestream.model.errors import ConfigError, SourceError
from tests.given.tables import described, write

RATE = 50
ROWS = 1000
AT = np.arange(ROWS) / RATE
LABELS = np.repeat(["WALKING", "SITTING"], ROWS // 2)
SIGNAL = np.sin(2 * np.pi * 1.3 * AT)
CHANNELS = {"ax": {"unit": "g"}}


def table(columns: dict[str, object], kept: object = None) -> str:
    whole = {**columns, "ax": SIGNAL, "activity": LABELS}
    kept = np.arange(ROWS) if kept is None else kept
    rows = zip(*(np.asarray(values)[kept].tolist() for values in whole.values()), strict=True)
    return "\n".join([",".join(whole), *(",".join(map(str, row)) for row in rows)]) + "\n"


def opened(tmp_path: Path, text: str, **time: object) -> Source:
    write(tmp_path / "data", {"anna.csv": text})
    return open_source(described(tmp_path, channels=CHANNELS, time=time))


def in_packets(size: int) -> np.ndarray:
    """Return the times of packets, each that of its last row."""
    last = np.minimum((np.arange(ROWS) // size + 1) * size - 1, ROWS - 1)
    return np.rint(AT[last] * 1000).astype(int)


@pytest.mark.parametrize("size", [1, 4, 12])
def test_rows_of_a_packet_are_spread_over_the_time_before_it(tmp_path: Path, size: int) -> None:
    source = opened(tmp_path, table({"t": in_packets(size)}), column="t", unit="ms", packets=True)
    (device,) = source.devices("anna")
    np.testing.assert_allclose(device.times / 1e9, AT, atol=1e-3)
    recording = source.read("anna")
    np.testing.assert_allclose(recording.samples[:, 0], SIGNAL, atol=1e-3)
    assert (recording.labels == np.repeat([0, 1], ROWS // 2)).all()
    assert recording.rows is not None
    assert (recording.rows.spread, recording.rows.shared_stamp) == (0 if size == 1 else ROWS, 0)


def test_a_packet_that_was_lost_is_a_gap(tmp_path: Path) -> None:
    kept = np.flatnonzero((np.arange(ROWS) < 480) | (np.arange(ROWS) >= 492))
    source = opened(tmp_path, table({"t": in_packets(12)}, kept), column="t", unit="ms", packets=True)
    samples = source.read("anna").samples[:, 0]
    assert np.flatnonzero(np.isnan(samples)).tolist() == list(range(480, 492))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("lost", [0.0, 0.2])
def test_a_counter_alone_says_when_rows_were_taken(tmp_path: Path, bits: int, lost: float) -> None:
    kept = np.flatnonzero(np.random.default_rng(1).random(ROWS) >= lost)
    numbers = (np.arange(ROWS) + 2**bits - 100) % 2**bits
    source = opened(tmp_path, table({"n": numbers}, kept), counter={"column": "n", "bits": bits})
    (device,) = source.devices("anna")
    assert device.numbers is not None
    np.testing.assert_array_equal(device.numbers - device.numbers[0], kept - kept[0])
    np.testing.assert_array_equal(np.rint((device.times - device.times[0]) / 2e7), kept - kept[0])
    samples = source.read("anna").samples[:, 0]
    filled = np.isfinite(samples)
    np.testing.assert_allclose(samples[filled], SIGNAL[kept[0] : kept[0] + len(samples)][filled], atol=0.05)


def test_a_counter_tells_what_arrived_late(tmp_path: Path) -> None:
    stalled = AT % 1.0 < 0.4  # the link holds back what it is given at the beginning of each second
    arrived = np.rint(np.where(stalled, np.floor(AT) + 0.4, AT) * 1000).astype(int)
    text = table({"t": arrived, "n": np.arange(ROWS) % 256})
    source = opened(tmp_path, text, column="t", unit="ms", counter={"column": "n", "bits": 8})
    (device,) = source.devices("anna")
    assert np.abs(device.times / 1e9 - AT).max() < 0.02
    assert np.abs(arrived / 1000 - AT).max() > 0.3


def test_a_long_table_has_a_device_for_each_sensor(tmp_path: Path) -> None:
    fast, slow = np.arange(0, 4, 0.02), np.arange(0.005, 4, 0.04)
    rows = [(round(at * 1000), "wrist", float(np.sin(at))) for at in fast]
    rows += [(round(at * 1000), "ankle", float(np.cos(at))) for at in slow]
    lines = [f"{t},{sensor},{value},{'WALKING' if t < 2000 else 'SITTING'}" for t, sensor, value in sorted(rows)]
    write(tmp_path / "data", {"anna.csv": "\n".join(["t,sensor,a,activity", *lines]) + "\n"})
    channels = {f"{place}_a": {"column": "a", "where": {"sensor": place}} for place in ("wrist", "ankle")}
    source = open_source(described(tmp_path, channels=channels, time={"column": "t", "unit": "ms"}))
    wrist, ankle = source.devices("anna")
    assert [(each.name, each.rate_hz, len(each.times)) for each in (wrist, ankle)] == [
        ("wrist", 50, len(fast)),
        ("ankle", 25, len(slow)),
    ]
    np.testing.assert_allclose(ankle.values[:, 0], np.cos(slow), atol=1e-3)


def test_a_table_without_times_has_no_devices(tmp_path: Path) -> None:
    write(tmp_path / "data", {"anna.csv": table({})})
    source = open_source(described(tmp_path, channels=CHANNELS))
    with pytest.raises(SourceError, match="has no devices of its own"):
        source.devices("anna")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("256", "256 is no number of a counter of 8 bits"),
        ("-1", "-1 is no number"),
        ("1.5", "1.5 is no number"),
        ("", "nan"),
    ],
)
def test_what_no_counter_says_is_one_line(tmp_path: Path, value: str, said: str) -> None:
    numbers = [str(each % 256) for each in range(ROWS)]
    numbers[7] = value
    source = opened(tmp_path, table({"n": numbers}), counter={"column": "n", "bits": 8})
    with pytest.raises(SourceError, match=f"anna.csv: line 9, column 1 \\(n\\): {said}"):
        source.read("anna")


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ({"column": "t", "unit": "ms", "packets": True, "counter": "n"}, "packets: also counter"),
        ({"column": "t", "unit": "ms", "packets": True, "any_order": True}, "any_order: packets and counter"),
        ({"column": "t", "unit": "ms", "rate_hz": 50}, "rate_hz: of packets or of a counter"),
        ({"counter": {"column": "n", "bits": 7}}, "bits"),
        ({"unit": "ms"}, "column: missing"),
    ],
)
def test_what_contradicts_is_told_by_its_key(tmp_path: Path, time: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        opened(tmp_path, table({"t": in_packets(4), "n": np.arange(ROWS)}), **time)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"time_ms": in_packets(12)}, "packets: true, rate_hz: 50"),
        ({"time_ms": in_packets(12), "seq": np.arange(ROWS) % 256}, "counter: {column: seq, bits: 8}, rate_hz: 50"),
        ({"seq": np.arange(ROWS) % 256}, "time: {counter: {column: seq, bits: 8}}"),
    ],
    ids=["packets", "packets that are numbered", "numbers alone"],
)
def test_a_draft_says_so_and_reads_them(tmp_path: Path, columns: dict[str, object], said: str) -> None:
    write(tmp_path / "data", {"anna.csv": table(columns)})
    text = write_first_draft(tmp_path / "data", tmp_path / "mine.yaml").text
    assert said in text
    source = open_source(tmp_path / "mine.yaml")
    assert [channel.name for channel in source.channels] == ["ax"]
    np.testing.assert_allclose(source.read("anna").samples[:, 0], SIGNAL, atol=0.01)
