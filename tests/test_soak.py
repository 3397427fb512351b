"""The soak, for as long as a test may take: `tests/soak/` has its long form."""

from tests.soak.beside import beside
from tests.soak.reloads import reloads
from tests.soak.run import BUNDLE, soak


def test_no_honest_label_is_lost_among_structured_nonsense():
    report = soak(12.0, streams=100, senders=2, per_s=200.0, seed=1)
    assert report["heard"]["labels"] == report["labels_expected"]
    assert report["heard"]["out_of_turn"] == 0
    report["heard"]["events"].pop("unusual", None)  # the readings are noise
    assert report["heard"]["events"] == {"end": 100}
    assert report["unaccounted"] == {"samples": 0, "messages": 0}
    assert report["totals"]["messages_malformed_msgpack"] > 0
    assert report["totals"]["messages_refused"] > 0
    assert report["totals"]["requests_malformed_msgpack"] > 0


def test_no_honest_label_is_lost_beside_a_sender_who_sends_all_it_can():
    report = beside("in-thousands", BUNDLE, streams=50, connections=50, seconds=5.0)
    assert report["heard"]["labels"] == report["labels_expected"]
    assert report["heard"]["out_of_turn"] == 0
    assert report["greedy_messages"] > 0


def test_no_window_is_missing_where_bundles_are_reloaded_under_load(tmp_path):
    report = reloads(tmp_path, streams=50, count=4, seconds=6.0)
    assert report["heard"]["labels"] == report["labels_expected"]
    assert report["heard"]["out_of_turn"] == 0
    assert len(report["heard"]["models"]) == 2
    assert report["heard"]["events"]["model"] == 4 * 50
    assert ["is damaged" in line for line in report["refused"]] == [True]
