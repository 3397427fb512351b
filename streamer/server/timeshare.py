"""How much of the time something may take, beside the labels that wait meanwhile."""

_DEBT = 4


class TimeShare:
    """A share of the time, which something takes in pieces.

    What a piece takes is told afterwards, by the clock on the wall: a process that had to wait for a processor in the
    middle of one has taken hardly any of it. So what was taken too much counts up to four times what may be taken at a
    stretch, and is made good after a while that does not depend on how busy the machine is.

    Parameters
    ----------
    divisor : int
        One part in so many may be taken.
    stretch_ns : int
        How much may be taken at once after a rest, ns.
    now : int
        On the monotonic clock, ns.
    """

    def __init__(self, divisor: int, stretch_ns: int, now: int) -> None:
        self._divisor, self._stretch_ns = divisor, stretch_ns
        self._left_ns, self._accrues_from = stretch_ns, now

    def is_left(self, now: int) -> bool:
        """Tell whether anything may be taken by `now`, on the monotonic clock, ns."""
        accrued = (now - self._accrues_from) // self._divisor
        self._left_ns = min(self._left_ns + accrued, self._stretch_ns)
        self._accrues_from = now
        return self._left_ns > 0

    def take(self, taken_ns: int) -> None:
        """Note how long a piece took, ns."""
        self._left_ns = max(self._left_ns - taken_ns, -_DEBT * self._stretch_ns)
