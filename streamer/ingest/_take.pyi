"""Written in C: see take.c."""

from typing import Any

MAX_BYTES: int
MAX_INT: int
HEAD_BYTES: int
KINDS: tuple[bytes, bytes]
TRACKED: tuple[bytes, int]
MARKS: tuple[str, ...]
SHARED: tuple[str, ...]
LIMITS: tuple[float, int, int, int]

def new(row_bytes: int, seed: int, /) -> Any: ...
def attach(taker: Any, rows: Any, high: Any, end: Any, at: Any, /) -> None: ...
def put(taker: Any, key: int, lane: int, /) -> None: ...
def put_log(
    taker: Any,
    key: int,
    storage: list[Any],
    marks: Any,
    shared: Any,
    order: Any,
    factors: Any,
    width: int,
    most_samples: int,
    most_held: int,
    stride_ns: int,
    rate_hz: float,
    /,
) -> None: ...
def track(taker: Any, key: int, expected: Any, /) -> None: ...
def readings(taker: Any, /) -> int: ...
def drop(taker: Any, key: int, /) -> None: ...
def take(taker: Any, frames: list[bytes], begin: int, due: list[tuple[int, int]], look: list[int], /) -> int: ...
