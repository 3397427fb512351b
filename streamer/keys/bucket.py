"""A token bucket: so much a second in the long run, and so much at once."""


class Bucket:
    """Fills up at a rate, and is emptied by what comes.

    Parameters
    ----------
    per_s : float
        What may come a second, in the long run.
    at_once : float, optional
        What may come at once; as much as in a second without it.
    """

    __slots__ = ("_at_once", "_left", "_per_s", "_since")

    def __init__(self, per_s: float, at_once: float | None = None) -> None:
        self._per_s = per_s
        self._at_once = self._left = max(per_s, 1.0) if at_once is None else at_once
        self._since: int | None = None

    def fill(self, now: int) -> None:
        """Add what has become free by now, on the monotonic clock, ns."""
        if self._since is not None:
            self._left = min(self._left + (now - self._since) / 1e9 * self._per_s, self._at_once)
        self._since = now

    def holds(self, much: float) -> bool:
        """Tell whether there is room for so much."""
        return self._left >= much

    def take(self, much: float) -> None:
        """Take so much."""
        self._left -= much
