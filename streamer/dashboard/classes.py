"""The activities that have been seen, each with a number for as long as the dashboard runs, and with its colour."""

from collections.abc import Sequence

from kinestream.model.palette import UNCERTAIN, class_colours

NOTHING, SKIPPED = 0, 1
"""What is drawn where there is no activity: nothing came, or windows got no label."""
_FIRST = 2
_MOST = 240
"""Numbers are bytes, and annotations may be called anything."""
_OTHER, _UNCERTAIN = "other", "uncertain"


class Classes:
    """Numbers activities.

    A number is never given to another activity, so that what was drawn before stays right when another bundle comes.
    Colours go by an activity's place in the bundle, as on every other page and plot.

    Attributes
    ----------
    version : int
        Counts up whenever there is something to tell.
    """

    def __init__(self) -> None:
        self.version = 0
        self._numbers: dict[str, int] = {}
        self._classes: tuple[str, ...] = ()
        self._null: str | None = None

    def adopt(self, classes: Sequence[str], null: str | None = None) -> None:
        """Take the classes of the streamer's bundle."""
        if self._classes == tuple(classes) and self._null == null:
            return
        self._classes, self._null = tuple(classes), null
        self.version += 1
        for name in classes:
            self.number(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes of the bundle, in their order."""
        return self._classes

    @property
    def null(self) -> str | None:
        """Which of them means "none of the others"."""
        return self._null

    def number(self, name: str) -> int:
        """Return the number of an activity."""
        known = self._numbers.get(name)
        if known is not None:
            return known
        if len(self._numbers) >= _MOST:
            name = _OTHER
            if name in self._numbers:
                return self._numbers[name]
        self._numbers[name] = number = _FIRST + len(self._numbers)
        self.version += 1
        return number

    def as_dict(self) -> dict[str, object]:
        """Return what a page needs to know: by number, each activity's name and colour."""
        others = [name for name in self._numbers if name not in self._classes]
        colours = {_UNCERTAIN: UNCERTAIN, **class_colours([*self._classes, *others], self._null)}
        if _UNCERTAIN not in self._classes:
            colours[_UNCERTAIN] = UNCERTAIN
        return {
            "first": _FIRST,
            "names": list(self._numbers),
            "colours": [colours[name] for name in self._numbers],
            "bundle": [self.number(name) for name in self._classes],
        }
