"""A window's smoothed probabilities are the chain's posterior, whichever way they are computed."""

from itertools import pairwise, product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.activity.smoother import Smoother, observe, smooth
from kinestream.model.config.activity import ActivitySection


def settings_of(classes, lag=2, stay=0.9, sharpness=0.5, **others):
    rules = {"least": (1,) * classes, "patience": 4, "longest_gap": 4, **others}
    return ActivitySection(lag=lag, stay=stay, sharpness=sharpness, **rules)


def posterior(observed, stay, at, until):
    """Return the posterior of window `at`, given windows [0, until], summed over every path there is."""
    count, classes = until + 1, observed.shape[1]
    total = np.zeros(classes)
    for path in product(range(classes), repeat=count):
        p = np.prod([observed[i, which] for i, which in enumerate(path)])
        for before, after in pairwise(path):
            p *= stay if before == after else (1 - stay) / (classes - 1)
        total[path[at]] += p
    return total / total.sum()


def drawn(seed, count, classes, missing=0.0):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.3), size=count)
    probabilities[rng.random(count) < missing] = np.nan
    return probabilities


def one_by_one(settings, probabilities):
    smoother = Smoother(settings, probabilities.shape[1])
    found = [smoother.add(None if np.isnan(row).any() else row) for row in probabilities]
    return [each for each in found if each is not None] + smoother.finish()


@given(seed=st.integers(0, 999), lag=st.integers(0, 3), stay=st.floats(0.05, 0.99), sharpness=st.floats(0.1, 2))
def test_it_is_the_posterior_over_all_paths_up_to_the_lag(seed, lag, stay, sharpness):
    probabilities = drawn(seed, 5, 3, missing=0.2)
    observed = np.where(np.isnan(probabilities), 1.0, observe(np.nan_to_num(probabilities), sharpness))
    found = one_by_one(settings_of(3, lag, stay, sharpness), probabilities)
    for at, row in enumerate(found):
        np.testing.assert_allclose(row, posterior(observed, stay, at, min(at + lag, 4)), atol=1e-9)


@given(seed=st.integers(0, 999), count=st.integers(1, 40), lags=st.lists(st.integers(0, 6), min_size=1, max_size=3))
def test_all_at_once_is_as_one_by_one(seed, count, lags):
    probabilities = drawn(seed, count, 4, missing=0.1)
    whole = smooth(probabilities, lags, 0.9, 0.5)
    for lag, found in zip(lags, whole, strict=True):
        np.testing.assert_allclose(found, one_by_one(settings_of(4, lag), probabilities), atol=1e-12)


def test_it_begins_anew_once_it_has_finished():
    probabilities = drawn(0, 9, 3)
    smoother = Smoother(settings_of(3), 3)
    first, second = ([*map(smoother.add, probabilities), *smoother.finish()] for _ in range(2))
    assert str(first) == str(second)


def test_a_network_that_is_sure_cannot_rule_anything_out():
    certain = np.eye(2)[[0] * 3 + [1] + [0] * 3]
    found = np.array(one_by_one(settings_of(2, lag=3, stay=0.999, sharpness=0.3), certain))
    assert (found.argmax(axis=1) == 0).all()
