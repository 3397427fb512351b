"""Both ways in which samples are taken in bulk."""

from collections.abc import Callable

import pytest

from kinestream.streamer.ingest.taker import CompiledTaker, PlainTaker, Taker, is_compiled
from kinestream.streamer.streams.arena import Lanes

Way = Callable[[Lanes], Taker]

WAYS: list[Way] = [PlainTaker, CompiledTaker] if is_compiled else [PlainTaker]
"""Those there are here."""

each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
"""Runs a test once for each."""
