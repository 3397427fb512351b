"""The streams as a page lists them: what is searched, filtered, sorted, and told again only where it has changed."""

import json

import pytest

from kinestream.streamer.dashboard.asking import BadAsking, read_object
from kinestream.streamer.dashboard.board import MOST_STREAMS, Board
from kinestream.streamer.dashboard.listing import Listing, Query
from kinestream.streamer.wire.messages import Event
from tests.given.labels import label_of

SECOND = 1_000_000_000
UNIX = 1_700_000_000 * SECOND


def board_of(streams: int = 30) -> Board:
    board = Board(0)
    for number in range(streams):
        tell(board, f"s{number}", 0, name="walk" if number % 3 else "sit", p=number / streams)
    board.add(Event("refused", "zoe", -1, {"reason": "no such channel"}), 0, UNIX)
    return board


def tell(board: Board, stream: str, now: int, **others: object) -> None:
    times = {"t_source": UNIX + now, "t_received": UNIX + now, "t_published": UNIX + now}
    board.add(label_of(stream=stream, window=now // SECOND, **{**times, **others}), now, UNIX + now)


def names(listing: Listing, board: Board, now: int = 0) -> list[str]:
    order = listing.message(board, now)["order"]
    by_number = {row.number: name for name, row in board.rows.items()}
    return [by_number[number] for number in order]


def test_problems_float_to_the_top_and_names_sort_as_people_sort_them():
    listing = Listing(Query(size=5))
    assert names(listing, board_of()) == ["zoe", "s0", "s1", "s2", "s3"]
    assert names(Listing(Query(sort="name", size=12)), board_of())[9:] == ["s9", "s10", "s11"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(search="s2", size=3), ["s2", "s20", "s21"]),
        (Query(sort="p", down=True, size=3, show="live"), ["s29", "s28", "s27"]),
        (Query(show="problems"), ["zoe"]),
        (Query(activity=2, size=3), ["s0", "s3", "s6"]),
        (Query(first=28, size=5), ["s27", "s28", "s29"]),
    ],
)
def test_what_is_asked_for_is_listed(query, expected):
    assert names(Listing(query), board_of()) == expected


def test_only_rows_that_are_seen_and_have_changed_are_told():
    board, listing = board_of(), Listing(Query(size=10, sort="name"))
    first = listing.message(board, 0)
    assert (first["total"], first["matching"], len(first["rows"]), len(first["strips"])) == (31, 31, 10, 10)
    assert listing.message(board, SECOND // 10)["rows"] == []
    tell(board, "s3", SECOND, name="run")
    tell(board, "s25", SECOND, name="run")  # out of sight
    second = listing.message(board, SECOND)
    changed = [seen.stream for seen in second["rows"] if seen.activity == board.classes.number("run")]
    assert changed == ["s3"]
    assert list(second["strips"]) == [board.rows["s3"].number]
    json.dumps(second)


def test_rows_that_come_into_sight_are_told_whole():
    board, listing = board_of(), Listing(Query(size=10, sort="name"))
    listing.message(board, 0)
    listing.ask(Query(first=5, size=10, sort="name"))
    assert [seen.stream for seen in listing.message(board, 0)["rows"]] == [f"s{number}" for number in range(10, 15)]


def test_rows_stay_where_they_are_while_somebody_points_at_them():
    board, listing = board_of(3), Listing(Query(sort="p", hold=True))
    before = names(listing, board)
    for now in (SECOND, 2 * SECOND, 3 * SECOND):
        tell(board, "s0", now, p=0.99)
    assert names(listing, board, 5 * SECOND) == before
    listing.ask(Query(sort="p"))
    assert names(listing, board, 5 * SECOND)[-1] == "s0"


def test_a_thousand_streams_cost_little_to_list():
    board, listing = board_of(1000), Listing(Query(size=40))
    assert len(json.dumps(listing.message(board, 0))) < 40_000
    assert len(json.dumps(listing.message(board, SECOND // 4))) < 2_000


def test_whatever_publishes_cannot_make_us_keep_more():
    board = Board(0)
    for number in range(MOST_STREAMS + 10):
        board.add(Event("gap", f"s{number}", 1, {"first_seq": 0, "last_seq": 1}), 0, UNIX)
    assert len(board.rows) == MOST_STREAMS


@pytest.mark.parametrize(
    "content",
    [
        {"sort": "size"},
        {"show": "none"},
        {"first": -1},
        {"first": "0"},
        {"first": True},
        {"count": 10_000},
        {"search": "x" * 65},
        {"search": None},
        {"down": 1},
    ],
)
def test_what_cannot_be_asked_for_is_refused(content):
    with pytest.raises(BadAsking):
        Query.read({"see": "streams", "show": "all", "sort": "name", **content})


@pytest.mark.parametrize("message", ["", "[]", "{", '"x"', "[" * 100_000, '{"a":' * 5000, "x" * 20_000])
def test_what_is_no_object_is_refused(message):
    with pytest.raises(BadAsking):
        read_object(message)
