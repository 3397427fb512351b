"""Evaluation of what devices delivered: laid on the bundle's grid, near what the published samples give."""

import os
from pathlib import Path

import pytest

from kinestream.model.errors import SourceError
from kinestream.model.evaluation.evaluate import evaluate
from kinestream.replay.demo import BUNDLE, RECORDINGS

HAPT = Path(os.environ.get("KINESTREAM_DATA", "")) / "HAPT Data Set.zip"


def test_the_shipped_bundle_names_devices_as_well_as_published_samples():
    published, delivered = evaluate(BUNDLE, RECORDINGS), evaluate(BUNDLE, RECORDINGS, devices=True)
    assert delivered.windows == published.windows
    for one, other in zip(published.recordings, delivered.recordings, strict=True):
        assert (one.last == other.last).all()
        assert (one.truth == other.truth).all()
    assert delivered.chosen.endswith("as their devices delivered them")
    accuracy = [each.scores.as_dict()["accuracy"] for each in (delivered, published)]
    assert accuracy[0] == pytest.approx(accuracy[1], abs=0.02)


@pytest.mark.skipif(not HAPT.is_file(), reason="KINESTREAM_DATA names no folder with HAPT's recordings")
def test_a_dataset_on_one_grid_has_no_devices():
    with pytest.raises(SourceError, match=r"hapt has no devices of its own: .* leave --devices out"):
        evaluate(BUNDLE, HAPT, devices=True)
