"""Windows come out of the gatherer as they went in, however its memory is used again."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.engine.engine import BATCH
from kinestream.streamer.recognizer.batch import Gatherer


@given(
    st.lists(st.tuples(st.integers(0, 2 * BATCH + 40), st.floats(0, 0.9), st.booleans()), max_size=6),
    st.sampled_from([1, 8]),
)
@settings(deadline=None, max_examples=50)
def test_windows_come_out_as_they_went_in(turns, multiple):
    gatherer, number = Gatherer(2, 1, multiple), 0
    kept_back = []
    for count, share, give_back in turns:
        wanted = []
        for _ in range(count):
            gatherer.add(np.full((2, 1), number, dtype=np.float32))
            wanted.append(number)
            number += 1
        dropped = [k for k in range(count) if np.random.default_rng(k).random() < share]
        parts = gatherer.take(dropped)
        found = [part.windows[: part.wanted] for part in parts]
        assert all(0 < part.wanted <= len(part.windows) <= BATCH for part in parts)
        assert np.concatenate([each[:, 0, 0] for each in found] or [[]]).tolist() == [
            float(each) for k, each in enumerate(wanted) if k not in set(dropped)
        ]
        kept_back.append((parts, [each.copy() for each in found]))
        if give_back:
            gatherer.give_back(kept_back.pop()[0])
        for parts, before in kept_back:  # what was not given back stays as it was
            for part, rows in zip(parts, before, strict=True):
                np.testing.assert_array_equal(part.windows[: part.wanted], rows)


def test_an_engine_sees_few_sizes():
    gatherer, sizes = Gatherer(2, 1, multiple=8), set()
    for count in range(1, BATCH + 1):
        for _ in range(count):
            gatherer.add(np.zeros((2, 1), dtype=np.float32))
        (part,) = gatherer.take()
        sizes.add(len(part.windows))
        gatherer.give_back([part])
    assert len(sizes) == 31 + 29
