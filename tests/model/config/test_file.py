import pytest
import yaml

from kinestream.model.config.file import load_config, shipped_configs
from kinestream.model.config.network import NETWORK_PRESETS, NetworkConfig
from kinestream.model.errors import ConfigError

GOOD = {
    "dataset": {"name": "hapt"},
    "window": {"length": 128, "stride": 64},
    "split": {"test": [2, "4"], "validation": 3},
    "network": {"preset": "reference", "hidden": 64},
    "train": {"epochs": 5},
}


@pytest.fixture
def written(tmp_path):
    def write(content, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else yaml.dump(content), encoding="utf-8")
        return path

    return write


def problems(path, overrides=()):
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert "\n" not in str(caught.value)
    return caught.value.problems


@pytest.mark.parametrize("name", list(shipped_configs()))
def test_every_shipped_configuration_is_sound_and_says_what_it_is(name):
    config = load_config(name)
    assert config.name == name
    assert shipped_configs()[name].read_text(encoding="utf-8").startswith("# ")
    if name.endswith("_reference"):
        assert config.network == NetworkConfig(**NETWORK_PRESETS["reference"])
        assert (config.train.l2, config.train.worst_batches, config.train.clip_norm) == (0.005, 5, 15.0)


def test_a_preset_lies_under_the_knobs_that_are_given(written):
    config = load_config(written(GOOD))
    assert config.network == NetworkConfig(**NETWORK_PRESETS["reference"], hidden=64)
    assert config.name == "mine"
    assert config.split.test == ("2", "4")


def test_overrides_reach_any_depth_and_are_read_as_yaml(written):
    config = load_config(
        written(GOOD),
        ["network.hidden=32", "train.learning_rate=1e-4", "train.patience=null", "split.validation=[s01, 5]", "name=x"],
    )
    assert config.network.hidden == 32
    assert config.train.learning_rate == 1e-4
    assert config.split.validation == ("s01", "5")
    assert config.name == "x"


def test_every_problem_is_named_at_once(written):
    content = GOOD | {
        "window": {"length": 16, "stride": 64},
        "split": {"test": ["2"], "validation": ["2"]},
        "network": {"preset": "referense", "hidden": 27, "cels": 3},
        "train": {"epochs": True, "learning_rate": "fast", "batch": 0},
        "epochs": 3,
    }
    found = "\n".join(problems(written(content), ["train", "train.seed=[1", "dataset.nmae=x"]))
    for expected in (
        "train: an override should read key=value",
        "train.seed: '[1' is not YAML",
        "dataset.nmae: unknown key (did you mean dataset.name?)",
        "window.stride: 64 leaves out samples",
        "split.validation: 2 also in split.test",
        "network.preset: no preset 'referense' (did you mean reference?)",
        "network.cels: unknown key (did you mean network.cells?)",
        "network.hidden: 27 cannot be halved",
        "train.epochs: ",
        "train.learning_rate: ",
        "train.batch: ",
        "epochs: unknown key (did you mean train.epochs?)",
    ):
        assert expected in found
    assert len(found.splitlines()) == 12


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("window.length=null", "window.length: "),
        ("window=3", "window: "),
        ("split.test=publish", "split.test: should be a list of people or recordings, or 'published'"),
        ("split.validation=-1", "split.validation: should be a list"),
        ("split.validation=yes", "split.validation: should be a list"),
        ("train.learning_rate=.nan", "train.learning_rate: "),
        ("train.epochs='5'", "train.epochs: "),
        ("dataset.classes=[WALKING]", "dataset.classes: "),
        ("dataset.channels=[acc_x, acc_x]", "dataset.channels: acc_x given twice"),
        ("name=a/b", "name: "),
        ("=3", "=3: an override"),
        ("name=2024-13-45", "name: '2024-13-45' is not YAML"),
        ("train.seed=&a [*a]", "train.seed: '&a [*a]' is not YAML"),
        ("train.seed=!!bool maybe", "train.seed: '!!bool maybe' is not YAML"),
        ("train.seed={2024-01-01: 1}", "train.seed: '{2024-01-01: 1}' is not YAML"),
        ("train..epochs=3", "train..epochs=3: an override"),
    ],
)
def test_each_kind_of_problem_is_found_by_key(written, override, expected):
    (found,) = problems(written(GOOD), [override])
    assert found.startswith(expected)


