"""A sender's spool: what was not acknowledged is there for whoever comes next, whatever became of the one before."""

import itertools
import os
import random
from pathlib import Path

import pytest

from kinestream.model.errors import ConfigError
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.client.spool import Spool
from kinestream.streamer.client.spoollog import SpoolError
from kinestream.streamer.wire.codec import decode, encode_description
from kinestream.streamer.wire.messages import Description
from tests.given.disks import disk_of, fill

ABOUT = Description("anna", 11, 5, 50.0, (Channel("ax", "m/s2"),))
DESCRIBED = encode_description(ABOUT)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "anna.spool"


def filled(path, messages: int = 3) -> Spool:
    spool = Spool(path)
    spool.open(ABOUT.key, ABOUT, DESCRIBED, 0)
    for number in range(messages):
        spool.add(ABOUT.key, number, b"message %d" % number, number + 1)
    return spool


def opened(spool: Spool, key: int) -> int:
    about = ABOUT._replace(key=key)
    spool.open(key, about, encode_description(about), 0)
    return key


def left_over(path) -> list[bytes]:
    spool = Spool(path)
    spool.close()
    return [kept.message for left in spool.left_over for kept in left.outbox.kept]


def fill_up(spool: Spool, begin: int) -> None:
    for number in itertools.count(begin):
        spool.add(ABOUT.key, number, bytes(10_000), number + 1)


def files(path) -> list[Path]:
    return sorted(path.glob("*.log"))


def size(path) -> int:
    return sum(each.stat().st_size for each in files(path))


def test_what_was_kept_is_there_again(path):
    filled(path).close()
    spool = Spool(path)
    (left,) = spool.left_over
    assert left.about == decode(DESCRIBED)
    assert left.description == DESCRIBED
    assert (left.outbox.oldest, left.outbox.next, left.outbox.sent) == (0, 3, 0)
    assert [kept.end for kept in left.outbox.kept] == [1, 2, 3]
    spool.close()
    assert left_over(path) == [b"message 0", b"message 1", b"message 2"]  # it stays until it is acknowledged


def test_what_was_acknowledged_is_not(path):
    spool = filled(path)
    spool.forget(ABOUT.key, 2)
    spool.close()
    assert left_over(path) == [b"message 2"]
    spool = Spool(path)
    spool.forget(ABOUT.key, 3)
    spool.remove(ABOUT.key)
    spool.close()
    assert left_over(path) == []
    assert files(path) == []


def test_a_process_that_dies_at_any_byte_loses_no_whole_record(path):
    filled(path).close()
    (file,) = files(path)
    whole = file.read_bytes()
    seen = set()
    for length in range(len(whole) + 1):
        file.write_bytes(whole[:length])
        kept = left_over(path)
        assert kept == [b"message 0", b"message 1", b"message 2"][: len(kept)]
        seen.add(len(kept))
    assert seen == {0, 1, 2, 3}


def test_what_was_written_by_halves_is_in_nobodys_way(path):
    filled(path).close()
    (file,) = files(path)
    file.write_bytes(file.read_bytes()[:-3])
    spool = Spool(path)
    spool.add(opened(spool, 12), 0, b"next", 1)
    spool.close()
    assert left_over(path) == [b"message 0", b"message 1", b"next"]


def test_it_does_not_grow_with_what_was_acknowledged(path):
    spool = filled(path, 0)
    for number in range(2000):
        spool.add(ABOUT.key, number, bytes(10_000), number + 1)
        spool.forget(ABOUT.key, number)
        assert size(path) < 3 << 20
    spool.close()
    assert left_over(path) == [bytes(10_000)]


def test_nor_where_a_few_messages_stay_for_ever(path):
    """As of a stream that the streamer refuses: files are held up by what is left of it."""
    spool = filled(path, 0)
    refused, kept = opened(spool, 12), []
    for number in range(4000):
        spool.add(ABOUT.key, number, bytes(10_000), number + 1)
        spool.forget(ABOUT.key, number)
        if not number % 50:
            kept.append(b"refused %d" % len(kept))
            spool.add(refused, len(kept) - 1, kept[-1], 1)
        assert size(path) < 7 << 20
    spool.close()
    assert sorted(left_over(path)) == sorted([bytes(10_000), *kept])


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_added_and_acknowledged_when_it_dies_what_is_kept_is_there(path, seed, monkeypatch):
    """Files of a few messages each, so that there are many; a copy of the folder is what a killed process leaves."""
    monkeypatch.setattr("kinestream.streamer.client.spool._FILE_BYTES", 700)
    monkeypatch.setattr("kinestream.streamer.client.spool._SPARE_BYTES", 2000)
    monkeypatch.setattr("kinestream.streamer.client.spool._SPARE_FILES", 4)
    rng = random.Random(seed)
    spool = Spool(path)
    keys = {opened(spool, number): [0, 0] for number in range(1, 6)}
    for step in range(600):
        key = rng.choice(list(keys))
        oldest, following = keys[key]
        if rng.random() < 0.6:
            spool.add(key, following, b"%d: %d" % (key, following) + bytes(rng.randrange(40)), following + 1)
            keys[key][1] += 1
        elif key != 1 or rng.random() < 0.05:
            keys[key][0] = rng.randint(oldest, following)
            spool.forget(key, keys[key][0])
            if rng.random() < 0.05:
                spool.remove(key)
                del keys[key]
                keys[opened(spool, 100 + step)] = [0, 0]
        if not step % 20:
            copy = path.with_name(f"copy-{step}")
            copy.mkdir()
            for file in files(path):
                (copy / file.name).write_bytes(file.read_bytes())
            found = {left.about.key: left.outbox for left in Spool(copy).left_over}
            assert {key: (each.oldest, each.next) for key, each in found.items()} == {
                key: (oldest, following) for key, (oldest, following) in keys.items() if oldest < following
            }
            for key, outbox in found.items():
                for number, kept in enumerate(outbox.kept, outbox.oldest):
                    assert kept.message.rstrip(b"\0") == b"%d: %d" % (key, number)
    spool.close()


