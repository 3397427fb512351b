"""What was said of a stream in the last minutes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinestream.streamer.dashboard.past import Past
from tests.given.labels import label_of

SECOND = 1_000_000_000


def test_labels_come_back_with_every_probability_to_one_part_in_255():
    past, rng = Past(), np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(5), 500).astype("<f4")
    for window, each in enumerate(probs):
        past.add(label_of(window=window, t_source=window * SECOND, probs=each.tobytes()), 2 + int(each.argmax()))
    span = past.between(100 * SECOND, 200 * SECOND)
    assert span.at.tolist() == [second * SECOND for second in range(100, 200)]
    assert span.number.tolist() == (2 + probs[100:200].argmax(axis=1)).tolist()
    np.testing.assert_allclose(span.probs, probs[100:200], atol=1 / 255)


@given(st.integers(100, 400), st.integers(0, 1500))
def test_at_most_so_many_are_kept_and_at_least_half_as_many(most, count):
    past = Past(most)
    for window in range(count):
        past.add(label_of(window=window, t_source=window), 2)
    kept = past.between(0, 1 << 62).at
    assert len(kept) <= most
    assert len(kept) >= min(count, most // 2)
    assert kept.tolist() == list(range(count - len(kept), count))
    assert past.added == count


def test_another_bundle_with_other_classes_begins_anew():
    past = Past()
    past.add(label_of(t_source=1), 2)
    past.add(label_of(t_source=2, probs=np.ones(3, "<f4").tobytes()), 2)
    span = past.between(0, 10)
    assert span.at.tolist() == [2]
    assert span.probs.shape == (1, 3)
