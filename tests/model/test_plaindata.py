"""A description from anybody is read in no time and little memory, or refused in one line."""

import json
import time

import pytest
import yaml

from kinestream.model.comparison.protocol import load_protocol
from kinestream.model.config.file import load_config
from kinestream.model.datasets import open_source
from kinestream.model.errors import ConfigError
from kinestream.model.plaindata import dump_yaml, parse_json, parse_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "aliases": (LAUGHS, "refers to another part"),
    "an alias of itself": ("a: &a [*a]", "refers to another part"),
    "an alias merged": ("a: &a {b: 1}\nc: {<<: *a}", "refers to another part"),
    "brackets": ("[" * 50_000, "levels deep"),
    "braces": ("{a: " * 50_000, "levels deep"),
    "dashes": ("- " * 50_000, "levels deep"),
    "indents": ("".join(f"{' ' * i}a:\n" for i in range(1000)), "levels deep"),
    "keys": ("? " * 50_000, "levels deep"),
    "digits": ("a: " + ":".join(["59"] * 100_000), "put a long text in quotes"),
    "tagged digits": ("a: !!int '" + ":".join(["59"] * 100_000) + "'", "put a long text in quotes"),
    "a code": ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
}


@pytest.mark.parametrize(("text", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_yaml_is_refused_at_once_wherever_it_is_read(tmp_path, text, expected):
    path = tmp_path / "hostile.yaml"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(ValueError, match=expected) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)
    for read in (load_config, load_protocol, open_source):
        with pytest.raises(ConfigError, match=expected) as refused:
            read(str(path))
        assert "\n" not in str(refused.value)
    assert time.process_time() - began < 5  # of minutes, where it ended at all


def test_a_file_of_any_size_is_no_configuration(tmp_path):
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte that takes no room
    with pytest.raises(Exception, match=r"^[^\n]*large\.yaml: larger than 1 MB[^\n]*$"):
        load_config(path)


def test_what_is_written_reads_back_even_where_one_list_stands_twice():
    people = ["anna", "ben"]
    content = {"train": people, "test": people, "nested": {"a": people}}
    assert "&" in yaml.dump(content)
    assert parse_yaml(dump_yaml(content)) == content


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", "nonsense", b"\xff"])
def test_hostile_json_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        parse_json(text)
    assert parse_json(json.dumps({"a": [1]})) == {"a": [1]}


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("classes: ['A', \"B\\e[2J\"]", "dataset.classes"),
        ('channels: ["ax\\x07"]', "dataset.channels"),
        ("classes: ['A', " + "B" * 300 + "]", "dataset.classes"),
    ],
)
def test_names_with_control_characters_are_no_names(tmp_path, section, key):
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"dataset: {{name: hapt, {section}}}\nwindow: {{length: 64, stride: 16}}\n"
        "split: {test: [], validation: 1}\ntrain: {epochs: 1}\n"
    )
    with pytest.raises(ConfigError, match=r"should (be free of control characters|have at most 255)") as caught:
        load_config(path)
    assert caught.value.problems[0].startswith(key)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("tabular", "key"),
    [
        ('channels: {"a\\e[2Jx": {column: ax}}, labels: {column: b, classes: [A, B]}', "channels"),
        ('channels: {ax: {unit: "g\\x9b"}}, labels: {column: b, classes: [A, B]}', "channels.ax.unit"),
        ('channels: {ax: }, labels: {column: b, classes: [A, "B\\u202e"]}', "labels.classes"),
        ('channels: {ax: }, labels: {column: b, names: {1: A, 2: "B\\n"}}', "labels.names"),
        ('person: {name: "an\\0na"}, channels: {ax: }, labels: {column: b, classes: [A, B]}', "person.name"),
    ],
)
def test_nor_are_they_in_what_describes_ones_own_recordings(tmp_path, tabular, key):
    path = tmp_path / "mine.yaml"
    files = "'*.csv'" if "person" in tabular else "'{person}.csv'"
    path.write_text(f"dataset: {{name: mine, tabular: {{files: {files}, rate_hz: 50, {tabular}}}}}\n")
    with pytest.raises(ConfigError, match=r"^[^\n]*should be free of control characters[^\n]*$") as caught:
        open_source(path)
    assert any(problem.startswith(f"dataset.tabular.{key}") for problem in caught.value.problems)
