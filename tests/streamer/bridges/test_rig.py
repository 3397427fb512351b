"""What a rig may say: wrong ones are refused in one line that names every problem by its key."""

import pytest

from kinestream.model.errors import ConfigError
from kinestream.streamer.bridges.rig import read_rig

PHONE = "devices: {phone: {web: {}, channels: {phone_acc_x: totalacceleration.x}}}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("devices: {}", "stream: missing"),
        (f"stream: a/b\n{PHONE}", "stream: should be a name of 1 to 64 letters"),
        (f"stream: anna\nport: 1\n{PHONE}", "port: unknown key"),
        ("stream: anna\ndevices: {a: {channels: {x: 1}}}", "give one of csv, lsl, web; there is none"),
        ("stream: anna\ndevices: {a: {web: {}, lsl: {name: b}, channels: {x: t.x}}}", "there is lsl, web"),
        ("stream: anna\ndevices: {a: {web: {}, channels: {x: gyroscope}}}", "no sensor and axis, as in gyroscope.x"),
        ("stream: anna\ndevices: {a: {lsl: {}, channels: {x: 1}}}", "give its name, type or source_id"),
        ("stream: anna\ndevices: {a: {csv: {}, channels: {x: 1}}}", "rate_hz: missing: no column tells the time"),
        ("stream: anna\ndevices: {a: {csv: {}, rate_hz: 50, channels: {x: ax}}}", "csv has no header"),
        ("stream: anna\ndevices: {a: {csv: {counter: 1}, rate_hz: 50, channels: {x: 2}}}", "give 8, 16 or 32"),
        (
            "stream: anna\ndevices: {a: {csv: {counter: 1, time: 2, bits: 8}, channels: {x: 3}}}",
            "leave out one of both",
        ),
        ("stream: anna\ndevices: {a: {csv: {}, rate_hz: 50, channels: {}}}", "channels"),
        (
            "stream: anna\ndevices: {a: {csv: {tiem: 1}, rate_hz: 50, channels: {x: 1}}}",
            "tiem: unknown key (did you mean",
        ),
        (
            "stream: anna\ndevices:\n  a: {lsl: {name: a}, channels: {x: 1}}\n  b: {lsl: {name: b}, channels: {x: 1}}",
            "x comes from a already: give each channel once",
        ),
        (
            "stream: anna\ndevices:\n  a: {csv: {}, rate_hz: 5, channels: {x: 1}}\n"
            "  b: {csv: {}, rate_hz: 5, channels: {y: 1}}",
            "standard input is a's already",
        ),
        ("stream: anna\nserver: {token: short}\n" + PHONE, "server.token"),
        ("stream: anna\ndevices: {a: {csv: {}, rate_hz: 1e-300, channels: {x: 1}}}", "1e-300 is too slow"),
        ("stream: anna\ndevices: {a: {csv: {}, rate_hz: 5, delay_ms: 1e300, channels: {x: 1}}}", "delay_ms"),
        ("stream: anna\ndevices: {a: {csv: {time: 1, bits: 64}, channels: {x: 2}}}", "bits"),
        ("stream: anna\ndevices: {a: {csv: {where: {0: A}}, rate_hz: 5, channels: {x: 2}}}", "'0' is no column"),
        ("stream: anna\ndevices: {a: {csv: {where: {²: A}}, rate_hz: 5, channels: {x: 2}}}", "'²' is no column"),
        ("stream: anna\ndevices: {a: {csv: {where: {kind: A}}, rate_hz: 5, channels: {x: 2}}}", "'kind' is no column"),
        ("stream: anna\ndevices: {a: {csv: {}, rate_hz: 5, channels: {x: {source: 1, factor: 0}}}}", "give another"),
        ('stream: anna\ndevices: {a: {lsl: {name: "a\'b\\"c"}, channels: {x: 1}}}', "both kinds of quotes"),
        ("- 1", "should be keys and values"),
        ("stream: [", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, said):
    path = tmp_path / "rig.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_rig(path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_short_forms(tmp_path):
    path = tmp_path / "rig.yaml"
    path.write_text(
        "stream: anna\ndevices:\n  phone: {web: , channels: {x: gyroscope.x}}\n"
        "  board: {csv: {where: {1: ACC}}, rate_hz: 50, channels: {y: 2, z: {source: 3, unit: g, factor: 0.5}}}\n"
    )
    rig = read_rig(path)
    assert rig.devices["phone"].web.clock == "arrival"
    assert rig.devices["board"].channels["y"].source == 2
    assert rig.devices["board"].channels["z"].factor == 0.5
    assert rig.devices["board"].csv.where == {"1": "ACC"}
