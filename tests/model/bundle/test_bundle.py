"""A bundle is read only where its two files agree with each other and with themselves."""

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.bundle.description import Description
from kinestream.model.bundle.weights import misfit, weight_shapes
from kinestream.model.config.network import NetworkConfig
from kinestream.model.engine.load import load_engine
from kinestream.model.errors import BundleError, ChannelMismatch, KinestreamError
from kinestream.model.network.residual import ResidualBiLSTM
from kinestream.model.recordings.recording import Channel
from tests.given.bundles import random_bundle

knobs = st.builds(
    NetworkConfig,
    hidden=st.integers(1, 6).map(lambda half: 2 * half),
    cells=st.integers(0, 3),
    blocks=st.integers(1, 3),
    bidirectional=st.booleans(),
    residual=st.sampled_from(["sum", "skip"]),
    norm=st.sampled_from(["batch", "layer", "none"]),
    readout=st.sampled_from(["last", "mean"]),
)


@given(config=knobs, channels=st.integers(1, 9), classes=st.integers(2, 9), window=st.integers(1, 9))
@settings(deadline=None)
def test_the_weights_expected_are_those_that_the_network_has(config, channels, classes, window):
    network = ResidualBiLSTM(channels, classes, window, config)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    expected = list(weight_shapes(config, channels, classes, window))
    assert len(expected) == len(weights)
    assert dict(expected) == {name: value.shape for name, value in weights.items()}
    assert misfit(weights, expected) is None


def test_reading_a_bundle_needs_no_pytorch(tmp_path):
    random_bundle().write(tmp_path)
    script = "import sys; sys.modules['torch'] = None; import kinestream; kinestream.read_bundle(sys.argv[1])"
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)


def rewritten(folder, made, **changes):
    """Write a bundle whose description alone is changed."""
    made.write(folder)
    content = yaml.safe_load((folder / "bundle.yaml").read_text())
    for section, change in changes.items():
        content[section] = {**content[section], **change} if isinstance(change, dict) else change
    (folder / "bundle.yaml").write_text(yaml.dump(content))
    return content


def meaning(knobs):
    """Return knobs in one of the ways to say the same: no cells are one cell without a normalisation."""
    return knobs | {"cells": max(knobs["cells"], 1), "norm": knobs["norm"] if knobs["cells"] else "none"}


BASES = [
    {"norm": "layer", "residual": "skip"},
    {"norm": "layer", "residual": "sum"},
    {"norm": "batch", "residual": "sum", "readout": "last"},
    {"norm": "none", "cells": 1},
    {"norm": "batch", "cells": 0},
    {"norm": "batch", "cells": 1},
    {"norm": "layer", "bidirectional": False},
]
CHANGES = [
    *({"blocks": n} for n in (1, 3, 10**9)),
    *({"cells": n} for n in (0, 1, 3, 10**9)),
    *({"hidden": n} for n in (6, 10, 10**12)),
    *({"bidirectional": way} for way in (True, False)),
    *({"norm": norm} for norm in ("batch", "layer", "none")),
]


@pytest.mark.parametrize("base", BASES, ids=str)
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_changed_size_of_the_network_is_refused_unless_the_network_stays_the_same(tmp_path, base, change):
    made = random_bundle(**base)
    rewritten(tmp_path, made, network=change)
    knobs = made.description.network.model_dump()
    if meaning(knobs) != meaning({**knobs, **change}):
        with pytest.raises(BundleError, match=r"^[^\n]+do not fit its description[^\n]+$"):
            read_bundle(tmp_path)
        return
    windows = np.random.default_rng(0).normal(size=(5, 8, 3)).astype(np.float32)
    answers = [load_engine(bundle, "cpu").probabilities(windows) for bundle in (made, read_bundle(tmp_path))]
    np.testing.assert_array_equal(*answers)