def test_the_files_of_a_description_are_named_from_its_folder_and_overrides_from_here(written):
    tabular = {
        "files": "{person}.csv",
        "rate_hz": 50,
        "channels": {"x": 1},
        "labels": {"column": 2, "names": {1: "walking", 2: "sitting"}},
    }
    path = written(GOOD | {"dataset": {"name": "mine", "source": "data", "tabular": tabular}})
    assert load_config(path).dataset.source == str(path.parent / "data")
    assert load_config(path, ["dataset.source=data"]).dataset.source == "data"
    path = written(GOOD | {"dataset": {"name": "mine", "tabular": tabular}})
    assert load_config(path, ["dataset.tabular.rate_hz=25"]).dataset.source == str(path.parent)
    assert load_config(written(GOOD)).dataset.source is None


def test_missing_keys_are_named(written):
    assert problems(written({"dataset": {"name": "hapt"}})) == ("window: missing", "split: missing", "train: missing")


def test_a_key_given_twice_is_a_problem(written):
    text = yaml.dump(GOOD) + "scaled_deviation: 1.0\nscaled_deviation: 2.0\n"
    assert problems(written(text)) == ("scaled_deviation: given twice",)


@pytest.mark.parametrize(
    "text", ["a: [", "\x00", "- 1\n- 2\n", "", "name: 2024-13-45", "a: &a [*a]", "&a {a: *a}", "[" * 5000]
)
def test_what_is_no_configuration_at_all_is_refused(written, text):
    assert len(problems(written(text))) == 1


def test_an_unknown_name_suggests_a_shipped_one():
    (found,) = problems("sp_sw_hra")
    assert "did you mean sp_sw_har" in found


@pytest.mark.parametrize("preset", ["deepconvlstm", "lstm"])
def test_the_networks_compared_with_are_presets_with_knobs_of_their_own(written, preset):
    content = GOOD | {"network": {"preset": preset, "hidden": 12}}
    assert load_config(written(content)).network.kind == preset
    assert load_config(written(content)).network.hidden == 12
    (problem,) = problems(written(GOOD | {"network": {"preset": preset, "layerz": 3}}))
    assert problem == "network.layerz: unknown key (did you mean network.layers?)"


def test_an_unknown_kind_of_network_is_named(written):
    (problem,) = problems(written(GOOD | {"network": {"kind": "transformer"}}))
    assert problem.startswith("network.kind: ")
    assert "transformer" in problem


@pytest.mark.parametrize(
    ("network", "least"),
    [({"stem_kernel": 30, "stem_stride": 2}, 30), ({"preset": "deepconvlstm", "kernel": 9}, 33)],
)
def test_a_window_too_short_for_the_network_is_named(written, network, least):
    (problem,) = problems(written(GOOD | {"window": {"length": 20, "stride": 10}, "network": network}))
    assert problem == f"window.length: 20 samples are too few for this network, which reads at least {least}"


def test_what_the_command_line_says_wrongly_is_not_blamed_on_the_file(written):
    path = written(GOOD)
    for override, expected in (
        ("network.cells=-3", "network.cells: Input should be greater than or equal to 0, not -3"),
        ("window.length=32", "window.stride: 64 leaves out samples: at most the length, 32"),
        ("split.validation=[2]", "split.validation: 2 also in split.test: name each in one of them"),
        ("train", "train: an override should read key=value, as in train.epochs=20"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(path, [override])
        assert str(caught.value) == f"the command line, on top of {path}: 1 error: {expected}"


def test_problems_of_both_are_told_apart(written):
    path = written(GOOD | {"train": {"epochs": 0}})
    with pytest.raises(ConfigError) as caught:
        load_config(path, ["network.cells=-3"])
    assert caught.value.where == str(path)
    told = sorted(problem.partition(": ")[2][-22:] for problem in caught.value.problems)
    assert len(told) == 2
    assert told[0].endswith("(by the command line)")
    assert told[1].endswith(", not 0")
    assert load_config(path, ["train.epochs=3"]).train.epochs == 3  # what is overridden no longer matters


@pytest.mark.parametrize(
    ("override", "known"),
    [
        ("bogus=1", "bogus: unknown key; known at the top are name, dataset, window, preprocess, split, network"),
        ("window.qqq=1", "window.qqq: unknown key; known in window are length, stride, max_missing, cut"),
        ("network.zzzz=1", "network.zzzz: unknown key; known in network are preset, kind, "),
    ],
)
def test_a_key_like_no_other_is_told_which_there_are(written, override, known):
    (found,) = problems(written(GOOD), [override])
    assert found.startswith(known)
