"""Nobody, and no sample, is in two parts."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kinestream.model.config.training import SplitSection
from kinestream.model.errors import ConfigError
from kinestream.model.recordings.recording import Channel, Recording
from kinestream.model.recordings.split import split_recordings


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


def test_who_is_left_out_is_in_no_part():
    whole = [recording(person) for person in "abcd"]
    split = split_recordings(whole, SplitSection(leave_out=("d",), test=("c",), validation=("b",)), seed=0)
    parts = [[each.person for each in part] for part in (split.train, split.validation, split.test)]
    assert parts == [["a"], ["b"], ["c"]]


def test_left_out_as_published_none_of_the_published_test_people_is_in_a_part():
    whole = [replace(recording(person), split="test" if person in "cd" else "train") for person in "abcd"]
    split = split_recordings(whole, SplitSection(leave_out="published", test=("b",), validation=0), seed=0)
    assert [[each.person for each in part] for part in (split.train, split.test)] == [["a"], ["b"]]
    with pytest.raises(ConfigError, match=r"split.test: no person or recording d: there are a, b"):
        split_recordings(whole, SplitSection(leave_out="published", test=("d",), validation=0), seed=0)


def test_what_is_left_out_in_time_comes_last():
    section = SplitSection(leave_out_share=0.5, test_share=0.5, validation_share=0.2)
    split = split_recordings([recording("a")], section, seed=0)
    assert [len(part[0].samples) for part in (split.train, split.validation, split.test)] == [20, 5, 25]
    assert split.test[0].samples[-1, 0] == 49


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (SplitSection(leave_out="published", validation=1), "split.leave_out: this dataset was published without"),
        (SplitSection(leave_out=("x",), validation=1), "split.leave_out: no person or recording x: there are a, b"),
    ],
)
def test_nobody_to_leave_out_is_said(section, problem):
    with pytest.raises(ConfigError) as caught:
        split_recordings([recording("a"), recording("b")], section, seed=0)
    assert [each.startswith(problem) for each in caught.value.problems] == [True]


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"leave_out": ["a"], "test": ["a"], "validation": 1}, "test"),
        ({"leave_out": ["a"], "validation": ["a"]}, "validation"),
        ({"leave_out": "published", "test": "published", "validation": 1}, "test"),
        ({"leave_out": ["a"], "leave_out_share": 0.2, "validation": 1}, "leave_out_share"),
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


def test_a_name_that_is_a_persons_and_anothers_recording_is_the_persons():
    whole = [recording("1"), replace(recording("1"), id="2"), recording("2"), replace(recording("3"), id="lone")]
    split = split_recordings(whole, SplitSection(test=("2",), validation=("lone",)), seed=0)
    assert [(each.person, each.id) for each in split.test] == [("2", "2-1")]
    assert [each.id for each in split.validation] == ["lone"]
    assert {each.person for each in split.train} == {"1"}


def test_people_are_named_also_where_an_end_is_left_out():
    whole = [recording(person) for person in "abc"]
    section = SplitSection(leave_out_share=0.5, test=("c",), validation=("b",))
    split = split_recordings(whole, section, seed=0)
    assert [[each.person for each in part] for part in (split.train, split.validation, split.test)] == [
        ["a"],
        ["b"],
        ["c"],
    ]
