"""Which bundle may take the place of another while streams go on."""

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.errors import ChannelMismatch


def check_replacement(before: Bundle, after: Bundle) -> None:
    """Raise ChannelMismatch, which says what differs, where windows cut for one bundle would not do for the other.

    Channels, in their order and with their units, the rate and the window must be the same; all else may differ.
    """
    what = []
    if before.channels != after.channels:
        theirs, ours = ([f"{each.name} in {each.unit or 'no unit'}" for each in of.channels] for of in (after, before))
        differing = [name for name in theirs if name not in ours] or [name for name in ours if name not in theirs]
        listed = ", ".join(differing[:4]) or "their order"
        what.append(f"channels ({listed})")
    if before.description.rate_hz != after.description.rate_hz:
        what.append(f"rate ({after.description.rate_hz:g} Hz, not {before.description.rate_hz:g})")
    if before.grid != after.grid:
        what.append(f"window ({_window(after)}, not {_window(before)})")
    if what:
        raise ChannelMismatch(
            f"bundle {after.id} cannot take the place of {before.id} while streams go on, since its "
            f"{' and '.join(what)} differ: start another streamer with it"
        )


def _window(bundle: Bundle) -> str:
    grid = bundle.grid
    return f"{grid.length} samples every {grid.stride}, {grid.max_missing:g} of it may be missing"
