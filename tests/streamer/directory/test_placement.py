"""Which slot a stream belongs to: evenly, always the same, and moved only where it must be."""

import numpy as np
import pytest

from kinestream.streamer.directory import placement
from kinestream.streamer.directory.table import moved, slot_names

STREAMS = [f"wearer-{index}" for index in range(20_000)]


def test_a_stream_belongs_where_it_did_in_every_process_and_version():
    """Senders and subscribers of several versions share a fleet: these may never change."""
    assert placement.name_hash("anna") == 0x8C4A844BCC7444D0
    belongs = {"anna": "streamer-2", "ben": "streamer-3", "carla": "streamer-4", "wearer-7": "streamer-1"}
    assert {name: placement.owner(name, slot_names(5)) for name in belongs} == belongs


@pytest.mark.parametrize("count", [2, 3, 8])
def test_slots_get_the_same_number_of_streams_but_for_chance(count):
    of_each = np.bincount(placement.owners(placement.hashes(STREAMS), slot_names(count)), minlength=count)
    deviation = np.sqrt(len(STREAMS) / count * (1 - 1 / count))
    assert np.abs(of_each - len(STREAMS) / count).max() < 5 * deviation


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_slot_more_takes_its_share_and_moves_nothing_else(count):
    before, after = slot_names(count), slot_names(count + 1)
    gone = moved(STREAMS, before, after)
    share = len(STREAMS) / (count + 1)
    assert abs(len(gone) - share) < 5 * np.sqrt(share)
    assert {placement.owner(stream, after) for stream in gone} == {after[-1]}


def test_a_slot_that_is_passed_over_gives_its_streams_to_the_next_of_each():
    slots = slot_names(5)
    for stream in STREAMS[:500]:
        first, second, *_ = placement.ranking(stream, slots)
        left = [slot for slot in slots if slot != "streamer-2"]
        assert placement.owner(stream, left) == (second if first == "streamer-2" else first)


def test_many_streams_at_once_belong_where_each_does_alone_whatever_the_order_of_slots():
    slots = slot_names(9)
    for order in (slots, slots[::-1], slots[4:] + slots[:4]):
        owners = placement.owners(placement.hashes(STREAMS[:2000]), order)
        assert [order[index] for index in owners] == [placement.owner(stream, slots) for stream in STREAMS[:2000]]


def test_without_slots_a_stream_belongs_nowhere():
    assert placement.owner("anna", ()) is None
    with pytest.raises(ValueError, match="no slots"):
        placement.owners(placement.hashes(["anna"]), ())