# With one cell a block the rules have the same weights; no shape can tell them apart.
@pytest.mark.parametrize(("before", "after"), [("sum", "skip"), ("skip", "sum")])
def test_another_residual_rule_is_refused(tmp_path, before, after):
    rewritten(tmp_path, random_bundle(cells=2, residual=before), network={"residual": after})
    with pytest.raises(BundleError, match="do not fit"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("classes", [["a", "b", "c"], ["a", "b", "c", "d", "e"]])
def test_a_class_more_or_fewer_is_refused(tmp_path, classes):
    rewritten(tmp_path, random_bundle(classes=4), classes=classes)
    with pytest.raises(BundleError, match=r"head.weight is float32 of shape \(4, 8\), not float32 of shape"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("count", [2, 4])
def test_a_channel_more_or_fewer_is_refused(tmp_path, count):
    entries = [{"name": f"c{i}", "mean": 0.0, "deviation": 1.0} for i in range(count)]
    rewritten(tmp_path, random_bundle(3), channels=entries)
    with pytest.raises(BundleError, match="do not fit"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("length", [7, 9])
def test_another_window_is_refused_where_there_are_statistics_for_each_of_its_samples(tmp_path, length):
    rewritten(tmp_path, random_bundle(norm="batch"), window={"length": length})
    with pytest.raises(BundleError, match="do not fit"):
        read_bundle(tmp_path)
    rewritten(tmp_path, random_bundle(norm="layer"), window={"length": length})
    assert read_bundle(tmp_path).grid.length == length


@pytest.mark.parametrize("kind", [torch.float16, torch.float64, torch.bfloat16])
def test_weights_of_another_kind_of_number_are_refused(tmp_path, kind):
    made = random_bundle()
    made.write(tmp_path)
    weights = {name: torch.from_numpy(value.copy()).to(kind) for name, value in made.weights.items()}
    (tmp_path / "weights.safetensors").write_bytes(save(weights))
    with pytest.raises(BundleError, match=r"^[^\n]+copy[^\n]+$"):
        read_bundle(tmp_path)


SOUND = {"name": "x", "mean": 0.0, "deviation": 1.0}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"null_class": "other"}, "null_class: other is not among the classes"),
        ({"classes": ["a", "b", "a", "c"]}, "classes: a given twice"),
        ({"channels": [SOUND, SOUND | {"name": "y"}, dict(SOUND)]}, "channels: x given twice"),
        ({"channels": [SOUND | {"mean": float("nan")}]}, "channels.0.mean: "),
        ({"channels": [SOUND | {"mean": float("inf")}]}, "channels.0.mean: "),
        ({"channels": [SOUND | {"deviation": float("inf")}]}, "channels.0.deviation: "),
        ({"channels": [SOUND | {"deviation": 0.0}]}, "channels.0.deviation: "),
        ({"channels": [SOUND | {"mean": 1e39}]}, "channels: x cannot be scaled by mean 1e+39"),
        ({"channels": [SOUND | {"deviation": 1e-46}]}, "channels: x cannot be scaled"),
        ({"channels": [SOUND | {"deviation": 1e39}]}, "channels: x cannot be scaled"),
    ],
)
def test_a_description_that_contradicts_itself_is_refused_by_key(tmp_path, change, expected):
    rewritten(tmp_path, random_bundle(), **change)
    with pytest.raises(BundleError, match=r"^[^\n]+$") as caught:
        read_bundle(tmp_path)
    assert f"is damaged: {expected}" in str(caught.value)


