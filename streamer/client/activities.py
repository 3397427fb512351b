"""Labels as they come, made activities: what a wearer has begun, goes on with and has ended.

What makes them is `kinestream.model.activity`, with what the bundle says of it; that comes with the streamer's answer
to a stream's description, which every subscriber hears within two seconds. A pure function of a session's labels:
events only tell sooner that it has ended.
"""

from collections import deque
from typing import Any, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from kinestream.model.activity.decisions import UNCERTAIN, Change, State
from kinestream.model.activity.tracker import ActivityTracker
from kinestream.model.config.activity import ActivitySection
from kinestream.streamer.wire.messages import Annotation, Event, Label, Published

MOST_HELD = 256
"""Labels of a stream that wait for what the streamer says of their bundle; of more, the oldest are passed over."""
_MOST_WEARERS = 20_000  # that are kept in mind
_HEARD = ("accepted", "model", "unusual", "skipped", "missed", "end")


class Activity(NamedTuple):
    """What becomes of a wearer's activity.

    Attributes
    ----------
    state : {"started", "ongoing", "ended"}
        One starts when the one before has ended; it is ongoing with each further window that is decided for it.
    stream, session : str, int
        Whose.
    activity : str
        Its class, ``uncertain`` where none is probable enough.
    class_index : int
        That class by index, -1 where it is uncertain.
    p : float
        How probable it is, on average over its windows.
    begin, end : int
        From when until when it is known to have lasted, Unix ns on the wearer's clock.
    model : str
        Name and fingerprint of the bundle.
    unusual : tuple of str
        Why the readings are nothing like what the bundle was trained on, sensor by sensor; empty where they are.
    """

    state: State
    stream: str
    session: int
    activity: str
    class_index: int
    p: float
    begin: int
    end: int
    model: str
    unusual: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it is known to have lasted."""
        return (self.end - self.begin) / 1e9


class _Window(BaseModel):
    length: int = Field(gt=0)
    stride: int = Field(gt=0)


class _Accepted(BaseModel):
    """What is read of an ``accepted`` event; there may be more."""

    bundle: str
    rate_hz: float = Field(ge=1e-6, le=1e9)
    window: _Window
    classes: list[str] = Field(min_length=2)


class _Renamed(BaseModel):
    """What is read of a ``model`` event; rate and window are as before."""

    new: str
    classes: list[str] = Field(min_length=2)


class _About(NamedTuple):
    """What is known of the bundle that names a stream's windows."""

    model: str
    classes: tuple[str, ...]
    settings: ActivitySection
    rate_hz: float
    window: _Window

    @property
    def stride_ns(self) -> int:
        return round(self.window.stride * 1e9 / self.rate_hz)


class _Run(NamedTuple):
    """The session of a stream that is followed, by the rules of a bundle."""

    session: int
    about: _About
    tracker: ActivityTracker


class _Wearer:
    """What is kept of one stream."""

    __slots__ = ("about", "held", "newest", "run", "stream", "unusual")

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.about: _About | None = None
        self.held: deque[Label | Event] = deque()  # labels of a bundle that is not known, and all that follows them
        self.run: _Run | None = None
        self.newest = 0  # the moment of its last window
        self.unusual: dict[str, str] = {}  # reasons by sensor

    def follow(self, label: Label) -> list[Activity]:
        """Take a label of the bundle that is known."""
        about, run, told = self.about, self.run, []
        assert about is not None
        if len(label.probs) != 4 * len(about.classes):
            return []
        if run is not None and (run.session != label.session or self._begins_anew(run, label)):
            told = self.end()
            run = None
        if run is None:
            tracker = ActivityTracker(about.settings, about.stride_ns)
            run = self.run = _Run(label.session, about, tracker)
        self.newest = max(self.newest, label.t_source) if run.tracker.window is not None else label.t_source
        return told + self._tell(run, run.tracker.add(label.window, label.t_source, label.probabilities))

    def hear(self, event: Event) -> list[Activity]:
        """Take an event that says that labels will not come."""
        run = self.run
        if run is None or event.session != run.session:
            return []
        if event.event == "end":
            return self.end()
        return self._tell(run, run.tracker.skip(event.details["last_window"]))

    def learn(self, about: _About) -> None:
        """Learn of the bundle that names the windows from now on."""
        run, self.about = self.run, about
        if run is not None and run.about[1:] == about[1:]:
            self.run = run._replace(about=about)  # another bundle of the same rules: the activity goes on

    def end(self) -> list[Activity]:
        """End the session that is followed."""
        if self.run is None:
            return []
        told = self._tell(self.run, self.run.tracker.finish())
        self.run = None
        self.unusual.clear()
        return told

    def note_unusual(self, event: Event) -> None:
        """Keep in mind why readings are unusual, as long as they are."""
        sensor = str(event.details.get("sensor"))
        self.unusual.pop(sensor, None)
        if event.details.get("unusual"):
            self.unusual[sensor] = str(event.details.get("reason"))

    def _begins_anew(self, run: _Run, label: Label) -> bool:
        """Tell whether a label is of another bundle's rules, or of windows that are counted anew and no repetition."""
        if run.about != self.about:
            return True
        last = run.tracker.window
        return last is not None and label.window <= last and label.t_source > self.newest

    def _tell(self, run: _Run, changes: list[Change]) -> list[Activity]:
        unusual = tuple(self.unusual.values())
        return [
            Activity(
                change.state,
                self.stream,
                run.session,
                "uncertain" if change.which == UNCERTAIN else run.about.classes[change.which],
                change.which,
                change.p,
                change.begin,
                change.end,
                run.about.model,
                unusual,
            )
            for change in changes
        ]


