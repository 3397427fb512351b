"""What bundles made before do not say may be missing, and leaves their ids as they were."""

import pytest
import yaml

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.config.familiar import SensorRange
from kinestream.model.errors import BundleError
from tests.given.bundles import random_bundle
from tests.model.activity.test_smoother import settings_of

RANGE = SensorRange(channels=("c0", "c1"), means=((-2.0, 2.0), (-1.0, 3.0)), size=(0.0, 3.0), spread=(0.0, 4.0))


def with_all(bundle: Bundle) -> Bundle:
    more = {"activities": settings_of(4, threshold=0.4), "familiar": (RANGE,)}
    return Bundle(bundle.description.model_copy(update=more), bundle.weights)


def test_rules_and_ranges_are_read_as_they_were_written(tmp_path):
    made = with_all(random_bundle())
    made.write(tmp_path)
    read = read_bundle(tmp_path)
    assert read.description.activities == made.description.activities
    assert read.description.familiar == (RANGE,)
    assert read.id == made.id


def test_a_bundle_without_them_says_nothing_of_them_and_keeps_its_id(tmp_path):
    bundle = random_bundle()
    bundle.write(tmp_path)
    text = (tmp_path / "bundle.yaml").read_text()
    assert "activities" not in text
    assert "familiar" not in text
    assert bundle.id != with_all(bundle).id
    assert read_bundle(tmp_path).description.activities is None


@pytest.mark.parametrize(
    ("key", "change", "expected"),
    [
        ("activities", {"least": [1, 1]}, "least is of 2 classes, there are 4"),
        ("activities", {"lag": -1}, "lag"),
        ("activities", {"patience": 0}, "patience"),
        ("activities", {"stay": 1.0}, "stay"),
        ("familiar", [{"channels": ["c9"], "means": [[0, 1]], "size": [0, 1], "spread": [0, 1]}], "no channel c9"),
        ("familiar", [{"channels": ["c0"], "means": [], "size": [0, 1], "spread": [0, 1]}], "there are 0 for 1"),
        ("familiar", [{"channels": ["c0"], "means": [[1, 0]], "size": [0, 1], "spread": [0, 1]}], "lower bound first"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, key, change, expected):
    with_all(random_bundle()).write(tmp_path)
    content = yaml.safe_load((tmp_path / "bundle.yaml").read_text())
    content[key] = content[key] | change if isinstance(change, dict) else change
    (tmp_path / "bundle.yaml").write_text(yaml.dump(content))
    with pytest.raises(BundleError, match=expected):
        read_bundle(tmp_path)