@pytest.mark.parametrize("text", ["format: 2024-13-45", "format: 1\ntraining: &a [*a]", "[" * 5000, b"\xff"])
def test_a_description_that_is_no_yaml_is_refused(tmp_path, text):
    random_bundle().write(tmp_path)
    (tmp_path / "bundle.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BundleError, match=r"^[^\n]+is not YAML[^\n]+$"):
        read_bundle(tmp_path)


def test_a_null_class_among_the_classes_is_sound():
    content = random_bundle().description.model_dump() | {"null_class": "class1"}
    assert Description.model_validate(content).null_class == "class1"


def test_columns_are_found_by_name_among_others():
    made = random_bundle(3)
    stream = [Channel(name) for name in ("c2", "other", "c0", "c1")]
    assert made.columns(stream)[0].tolist() == [2, 3, 0]
    assert made.columns(made.channels) == (None, None)
    with pytest.raises(ChannelMismatch, match="missing: c1; twice: c0, c2;"):
        made.columns([Channel(name) for name in ("c2", "c0", "c0", "c2")])


def in_units(made, *units):
    """Return the bundle with other units."""
    entries = [
        each.model_copy(update={"unit": unit}) for each, unit in zip(made.description.channels, units, strict=True)
    ]
    return replace(made, description=made.description.model_copy(update={"channels": tuple(entries)}))


def test_units_of_the_same_quantity_are_converted():
    made = in_units(random_bundle(3), "m/s2", "rad/s", "")
    order, factors = made.columns(
        [Channel("c2", "uT"), Channel("c0", "g"), Channel("x", "K"), Channel("c1", "rad s^-1")]
    )
    assert order.tolist() == [1, 3, 0]
    np.testing.assert_array_equal(factors, np.array([9.80665, 1, 1], np.float32))


def test_nothing_is_converted_where_units_agree_or_are_not_stated():
    made = in_units(random_bundle(3), "m/s2", "rad/s", "furlong")
    assert made.columns(made.channels) == (None, None)
    assert made.columns([Channel("c0"), Channel("c1", "rad/s"), Channel("c2", "furlong")]) == (None, None)
    assert made.columns([Channel("c0", "m/s²"), Channel("c1", "radians/s"), Channel("c2")]) == (None, None)


def test_units_of_another_quantity_are_refused_by_name():
    made = in_units(random_bundle(3), "m/s2", "rad/s", "uT")
    wrong = [Channel("c0", "deg/s"), Channel("c1", "deg/s"), Channel("c2", "furlong")]
    with pytest.raises(ChannelMismatch, match="other units: c0 in deg/s instead of m/s2, c2 in furlong instead of uT;"):
        made.columns(wrong)
    with pytest.raises(ChannelMismatch, match="missing: c1, c2"):
        made.columns(wrong[:1])


def test_thousands_of_channels_named_twice_are_refused_in_no_time():
    made = random_bundle(3)
    hostile = [Channel(f"x{i % 2048}") for i in range(4096)]
    started = time.process_time()
    with pytest.raises(ChannelMismatch, match="and 2040 more"):
        made.columns(hostile)
    assert time.process_time() - started < 0.05  # under 1 ms; counting each name anew took 180


@pytest.mark.parametrize(
    ("rate", "accepted"),
    [(50, True), (50.49, True), (49.51, True), (50.6, False), (49.4, False), (float("nan"), False)],
)
def test_a_rate_may_be_off_by_a_hundredth(rate, accepted):
    assert random_bundle(rate_hz=50.0).accepts_rate(rate) is accepted


def spoilt(made, change):
    """Return a bundle one of whose weights is changed, and whose file is whole."""
    weights = {name: value.copy() for name, value in made.weights.items()}
    change(weights)
    return Bundle(made.description, weights)


def set_first(name, value):
    def change(weights):
        weights[name].flat[0] = value

    return change


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_neither_written_nor_read(tmp_path, value):
    made = spoilt(random_bundle(), set_first("head.bias", value))
    with pytest.raises(BundleError, match=r"^[^\n]*head\.bias is not finite[^\n]*$"):
        made.write(tmp_path)
    random_bundle().write(tmp_path)
    content = yaml.safe_load((tmp_path / "bundle.yaml").read_text())
    content["weights_sha256"] = None
    (tmp_path / "bundle.yaml").write_text(yaml.dump(content))
    (tmp_path / "weights.safetensors").write_bytes(
        save({name: torch.from_numpy(value) for name, value in made.weights.items()})
    )
    with pytest.raises(BundleError, match=r"^[^\n]*is unusable, head\.bias is not finite[^\n]*$"):
        read_bundle(tmp_path)


def test_a_negative_variance_is_refused_too(tmp_path):
    with pytest.raises(BundleError, match="running_var is negative"):
        spoilt(random_bundle(norm="batch"), set_first("blocks.0.norm.running_var", -5.0)).write(tmp_path)


def test_finite_weights_whose_probabilities_are_no_numbers_are_refused_too(tmp_path):
    def change(weights):
        weights["head.weight"][:] = 3e38

    spoilt(random_bundle(), change).write(tmp_path)
    with pytest.raises(BundleError, match=r"^[^\n]*its probabilities are not finite numbers[^\n]*$"):
        load_engine(read_bundle(tmp_path), device="cpu")


@pytest.mark.parametrize("name", ["bundle.yaml", "weights.safetensors"])
def test_a_file_of_a_terabyte_is_refused_unread(tmp_path, name):
    random_bundle().write(tmp_path)
    with (tmp_path / name).open("ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(KinestreamError, match=rf"^[^\n]*{name}[^\n]* larger than [^\n]*$"):
        read_bundle(tmp_path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"window": {"length": 10**9}}, "window: more than 16777216 values"),
        ({"name": "evil\x1b[2J"}, "name: "),
        ({"classes": ["a", "b\x9b", "c", "d"]}, "classes.1: "),
        ({"channels": [SOUND | {"unit": "g\n"}]}, "channels.0.unit: "),
        ({"channels": [SOUND | {"name": "x" * 256}]}, "channels.0.name: "),
        ({"training": {"recordings": ["exp01"]}}, "training"),
        ({"training": {"epochs": "many"}}, "training"),
    ],
)
def test_a_description_that_would_harm_who_reads_it_is_refused(tmp_path, change, expected):
    rewritten(tmp_path, random_bundle(norm="none"), **change)
    with pytest.raises(BundleError, match=r"^[^\n]+$") as caught:
        read_bundle(tmp_path)
    assert f"is damaged: {expected}" in str(caught.value)


def test_the_folder_of_a_run_leads_to_its_bundle_and_says_so(tmp_path, caplog):
    made = random_bundle()
    made.write(tmp_path / "bundle")
    assert read_bundle(tmp_path).id == made.id
    said = [f"{tmp_path}: taking the bundle in it, {tmp_path / 'bundle'}"]
    assert caplog.messages == said
    assert read_bundle(tmp_path / "bundle").id == made.id
    assert caplog.messages == said