@pytest.mark.parametrize("others", [False, True])
def test_a_disk_that_it_has_filled_itself_has_room_again_once_messages_are_acknowledged(tmp_path, others):
    with disk_of(tmp_path, "4m") as disk:
        spool = filled(disk / "anna.spool", 0)
        older = opened(spool, 12)
        if others:  # which hold the oldest file up
            spool.add(older, 0, b"old", 1)
        end = 0
        for turn in range(5):
            begin = end
            with pytest.raises(SpoolError, match="no space left on device: what is sent cannot be kept"):
                fill_up(spool, begin)
            end = spool._used[ABOUT.key].outbox.next
            assert end - begin > 100, turn
            with pytest.raises(SpoolError):
                spool.add(ABOUT.key, end, bytes(10_000), end + 1)
            spool.forget(ABOUT.key, end)
        spool.add(ABOUT.key, end, b"last", end + 1)
        spool.close()
        found = Spool(disk / "anna.spool").left_over
        kept = [(left.about.key, kept.message) for left in found for kept in left.outbox.kept]
        assert sorted(kept) == [(ABOUT.key, b"last"), *([(older, b"old")] if others else [])]


def test_it_is_opened_where_the_disk_is_full(tmp_path):
    with disk_of(tmp_path, "4m") as disk:
        filled(disk / "anna.spool").close()
        fill(disk)
        spool = Spool(disk / "anna.spool")
        (left,) = spool.left_over
        spool.forget(ABOUT.key, left.outbox.next)
        spool.close()
        assert files(disk / "anna.spool") == []


def test_only_its_owner_may_read_it(path):
    filled(path).close()
    assert path.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in path.iterdir()} == {0o600}


def test_two_processes_do_not_share_one(path):
    spool = filled(path)
    with pytest.raises(ConfigError, match="another process has it open"):
        Spool(path)
    spool.close()


def test_what_is_no_spool_is_left_alone(path):
    path.write_text("my diary")
    with pytest.raises(ConfigError, match="no folder"):
        Spool(path)
    assert path.read_text() == "my diary"
    with pytest.raises(ConfigError, match="no such file or directory"):
        Spool(path.parent / "nowhere" / "spool")
    os.mkfifo(path.parent / "pipe")
    with pytest.raises(ConfigError, match="no folder"):
        Spool(path.parent / "pipe")
    assert (path.parent / "pipe").is_fifo()
    with pytest.raises(ConfigError, match="other things are in this folder"):
        Spool(path.parent)
    folder = path.parent / "folder"
    folder.mkdir()
    (folder / "00000001.log").write_text("12:00 something happened")
    with pytest.raises(ConfigError, match="of no spool"):
        Spool(folder)
    assert (folder / "00000001.log").read_text() == "12:00 something happened"


def test_keys_stay_in_their_order_though_an_old_ones_messages_are_written_once_more(path, monkeypatch):
    """A few messages of the first hold up files of the second; so they are written behind what the second has there."""
    monkeypatch.setattr("kinestream.streamer.client.spool._FILE_BYTES", 1000)
    monkeypatch.setattr("kinestream.streamer.client.spool._SPARE_BYTES", 1000)
    monkeypatch.setattr("kinestream.streamer.client.spool._SPARE_FILES", 2)
    spool = filled(path, 0)
    first, second = opened(spool, 12), opened(spool, 13)
    for number in range(100):
        if not number % 10:
            spool.add(first, number // 10, b"first", 1)
        spool.add(second, number, bytes(100), number + 1)
        spool.forget(second, number - 5)
    assert files(path)[0].name != "00000001.log", "it was written once more"
    spool.close()
    spool = Spool(path)
    assert [left.about.key for left in spool.left_over] == [first, second]
    third = opened(spool, 14)
    spool.add(third, 0, b"third", 1)
    spool.close()
    spool = Spool(path)
    assert [left.about.key for left in spool.left_over] == [first, second, third]
    spool.close()
