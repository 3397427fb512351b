"""How long a streamer that was asked to stop goes on: as long as samples come, up to a given time."""

from kinestream.model.clock import monotonic_ns

REASON = "this streamer is stopping: the stream is accepted by the next one that starts at its addresses"
"""What whoever describes a stream that is not known yet is told meanwhile."""

_QUIET_SHARE, _QUIET_MOST_NS = 40, 1_000_000_000
"""Nothing comes any more once it has not for this share of the time there is, a second at most: who sends may pause."""
_AGAIN_NS = 500_000_000
"""So much later somebody asks once more: Ctrl-C comes twice at once, from the terminal and from whoever watches."""


class Drain:
    """The time between a stop that was asked for and the end.

    Parameters
    ----------
    longest_s : float
        How long it is at most.

    Attributes
    ----------
    asked : bool
        Whether a stop was asked for.
    """

    def __init__(self, longest_s: float) -> None:
        self.asked = False
        self._longest_ns = round(longest_s * 1e9)
        self._quiet_ns = min(self._longest_ns // _QUIET_SHARE, _QUIET_MOST_NS)
        self._since = self._until = self._came = 0

    def ask(self) -> None:
        """Ask for a stop, or, the second time, for an end at once; from a signal handler or another thread."""
        now = monotonic_ns()
        if not self.asked:
            self._since, self._until, self._came = now, now + self._longest_ns, now
            self.asked = True
        elif now - self._since > _AGAIN_NS:
            self._until = now

    def goes_on(self, comes: bool) -> bool:
        """Tell whether there is time, and reason to wait for more: something has just come, or did not long ago."""
        now = monotonic_ns()
        if comes:
            self._came = now
        return now < self._until and (comes or now - self._came < self._quiet_ns)