class Activities:
    """Makes activities of labels and events; hand it all that a subscriber receives, events among it.

    ::

        activities = Activities()
        with LabelSubscriber(events=True) as messages:
            for message in messages:
                for activity in activities.add(message):
                    print(activity.stream, activity.state, activity.activity)

    Parameters
    ----------
    settings : ActivitySection, optional
        How; by default what each bundle says, and what suits most of one that says nothing.

    Attributes
    ----------
    passed_over : int
        Labels that were given up, because nobody said what the classes of their bundle are.
    """

    def __init__(self, settings: ActivitySection | None = None) -> None:
        self.passed_over = 0
        self._settings = settings
        self._wearers: dict[str, _Wearer] = {}

    def add(self, message: Published) -> list[Activity]:
        """Take a message, in the order in which they came; return what it tells."""
        if isinstance(message, Annotation) or (isinstance(message, Event) and message.event not in _HEARD):
            return []
        wearer = self._wearers.get(message.stream) or self._new(message.stream)
        if isinstance(message, Label):
            return self._take(wearer, message)
        if message.event in ("accepted", "model"):
            return self._learn(wearer, message)
        if message.event == "unusual":
            wearer.note_unusual(message)
            return []
        return self._take(wearer, message)

    def finish(self) -> list[Activity]:
        """End all activities, as when nothing more will come."""
        return [activity for wearer in self._wearers.values() for activity in wearer.end()]

    def _new(self, stream: str) -> _Wearer:
        if len(self._wearers) >= _MOST_WEARERS:  # of those whose sessions ended only the bundle is kept in mind
            self._wearers = {name: each for name, each in self._wearers.items() if each.run or each.held}
        return self._wearers.setdefault(stream, _Wearer(stream))

    def _take(self, wearer: _Wearer, message: Label | Event) -> list[Activity]:
        known = wearer.about.model if wearer.about is not None else None
        if wearer.held or (isinstance(message, Label) and message.model != known):
            wearer.held.append(message)
            if len(wearer.held) > MOST_HELD:
                self.passed_over += isinstance(wearer.held.popleft(), Label)
            return []
        return wearer.follow(message) if isinstance(message, Label) else wearer.hear(message)

    def _learn(self, wearer: _Wearer, event: Event) -> list[Activity]:
        """Read what is said of a bundle, and take the labels that have waited for it."""
        about = self._about(event, wearer.about)
        if about is None or about == wearer.about:
            return []
        wearer.learn(about)
        held, wearer.held = wearer.held, deque()
        return [activity for each in held for activity in self._take(wearer, each)]

    def _about(self, event: Event, before: _About | None) -> _About | None:
        details = event.details
        try:
            if event.event == "accepted":
                if before is not None and details.get("bundle") == before.model:
                    return before  # as nearly always: it is repeated every second or two
                said = _Accepted.model_validate(details)
                model, names, rate_hz, window = said.bundle, said.classes, said.rate_hz, said.window
            elif before is not None:
                renamed = _Renamed.model_validate(details)
                model, names, rate_hz, window = renamed.new, renamed.classes, before.rate_hz, before.window
            else:
                return None
            return _About(model, tuple(names), self._rules(details, len(names), window), rate_hz, window)
        except ValidationError:  # of a streamer of another version
            return None

    def _rules(self, details: dict[str, Any], classes: int, window: _Window) -> ActivitySection:
        settings = self._settings
        if settings is None and "activities" in details:
            try:
                settings = ActivitySection.model_validate(details["activities"])
            except ValidationError:  # as above
                settings = None
        if settings is None or len(settings.least) != classes:
            settings = ActivitySection.usual(classes, window.length, window.stride)
        return settings
