"""What was had of a session is known again, whatever came in between, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from kinestream.streamer.client.seen import SPANS, Seen


def had(*labels: tuple[int, str]) -> Seen:
    seen = Seen(1, labels[0][0])
    for window, model in labels:
        if not seen.follows(window, model):
            seen.add(window, model)
    return seen


def test_a_label_is_known_by_its_window_and_its_model():
    seen = had(*((window, "old") for window in range(8)))
    for window in (6, 7, 8):
        assert not seen.has(window, "new")
        assert not seen.follows(window, "new") or window == 8
        seen.add(window, "new")
    assert seen.next == 9
    assert all(seen.has(window, "old") for window in range(8))
    assert [seen.has(window, "new") for window in range(5, 10)] == [False, True, True, True, False]
    assert seen.count() == 9


def test_only_the_next_label_of_the_same_model_follows():
    seen = had((4, "m"))
    assert not seen.follows(4, "m")
    assert not seen.follows(6, "m")
    assert not seen.follows(5, "other")
    assert seen.follows(5, "m")
    seen.ended = True
    assert not seen.follows(6, "m")
    seen.add(6, "m")
    assert not seen.ended


def test_skipped_windows_are_known_and_have_no_label():
    seen = had((0, "m"), (1, "m"))
    seen.skip(2, 5)
    assert seen.next == 6
    assert seen.knows(3)
    assert not seen.has(3, "m")
    assert seen.count() == 6


@given(
    windows=st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["m", "n"])), min_size=1, max_size=120),
)
def test_nothing_that_was_had_is_ever_taken_for_new(windows):
    seen, labels = Seen(1, windows[0][0]), set()
    for label in windows:
        if not seen.has(*label):
            assert label not in labels
            seen.add(*label)
        labels.add(label)
        assert all(seen.has(*each) for each in labels)
        assert seen.next == max(window for window, _ in labels) + 1
        assert len(seen._spans) <= SPANS
    if len(seen._spans) < SPANS:
        assert seen.count() == len({window for window, _ in labels})
