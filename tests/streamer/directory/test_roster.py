"""Which table follows from who has registered: no socket and no clock."""

from kinestream.streamer.directory.messages import Register
from kinestream.streamer.directory.roster import Roster
from kinestream.streamer.directory.table import Addresses, Plan, Slot, Table, slot_names

PATIENCE_S = 4.0


def at(port: int) -> Addresses:
    return Addresses(*(f"tcp://10.0.0.1:{port + offset}" for offset in range(4)))


def roster(unix_ms: int = 1000, **options: object) -> Roster:
    return Roster("wards", 0.0, unix_ms=lambda: unix_ms, patience_s=PATIENCE_S, **options)


def states(told: Roster) -> dict[str, str]:
    assert told.table is not None
    return {slot.name: slot.state for slot in told.table.slots}


def test_nothing_is_told_until_all_of_the_plan_have_registered():
    told = roster()
    told.set_plan(slot_names(2), frozenset(), 0.0)
    told.register(Register("streamer-0", 1, at(1)), 0.1)
    assert not told.update(0.2)
    assert told.waits_for() == ["streamer-1"]
    told.register(Register("streamer-1", 1, at(11)), 0.3)
    assert told.update(0.3)
    assert told.table.serving == {"streamer-0": at(1), "streamer-1": at(11)}


def test_who_does_not_register_in_time_is_passed_over_until_it_does():
    told = roster()
    told.set_plan(slot_names(2), frozenset(), 0.0)
    for now in (1.0, PATIENCE_S + 0.1):
        told.register(Register("streamer-0", 1, at(1)), now)
    assert told.update(PATIENCE_S + 0.1)
    assert states(told) == {"streamer-0": "serving", "streamer-1": "away"}
    told.register(Register("streamer-1", 1, at(11)), PATIENCE_S + 0.2)
    assert told.update(PATIENCE_S + 0.2)
    assert states(told) == {"streamer-0": "serving", "streamer-1": "serving"}


def test_who_is_heard_of_no_more_keeps_its_streams_as_long_as_patience_lasts():
    told = roster()
    told.set_plan(slot_names(2), frozenset(), 0.0)
    told.register(Register("streamer-1", 1, at(11)), 0.0)
    for now in (0.0, 3.9, 4.1):
        told.register(Register("streamer-0", 1, at(1)), now)
        told.update(now)
        assert states(told)["streamer-1"] == ("serving" if now < 4.0 else "away")


def test_of_two_in_a_slot_the_one_that_was_started_last_serves_and_the_other_drains():
    told = roster()
    told.set_plan(slot_names(1), frozenset(), 0.0)
    told.register(Register("streamer-0", 5, at(1)), 0.0)
    told.update(0.0)
    told.register(Register("streamer-0", 6, at(11)), 0.1)
    told.register(Register("streamer-0", 5, at(1)), 0.2)  # it does not know
    told.update(0.2)
    assert told.table.slots == (Slot("streamer-0", "serving", at(11)), Slot("streamer-0", "draining", at(1)))


def test_what_the_plan_names_no_more_or_has_drain_gives_up_its_streams_and_may_still_be_asked():
    told = roster()
    told.set_plan(slot_names(3), frozenset(), 0.0)
    for index in range(3):
        told.register(Register(f"streamer-{index}", 1, at(10 * index + 1)), 0.0)
    told.update(0.0)
    told.set_plan(slot_names(2), frozenset({"streamer-1"}), 0.1)
    assert told.update(0.1)
    assert states(told) == {"streamer-0": "serving", "streamer-1": "draining", "streamer-2": "draining"}
    assert told.table.streamers == [at(1), at(11), at(21)]
    assert set(told.table.serving) == {"streamer-0"}


def test_epochs_rise_whatever_the_clock_says_and_whoever_begins_anew():
    told = roster(unix_ms=1000, epoch=5000)  # kept in a file; the clock was set back
    told.set_plan(slot_names(1), frozenset(), 0.0)
    told.register(Register("streamer-0", 1, at(1), epoch=7000), 0.0)
    assert told.update(0.0)
    assert told.table.epoch == 7001
    told.register(Register("streamer-0", 2, at(11)), 0.1)
    assert told.update(0.1)
    assert told.table.epoch == 7002
    assert not told.update(0.2), "the same table again is no other table"


def test_one_that_begins_anew_learns_plan_and_epoch_from_those_who_register():
    told = roster()
    newer, older = Plan(slot_names(2), frozenset(), 30), Plan(slot_names(1), frozenset(), 20)
    told.register(Register("streamer-0", 1, at(1), epoch=9000, plan=newer), 0.0)
    assert not told.update(0.0), "the other slot of the plan has not registered yet"
    told.register(Register("streamer-1", 1, at(11), epoch=8000, plan=older), 0.1)
    assert told.update(0.1)
    assert (told.plan, told.table.epoch) == (newer, 9001)
    assert set(told.table.serving) == set(slot_names(2))


def test_of_several_with_one_name_those_that_only_drain_are_numbered():
    slots = (Slot("streamer-0", "serving", at(1)), Slot("streamer-1"), Slot("streamer-0", "draining", at(11)))
    named = Table("wards", 1, slots).named
    assert list(named.items()) == list(zip(("streamer-0", "streamer-1", "streamer-0 (2)"), slots, strict=True))
