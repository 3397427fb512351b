"""Who has asked for all that is told of a kind, and takes none of it.

A publishing socket leaves out whoever has no room for more, without a word, and to make messages for nobody costs as
much as to make them for somebody. But TCP tells how much the other side has acknowledged: where that stands still, and
somebody has had no room since it does, nobody takes anything. Until there is no room nobody is given up: a network may
be away for a while.
"""

from collections.abc import Mapping

from kinestream.streamer.transport.tcp import transferred, waits

_LOOKS = 3


class Stalled:
    """Those who take nothing.

    Attributes
    ----------
    files : frozenset of int
        Their connections.
    """

    def __init__(self) -> None:
        self.files: frozenset[int] = frozenset()
        self._still: dict[int, tuple[int, int, int]] = {}  # bytes acknowledged; since how many looks, and overflows

    def look(self, listening: Mapping[int, int], overflows: int) -> bool:
        """See who takes something; return whether those who take nothing are others than before.

        Parameters
        ----------
        listening : mapping of int
            By their files, the connections over which all of it is asked for.
        overflows : int
            How often somebody has had no room so far.
        """
        still = {}
        for file in listening:
            counters = transferred(file)
            if counters is None:
                continue  # what nothing is known of does
            acknowledged = counters[1]
            before = self._still.get(file)
            # Whoever has taken all that there was takes nothing more, either, until something comes.
            if before is not None and before[0] == acknowledged and waits(file):
                still[file] = (acknowledged, before[1] + 1, before[2])
            else:
                still[file] = (acknowledged, 0, overflows)
        self._still = still
        files = frozenset(
            file
            for file, (_, looks, then) in still.items()
            if looks >= _LOOKS and (overflows > then or file in self.files)
        )
        is_new, self.files = files != self.files, files
        return is_new
