"""Scores for people say when they are worth nothing."""

import io

import numpy as np
import pytest

from kinestream.model.report import words
from kinestream.model.scores.metrics import score
from kinestream.screens.console import SafeConsole
from kinestream.screens.evaluation import print_scores


@pytest.mark.parametrize(("predicted", "worthless"), [([0, 0, 0, 0], True), ([0, 0, 0, 1], False)])
def test_a_result_that_is_no_better_than_one_answer_for_all_says_so(predicted, worthless):
    scores = score(np.array([0, 0, 0, 1]), np.array(predicted), ("walk", "sit"))
    console = SafeConsole(file=io.StringIO(), width=80)
    print_scores(scores, console, title="test people")
    assert ("no better than always walk" in console.file.getvalue()) is worthless
    assert ("no better than always walk" in words.headline(scores)) is worthless
