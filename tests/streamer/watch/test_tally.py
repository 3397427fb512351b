"""What a subscriber counts adds up, wherever it joined and whatever it missed."""

from hypothesis import given
from hypothesis import strategies as st

from kinestream.streamer.watch.tally import StreamTally, Tally
from kinestream.streamer.wire.messages import Event, Label
from tests.given.labels import label_of, seam_between

SECOND = 1_000_000_000


def label(window: int, name: str = "walk", session: int = 1, stream: str = "anna") -> Label:
    taken = window * SECOND
    return label_of(stream, window, name, session=session, p=0.9, t_source=taken, t_received=taken, t_published=taken)


def skipped(first: int, last: int) -> Event:
    return Event("skipped", "anna", 1, {"first_window": first, "last_window": last, "reason": "missing"})


@given(
    joined=st.integers(0, 20),
    fates=st.lists(st.sampled_from(["label", "skipped", "lost"]), max_size=40),
)
def test_every_window_since_the_first_label_is_labelled_skipped_or_missed(joined, fates):
    seen = StreamTally("anna")
    fates = ["label", *fates, "label"]
    for window, fate in enumerate(fates, start=joined):
        if fate == "label":
            seen.add_label(label(window), window * SECOND, 0)
        elif fate == "skipped":
            seen.add_event(skipped(window, window))
    assert (seen.labels.total(), seen.skipped, seen.missed) == tuple(map(fates.count, ("label", "skipped", "lost")))


def test_a_new_session_counts_from_its_own_first_label():
    seen = StreamTally("anna")
    for window, session in [(7, 1), (8, 1), (0, 2), (2, 2)]:
        seen.add_label(label(window, session=session), 0, 0)
    assert seen.missed == 1


def test_beside_a_seam_windows_are_missed_and_in_it_none_are():
    seen = StreamTally("anna")
    seen.add_label(label(7), 0, 0)
    seen.add_event(seam_between(9, 1000))
    seen.add_label(label(1001), 0, 0)
    assert seen.missed == 3


def test_an_activity_lasts_since_its_first_window():
    seen = StreamTally("anna")
    for window, name in enumerate(["sit", "walk", "walk", "walk"]):
        seen.add_label(label(window, name), window * SECOND + 5, 5)
    assert seen.since_ns == 1 * SECOND
    assert seen.held_s(9 * SECOND) == 8.0
    seen.add_event(Event("end", "anna", 1, {"reason": "end"}))
    assert seen.held_s(9 * SECOND) == 2.0


def test_the_rate_is_that_of_the_labels_and_sinks_when_none_comes():
    seen = StreamTally("anna")
    for window in range(20):
        seen.add_label(label(window), window * SECOND // 2, 0)
    assert seen.rate(19 * SECOND // 2) == 2.0
    assert seen.rate(19 * SECOND // 2 + 10 * SECOND) == 0.1


def test_streams_stand_by_name_with_numbers_by_value_and_ended_ones_last():
    tally = Tally()
    for stream in ("exp10", "exp2", "anna", "exp1"):
        tally.add(label(0, stream=stream), 0)
    tally.add(Event("end", "exp1", 1, {"reason": "end"}), 0)
    assert [seen.stream for seen in tally.in_order()] == ["anna", "exp2", "exp10", "exp1"]


def test_labels_that_are_filled_in_count_and_say_nothing_of_latency_and_rate():
    seen = StreamTally("anna")
    for window in (0, 1):
        seen.add_label(label(window), (window + 1) * SECOND, 5_000_000)
    for window in (2, 3, 4):
        seen.add_label(label(window, "sit"), 9 * SECOND, 8_000_000_000, is_filled=True)
    assert (seen.labels.total(), seen.missed, seen.latency_ms) == (5, 0, 5.0)
    assert seen.label == label(4, "sit")
    assert seen.rate(2 * SECOND) == 1.0


def test_a_label_that_comes_after_those_behind_it_is_not_the_newest():
    seen = StreamTally("anna")
    for window in (0, 3, 1):
        seen.add_label(label(window), window * SECOND, 0)
    assert (seen.label, seen.missed) == (label(3), 2)
    seen.add_event(Event("missed", "anna", 1, {"first_window": 1, "last_window": 2, "reason": "kept no more"}))
    assert (seen.last_event, seen.missed) == ("missed windows 1 to 2: kept no more", 2)
