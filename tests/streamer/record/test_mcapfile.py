"""What is written is MCAP, by the judgement of the package `mcap`; and what is cut off is read up to there."""

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcap.reader import make_reader

from kinestream.model.clock import monotonic_ns
from kinestream.model.datasets.recorded.mcap import McapScan
from kinestream.model.datasets.recorded.schemas import PROFILE, SCHEMAS
from kinestream.model.errors import FileError, SourceError
from kinestream.streamer.record.mcapfile import McapFile, Schema
from kinestream.streamer.record.writer import RecordingWriter

SCHEMA = Schema("kinestream.Test", '{"type": "object"}')


def written(path: Path, chunks: list[list[tuple[str, bytes]]], finished: bool = True) -> bytes:
    file = McapFile(path, PROFILE, "test")
    file.add_metadata("kinestream", {"layout": "1", "name": "Ü"})
    logged = 0
    for chunk in chunks:
        for topic, data in chunk:
            logged += 1
            file.add(file.channel(topic, SCHEMA, {"stream": topic}), data, logged, logged + 1)
        file.end_chunk()
    if finished:
        file.finish()
    else:
        file.sync()
        file.abandon()
    return path.read_bytes()


def scanned(data: bytes) -> tuple[list[tuple[str, bytes]], McapScan]:
    scan, view = McapScan(), memoryview(data)
    return [(each.topic, data[each.offset : each.offset + each.length]) for each in scan.messages(view, "it")], scan


topics = st.sampled_from(["signal/anna/phone", "label/anna", "event/Zoë"])
messages = st.lists(st.lists(st.tuples(topics, st.binary(max_size=40)), min_size=1, max_size=6), max_size=5)


@given(messages)
def test_the_package_mcap_reads_what_was_written_and_finds_its_checksums_right(tmp_path_factory, chunks):
    path = tmp_path_factory.mktemp("it") / "it.mcap"
    written(path, chunks)
    expected = [each for chunk in chunks for each in chunk]
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        found = list(reader.iter_messages())
        assert [(channel.topic, message.data) for _, channel, message in found] == expected
        assert [message.log_time for _, _, message in found] == list(range(1, len(expected) + 1))
        assert summary.statistics.message_count == len(expected)
        assert summary.statistics.chunk_count == len(chunks)
        assert {each.topic for each in summary.channels.values()} == {topic for topic, _ in expected}
        assert [each.metadata for each in reader.iter_metadata()] == [{"layout": "1", "name": "Ü"}]
        for topic in {topic for topic, _ in expected}:  # by the index
            ours = [message.data for _, _, message in reader.iter_messages(topics=[topic])]
            assert ours == [data for each, data in expected if each == topic]


@given(messages)
def test_ours_reads_the_same(tmp_path_factory, chunks):
    found, scan = scanned(written(tmp_path_factory.mktemp("it") / "it.mcap", chunks))
    assert found == [each for chunk in chunks for each in chunk]
    assert scan.cut is None
    assert scan.metadata["kinestream"]["name"] == "Ü"


CHUNKS = [[("a", b"one"), ("b", b"two")], [("a", b"three")], [("c", b"four"), ("a", b"five")]]


def test_a_file_that_was_cut_anywhere_is_read_up_to_the_last_whole_chunk(tmp_path):
    whole = written(tmp_path / "it.mcap", CHUNKS, finished=False)
    ends = {len(scanned(whole[:length])[0]) for length in range(len(whole) + 1)}
    assert ends == {0, 2, 3, 5}
    for length in range(len(whole) + 1):
        found, scan = scanned(whole[:length])
        assert found == [each for chunk in CHUNKS for each in chunk][: len(found)]
        assert scan.cut is not None
        assert scan.cut <= length


def test_a_byte_that_is_wrong_ends_what_is_read_there(tmp_path):
    whole = bytearray(written(tmp_path / "it.mcap", CHUNKS))
    at = whole.index(b"three")
    whole[at] ^= 1
    found, scan = scanned(bytes(whole))
    assert found == CHUNKS[0]
    assert scan.cut is not None
    assert scan.cut < at


@given(st.binary(max_size=200), st.integers(0, 400))
def test_nonsense_is_refused_or_ends_what_is_read(tmp_path_factory, noise, at):
    whole = bytearray(written(tmp_path_factory.mktemp("it") / "it.mcap", CHUNKS))
    whole[at : at + len(noise)] = noise
    try:
        scanned(bytes(whole))
    except SourceError:
        pass


def test_other_files_are_told(tmp_path):
    with pytest.raises(SourceError, match="no MCAP file"):
        scanned(b"PK\3\4 and so on")
    other = written(tmp_path / "it.mcap", []).replace(PROFILE.encode(), b"ros2------")
    with pytest.raises(SourceError, match="another program"):
        scanned(other)


def fill(writer: RecordingWriter) -> None:
    for i in range(100):
        writer.add("a", next(iter(SCHEMAS)), bytes([i]) * 1000, i, i)
        writer.tend(monotonic_ns())


def test_where_the_disk_is_full_the_file_ends_behind_a_whole_chunk_and_is_finished(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = RecordingWriter(tmp_path, most_bytes=1 << 40, most_s=1e9, sync_s=0.0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(FileError, match="cannot be written any further"):
            fill(writer)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (path,) = tmp_path.iterdir()
    found, scan = scanned(path.read_bytes())
    assert 10 < len(found) < 20
    assert [data[0] for _, data in found] == list(range(len(found)))
    assert scan.cut is None or path.stat().st_size == scan.cut
