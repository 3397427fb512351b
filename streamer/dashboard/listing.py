"""The streams as one page lists them: searched, filtered and sorted here, and only the rows that it shows in detail."""

from typing import Any, NamedTuple

from kinestream.streamer.dashboard.asking import BadAsking, flag, text, whole
from kinestream.streamer.dashboard.board import Board
from kinestream.streamer.dashboard.row import ENDED, FINE, LIVE, REFUSED, SILENT, WAITING, Row, Seen
from kinestream.streamer.dashboard.strip import SECOND
from kinestream.streamer.watch.tally import natural

_SORT_NS = 2 * SECOND
"""How often rows may change places: to read a name that moves is hard."""
_MOST_ROWS = 200
_SORTS = ("problems", "name", "activity", "p", "rate", "missing", "latency")
_SHOWS = ("all", "problems", LIVE, ENDED)
_ORDER = {REFUSED: 0, SILENT: 0, WAITING: 1, LIVE: 1, ENDED: 2}


class Query(NamedTuple):
    """What a page wants to see.

    Attributes
    ----------
    search : str
        Part of a stream's name, or the name of the streamer that has it.
    show : str
        All, those with problems, those that are live, or those that have ended.
    activity : int
        Only those that do this; 0 for all.
    sort, down : str, bool
        By what, and whether the greatest comes first.
    first, size : int
        Which rows are shown.
    hold : bool
        Whether rows stay where they are: somebody points at one.
    """

    search: str = ""
    show: str = "all"
    activity: int = 0
    sort: str = "problems"
    down: bool = False
    first: int = 0
    size: int = 50
    hold: bool = False

    @classmethod
    def read(cls, content: dict[str, Any]) -> "Query":
        """Read what a page asks for.

        Raises
        ------
        BadAsking
            If it makes no sense.
        """
        show, sort = text(content, "show", 16), text(content, "sort", 16)
        if show not in _SHOWS or sort not in _SORTS:
            raise BadAsking("show or sort")
        return cls(
            text(content, "search", 64).casefold(),
            show,
            whole(content, "activity", 255),
            sort,
            flag(content, "down"),
            whole(content, "first", 1_000_000),
            whole(content, "count", _MOST_ROWS),
            flag(content, "hold"),
        )


class Listing:
    """What one page shows of the streams, and what it has been told.

    Parameters
    ----------
    query : Query
        What it wants to see.
    """

    every_ns = SECOND // 4

    def __init__(self, query: Query) -> None:
        self._query = query
        self._order: list[Row] = []
        self._sorted_at: int | None = None
        self._told: dict[int, Seen] = {}
        self._painted: dict[int, int] = {}
        self._window: list[int] = []

    def ask(self, query: Query) -> None:
        """Take another query; what is shown anew is told whole."""
        if query._replace(first=0, size=0, hold=False) != self._query._replace(first=0, size=0, hold=False):
            self._sorted_at = None
        self._query = query

    def message(self, board: Board, now: int) -> dict[str, Any]:
        """Return what has changed of what the page shows."""
        query, survey = self._query, board.survey(now)
        if self._sorted_at is None or (now - self._sorted_at >= _SORT_NS and not query.hold):
            self._sort(board, survey.seen)
            self._sorted_at = now
        window = self._order[query.first : query.first + query.size]
        numbers = [row.number for row in window]
        rows, strips = [], {}
        for row in window:
            seen = board.look(row, now)
            if self._told.get(row.number) != seen:
                self._told[row.number] = seen
                rows.append(seen)
            before = self._painted.get(row.number, 0)
            # The newest cell may still change its colour: it is told again with the one that follows.
            if row.strip.end > before or not before:
                first, cells = row.strip.since(max(before - 1, 0))
                strips[row.number] = [first, list(cells)]
                self._painted[row.number] = row.strip.end
        for gone in set(self._window).difference(numbers):
            self._told.pop(gone, None)
            self._painted.pop(gone, None)
        self._window = numbers
        return {
            "t": "streams",
            "now": board.streamer_ns(now) // 1_000_000,
            "total": len(board.rows),
            "matching": len(self._order),
            "states": survey.states,
            "activities": sorted(survey.activities.items()),
            "first": query.first,
            "order": numbers,
            "rows": rows,
            "strips": strips,
        }

    def _sort(self, board: Board, seen: list[Seen]) -> None:
        wanted = [each for each in seen if self._matches(each)]
        wanted.sort(key=lambda each: natural(each.stream))
        match self._query.sort:
            case "problems":
                wanted.sort(key=lambda each: (_ORDER[each.state] == 2, -each.severity))
            case "activity":
                wanted.sort(key=lambda each: each.activity)
            case "p" | "rate" | "missing":
                place = Seen._fields.index(self._query.sort)
                wanted.sort(key=lambda each: each[place])
            case "latency":
                wanted.sort(key=lambda each: each.latency_ms)
        if self._query.down:
            wanted.reverse()
        self._order = [board.rows[each.stream] for each in wanted if each.stream in board.rows]

    def _matches(self, seen: Seen) -> bool:
        query = self._query
        is_shown = query.show in ("all", seen.state) or (query.show == "problems" and seen.severity > FINE)
        does = not query.activity or (seen.activity == query.activity and seen.state == LIVE)
        is_found = query.search in seen.stream.casefold() or query.search == seen.streamer.casefold()
        return is_shown and does and is_found
