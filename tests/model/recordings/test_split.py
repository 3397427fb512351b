"""Nobody, and no sample, is in two parts."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kinestream.model.config.split import SplitSection
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
        ({"test": ["a"], "train": ["a"], "validation": []}, "train"),
        ({"train": ["a"], "validation": 1}, "validation"),
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


def test_only_who_is_named_is_trained_on_and_not_what_is_tested_of_them():
    whole = [recording(person) for person in "abc"] + [replace(recording("a"), id="a-2")]
    split = split_recordings(whole, SplitSection(train=("a", "b"), test=("a-2",), validation=()), seed=0)
    assert [[each.id for each in part] for part in (split.train, split.validation, split.test)] == [
        ["a-1", "b-1"],
        [],
        ["a-2"],
    ]
    with pytest.raises(ConfigError, match=r"split.train: no person or recording d: there are a, b, c"):
        split_recordings(whole, SplitSection(train=("d",), validation=0), seed=0)


@given(
    labels=st.lists(st.lists(st.integers(-1, 2), min_size=60, max_size=200), min_size=1, max_size=3),
    seconds=st.integers(1, 4),
    share=st.sampled_from([0.0, 0.4]),
)
def test_so_many_minutes_are_the_first_of_each_class_shared_out_evenly(labels, seconds, share):
    whole = [
        replace(recording(f"p{i}", len(each)), labels=np.array(each, dtype=np.int16), classes=("a", "b", "c"))
        for i, each in enumerate(labels)
    ]
    before = split_recordings(whole, SplitSection(test_share=share, validation=()), seed=0)
    had = np.concatenate([each.labels for each in before.train])
    section = SplitSection(test_share=share, validation=(), train_minutes=seconds / 60)
    wanted = seconds * 50
    if (had >= 0).sum() < wanted:
        with pytest.raises(ConfigError, match="labelled minutes to train on"):
            split_recordings(whole, section, seed=0)
        return
    after = split_recordings(whole, section, seed=0)
    assert [each.labels.tolist() for each in after.test] == [each.labels.tolist() for each in before.test]
    kept = {each.person: each for each in after.train}
    counts, there = np.zeros(3, dtype=int), np.bincount(had[had >= 0], minlength=3)
    for each in before.train:
        short = kept[each.person].labels if each.person in kept else np.empty(0, dtype=np.int16)
        padded = np.concatenate([short, np.full(len(each.labels) - len(short), -1)])
        used = padded >= 0
        assert (padded[used] == each.labels[used]).all()  # nothing but labels that were there
        assert not len(short) or short[-1] >= 0
        counts += np.bincount(padded[used], minlength=3)
    taken = np.concatenate(
        [
            np.pad(kept[each.person].labels, (0, len(each.labels) - len(kept[each.person].labels)), constant_values=-1)
            if each.person in kept
            else np.full(len(each.labels), -1)
            for each in before.train
        ]
    )
    for index in range(3):  # the first of each class: what is left out comes after what is taken
        assert (taken[np.flatnonzero(had == index)[: counts[index]]] == index).all()
    assert counts.sum() == wanted
    scarce = counts == there
    assert counts[~scarce].max(initial=0) - counts[~scarce].min(initial=wanted) <= 1
    assert counts[scarce].max(initial=0) <= counts[~scarce].max(initial=wanted)


def test_a_split_that_names_nobody_to_train_on_is_written_as_ever():
    assert SplitSection(validation=1).model_dump().keys().isdisjoint({"train", "train_minutes"})
    written = SplitSection(train=("a",), validation=(), train_minutes=2).model_dump(mode="json")
    assert SplitSection.model_validate(written) == SplitSection(train=("a",), validation=(), train_minutes=2)
