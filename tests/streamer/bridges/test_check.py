"""What a look at sensors finds: rates, losses, units and axes that are wrong, and nothing where all is well."""

import numpy as np
import pytest

from kinestream import Channel
from kinestream.streamer.bridges.bridge import Look
from kinestream.streamer.bridges.check import as_dict, findings
from kinestream.streamer.bridges.tally import PartTally

SECOND = 1_000_000_000
AXES = ("x", "y", "z")


def worn(unit="m/s2", sensor="acc", gravity=9.81, still=0.0, n=500, seed=0):
    """Return three channels and what an accelerometer reads that somebody wears."""
    rng = np.random.default_rng(seed)
    x = rng.normal([0, 0, gravity], gravity / 15, (n, 3))
    if still:
        x[:, 0] = still
    return tuple(Channel(f"{sensor}_{axis}", unit) for axis in AXES), x.astype(np.float32)


def looked_at(channels, x, *, rate=50.0, nominal=50.0, lost=0, jitter_ms=0.0, delay=lambda at: 0, silent_s=0.0):
    """Return what is found where readings came in messages of ten."""
    rng = np.random.default_rng(1)
    tally = PartTally("board", channels, nominal)
    times = 10 * SECOND + np.round(np.arange(len(x)) / rate * SECOND + rng.normal(0, jitter_ms * 1e6, len(x)))
    times = np.maximum.accumulate(times.astype(np.int64))
    for at in range(0, len(x), 10):
        part = slice(at, at + 10)
        arrival = int(times[part][-1]) + delay(at // 10)
        tally.add(times[part], x[part], arrival, lost if at == 0 else 0)
    look = Look("anna", (tally.look(int(times[-1]) + round(silent_s * SECOND)),))
    found = findings(look, [tally])
    assert [each["finding"] for each in as_dict(look, found)["findings"]] == [each.text for each in found]
    return [each.text for each in found]


def test_nothing_is_found_where_all_is_well():
    assert looked_at(*worn()) == []
    assert looked_at(*worn("g", gravity=1.0)) == []
    assert looked_at(*worn("rad/s", sensor="gyro", gravity=1.0)) == []


@pytest.mark.parametrize(
    ("readings", "options", "said"),
    [
        (worn(), {"rate": 60.0}, "it delivers 60 readings a second, not 50"),
        (worn(), {"lost": 50}, "9.1% of its readings are lost"),
        (worn(), {"jitter_ms": 40.0}, "its times jitter by"),
        (worn(), {"delay": lambda at: (at % 10 == 0) * SECOND}, "its readings come up to"),
        (worn(), {"silent_s": 3.0}, "it has been silent for 3.0 s"),
        (worn("m/s2", gravity=1.0), {}, "is its unit g?"),
        (worn("g", gravity=9.8), {}, "is its unit m/s2?"),
        (worn("m/s2", gravity=0.1), {}, "is gravity taken off?"),
        (worn("rad/s", sensor="gyro", gravity=60.0), {}, "is its unit deg/s?"),
        (worn(still=0.5), {}, "acc_x never moves: it is 0.5 all the time"),
        (worn(still=np.nan), {}, "acc_x holds no number"),
        (worn(""), {}, "acc has no unit"),
    ],
)
def test_what_is_wrong_is_found(readings, options, said):
    found = looked_at(*readings, **options)
    assert any(said in text for text in found), found


def test_a_device_of_which_nothing_comes():
    tally = PartTally("board", worn()[0], 50.0)
    look = Look("anna", (tally.look(0),))
    assert [each.text for each in findings(look, [tally])] == ["nothing has come"]
    assert as_dict(look, [])["devices"]["board"]["silent_s"] is None
