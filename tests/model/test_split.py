"""Nobody, and no sample, is in two parts."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from model.config import SplitSection
from model.errors import ConfigError
from model.recording import Channel, Recording
from model.split import split_recordings


def recording(person, length=100, window=None):
    return Recording(
        id=f"{person}-1",
        person=person,
        dataset="d",
        rate_hz=50.0,
        channels=(Channel("x"),),
        samples=np.arange(length, dtype=np.float32)[:, None],
        timestamps=np.arange(length, dtype=np.int64),
        labels=np.zeros(length, dtype=np.int16),
        classes=("a", "b"),
        window=window,
    )


def samples(recordings):
    return [(each.person, int(value)) for each in recordings for value in each.samples[:, 0]]


@given(
    lengths=st.lists(st.integers(20, 200), min_size=1, max_size=4),
    test=st.sampled_from([0.0, 0.2, 0.5]),
    validation=st.sampled_from([0.0, 0.2, 0.5]),
)
def test_cut_in_time_every_sample_is_in_one_part_and_what_is_held_out_comes_last(lengths, test, validation):
    whole = [recording(f"p{i}", length) for i, length in enumerate(lengths)]
    split = split_recordings(whole, SplitSection(test_share=test, validation_share=validation), seed=0)
    parts = [samples(part) for part in (split.train, split.validation, split.test)]
    assert sorted(itertools.chain(*parts)) == sorted(samples(whole))
    assert len({each.id for part in (split.train, split.validation, split.test) for each in part}) == sum(
        len(part) for part in (split.train, split.validation, split.test)
    )
    for early, late in itertools.combinations(parts, 2):
        for person in {person for person, _ in early} & {person for person, _ in late}:
            assert max(value for who, value in early if who == person) < min(v for who, v in late if who == person)
    assert len(parts[2]) == pytest.approx(test * sum(lengths), abs=len(lengths))


def test_a_person_tested_on_is_not_cut_and_the_others_are():
    whole = [recording("a"), recording("b")]
    split = split_recordings(whole, SplitSection(test=("b",), validation_share=0.25), seed=0)
    assert [each.id for each in split.train] == ["a-1[0:75]"]
    assert [each.id for each in split.validation] == ["a-1[75:100]"]
    assert [each.id for each in split.test] == ["b-1"]


def test_recordings_published_as_windows_are_cut_between_two():
    split = split_recordings([recording("a", 96, window=32)], SplitSection(validation_share=0.5), seed=0)
    assert [len(each.samples) for each in (*split.train, *split.validation)] == [32, 64]


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({}, "validation"),
        ({"validation": ["a"], "validation_share": 0.2}, "validation_share"),
        ({"test": ["a"], "test_share": 0.2, "validation": 1}, "test_share"),
    ],
)
def test_a_split_is_said_in_one_way(keys, key):
    with pytest.raises(ValidationError) as caught:
        SplitSection.model_validate(keys)
    assert caught.value.errors()[0]["ctx"]["key"] == key


def test_nobody_left_to_train_on_is_one_line():
    with pytest.raises(ConfigError, match=r"split.validation: 1 of 1 people leave none to train on"):
        split_recordings([recording("a")], SplitSection(validation=1), seed=0)
