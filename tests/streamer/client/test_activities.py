"""Activities that subscribers receive are those of the same labels offline, whenever the bundle becomes known."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.activity.line import follow
from kinestream.model.bundle.bundle import Bundle
from kinestream.model.config.activity import ActivitySection
from kinestream.streamer.client import AsyncLabelSubscriber, Event, Label, LabelSubscriber, SampleSender
from kinestream.streamer.client.activities import MOST_HELD, Activities, Activity
from tests.given.bundles import random_bundle
from tests.given.labels import label_of
from tests.given.streamers import running_streamer
from tests.model.activity.test_smoother import drawn, settings_of

RULES = settings_of(2, lag=1, stay=0.8, sharpness=0.5, least=(2, 1), patience=3, longest_gap=1)
STRIDE_NS = 80_000_000


def accepted(stream="anna", bundle="m-1", rules=RULES, **others):
    about = {"bundle": bundle, "rate_hz": 50.0, "window": {"length": 8, "stride": 4, "max_missing": 0.25}}
    about |= {"classes": ["walk", "sit"], "null_class": None, "columns": None, "subscribers": 1}
    if rules is not None:
        about["activities"] = rules.model_dump(mode="json")
    return Event("accepted", stream, 1, about | others)


def labels_of(seed, windows=12, stream="anna", session=1, **others):
    return [
        label_of(
            stream,
            window,
            session=session,
            probs=row.astype("<f4").tobytes(),
            t_source=(window + 2) * STRIDE_NS,
            **others,
        )
        for window, row in enumerate(drawn(seed, windows, 2))
    ]


def told(messages, activities=None):
    activities = activities or Activities()
    found = [activity for message in messages for activity in activities.add(message)]
    return found + activities.finish()


def test_activities_are_those_of_the_same_labels_offline():
    labels = labels_of(3, 40)
    found = told([accepted(), *labels])
    windows = np.arange(len(labels))
    rows = np.stack([label.probabilities for label in labels])
    line = follow(RULES, STRIDE_NS, windows, (windows + 2) * STRIDE_NS, rows)
    ended = [activity for activity in found if activity.state == "ended"]
    assert [(a.class_index, a.begin, a.end, a.p) for a in ended] == [change[1:] for change in line.activities]
    assert len(ended) > 3
    assert {a.activity for a in found} <= {"walk", "sit", "uncertain"}
    assert {(a.stream, a.session, a.model) for a in found} == {("anna", 1, "m-1")}


@given(late=st.integers(0, 12), seed=st.integers(0, 99))
def test_when_the_streamer_says_what_its_bundle_is_changes_nothing(late, seed):
    labels = labels_of(seed)
    assert told([*labels[:late], accepted(), *labels[late:], accepted()]) == told([accepted(), *labels])


@given(seed=st.integers(0, 99), other=st.integers(0, 99), order=st.lists(st.booleans(), min_size=24, max_size=24))
def test_streams_do_not_mix(seed, other, order):
    queues = [[accepted("anna"), *labels_of(seed)], [accepted("ben"), *labels_of(other, stream="ben")]]
    expected = [told(queue) for queue in queues]
    mixed = [queues[which].pop(0) for which in order if queues[which]]
    found = told([*mixed, *queues[0], *queues[1]])
    assert [[a for a in found if a.stream == name] for name in ("anna", "ben")] == expected


@given(seed=st.integers(0, 99), lost=st.sets(st.integers(1, 10)))
def test_events_only_tell_sooner(seed, lost):
    labels = [label for label in labels_of(seed) if label.window not in lost]
    events = {w: Event("skipped", "anna", 1, {"first_window": w, "last_window": w, "reason": "missing"}) for w in lost}
    both = sorted(
        [*labels, *events.values()], key=lambda m: m.window if isinstance(m, Label) else m.details["last_window"]
    )
    assert told([accepted(), *both]) == told([accepted(), *labels])


def test_a_session_that_ends_or_is_followed_by_another_ends_its_activity():
    first, second = labels_of(1), labels_of(2, session=2)
    end = Event("end", "anna", 1, {"reason": "end"})
    ended = told([accepted(), *first, end])
    assert told([accepted(), *first]) == ended
    both = told([accepted(), *first, *second])
    assert [a for a in both if a.session == 1] == ended
    assert [a for a in both if a.session == 2] == told([accepted(), *second])
    assert told([accepted(), *first, Event("end", "anna", 7, {"reason": "end"})]) == ended


def test_labels_that_come_again_are_passed_over_and_a_run_that_is_counted_anew_is_followed():
    labels = labels_of(1)
    assert told([accepted(), *labels, *labels[3:]]) == told([accepted(), *labels])
    again = [label._replace(t_source=label.t_source + 100 * STRIDE_NS) for label in labels]
    found = told([accepted(), *labels, *again])
    assert found[-1].end == again[-1].t_source


def test_another_bundle_of_the_same_rules_goes_on_and_one_of_others_begins_anew():
    labels = labels_of(1, 20)
    renamed = [label._replace(model="m-2") for label in labels[10:]]
    model = {"old": "m-1", "new": "m-2", "classes": ["walk", "sit"], "activities": RULES.model_dump(mode="json")}
    same = told([accepted(), *labels[:10], *renamed[:2], Event("model", "anna", 1, model), *renamed[2:]])
    assert [a._replace(model="") for a in same] == [a._replace(model="") for a in told([accepted(), *labels])]
    assert same[-1].model == "m-2"
    other = told(
        [
            accepted(),
            *labels[:10],
            *renamed[:2],
            Event("model", "anna", 1, model | {"classes": ["sit", "run"]}),
            *renamed[2:],
        ]
    )
    assert other[-1].activity in ("sit", "run", "uncertain")
    ends = [a.end for a in other if a.state == "ended" and a.model == "m-1"]
    assert ends[-1] == labels[9].t_source


def test_a_bundle_that_says_nothing_gets_the_usual_rules_and_yours_come_first():
    labels = labels_of(1, 30)
    usual = ActivitySection.usual(2, 8, 4)
    assert told([accepted(rules=None), *labels]) == told([accepted(rules=usual), *labels])
    assert told([accepted(), *labels], Activities(usual)) == told([accepted(rules=usual), *labels])
    strange = accepted(activities={"lag": -1})
    assert told([strange, *labels]) == told([accepted(rules=None), *labels])
    assert told([accepted(window={"length": 0}), *labels]) == []


def test_labels_of_a_bundle_of_which_nobody_says_anything_are_given_up():
    activities = Activities()
    assert told(labels_of(1, MOST_HELD + 5), activities) == []
    assert activities.passed_over == 5


@pytest.mark.parametrize(
    "odd",
    [
        {"rate_hz": 5e-324},
        {"rate_hz": float("inf")},
        {"window": {"length": 1 << 62, "stride": 1}},
        {"activities": RULES.model_dump() | {"longest_gap": 1 << 62}},
    ],
)
def test_what_a_streamer_makes_up_of_its_bundle_does_no_harm(odd):
    far = label_of("anna", 1 << 61, model="m-1", t_source=1 << 61, probs=bytes(12))
    told([accepted(**odd), *labels_of(0), far])


def test_unusual_readings_are_told_with_the_activity_for_as_long_as_they_are():
    labels = labels_of(1, 6)
    unusual = Event("unusual", "anna", 1, {"sensor": "acc", "unusual": True, "reason": "too large"})
    usual = Event("unusual", "anna", 1, {"sensor": "acc", "unusual": False})
    activities = Activities()
    for message in (accepted(), *labels[:2], unusual):
        activities.add(message)
    assert {a.unusual for label in labels[2:4] for a in activities.add(label)} == {("too large",)}
    activities.add(usual)
    assert {a.unusual for label in labels[4:] for a in activities.add(label)} == {()}


def with_rules(bundle: Bundle, rules: ActivitySection) -> Bundle:
    return Bundle(bundle.description.model_copy(update={"activities": rules}), bundle.weights)


@pytest.fixture(scope="module")
def streamer():
    rules = settings_of(4, lag=1, stay=0.5, sharpness=0.5)
    with running_streamer(with_rules(random_bundle(), rules)) as running:
        yield running


def test_a_subscriber_receives_activities_in_place_of_labels(streamer):
    x = np.random.default_rng(0).normal(size=(200, 3))
    options = {"endpoint": streamer.ingest, "control": streamer.control}
    with (
        LabelSubscriber(streamer.labels, streams=["anna"], activities=True) as activities,
        LabelSubscriber(streamer.labels, streams=["anna"], events=True) as labels,
        SampleSender("anna", ["c0", "c1", "c2"], 50, session=5, **options) as sender,
    ):
        while sender.wait_accepted()["subscribers"] < 2:
            pass
        sender.send(x)
        sender.end()
        heard = []
        while not (heard and isinstance(heard[-1], Event) and heard[-1].event == "end"):
            heard.append(labels.receive(20))
        expected = told(heard)
        found = [activities.receive(20) for _ in expected]
        assert found == expected
        assert all(isinstance(each, Activity) for each in found)
        assert activities.receive(0) is None
    assert found[-1].state == "ended"
    assert len([label for label in heard if isinstance(label, Label)]) == 49


async def test_so_does_an_asynchronous_one_with_events_if_they_are_asked_for(streamer):
    async with AsyncLabelSubscriber(streamer.labels, streams=["ben"], activities=True, events=True) as activities:
        options = {"endpoint": streamer.ingest, "control": streamer.control}
        with SampleSender("ben", ["c0", "c1", "c2"], 50, session=5, **options) as sender:
            while (await asyncio.to_thread(sender.wait_accepted))["subscribers"] < 1:
                pass
            sender.send(np.random.default_rng(1).normal(size=(80, 3)))
            sender.end()
            found = []
            while not (found and isinstance(found[-1], Event) and found[-1].event == "end"):
                found.append(await activities.receive(20))
    assert found[-2].state == "ended"
    assert not any(isinstance(each, Label) for each in found)
