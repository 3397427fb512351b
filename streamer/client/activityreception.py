"""Receives labels and hands out activities in their place, for `LabelSubscriber(activities=True)`."""

from collections import deque

from kinestream.model.config.activity import ActivitySection
from kinestream.streamer.client.activities import Activities, Activity
from kinestream.streamer.client.fleetreception import FleetReception
from kinestream.streamer.client.reception import Reception
from kinestream.streamer.events.log import EventLog
from kinestream.streamer.wire.messages import Annotation, Event, Published

Told = Activity | Event | Annotation


class ActivityReception:
    """A reception whose labels become activities; see `Reception` for what has no word here.

    Parameters
    ----------
    settings : ActivitySection or None
        See `kinestream.streamer.client.activities.Activities`.
    reception : Reception or FleetReception
        What receives the labels, with all events.
    events, log : bool
        See `Reception`.
    """

    def __init__(
        self,
        settings: ActivitySection | None,
        reception: Reception | FleetReception,
        *,
        events: bool,
        log: bool,
    ) -> None:
        self._reception = reception
        self._activities = Activities(settings)
        self._events = events
        self._log = EventLog() if log and not events else None
        self._waiting: deque[Told] = deque()

    def take(self, frames: list[bytes]) -> Told | None:
        """Read what was published; return the first of what it tells."""
        assert isinstance(self._reception, Reception)
        self._hear(self._reception.take(frames))
        return self.ready()

    def ready(self) -> Told | None:
        """Return what is to be handed out before anything else is taken."""
        while not self._waiting and (message := self._reception.ready()) is not None:
            self._hear(message)
        return self._waiting.popleft() if self._waiting else None

    def _hear(self, message: Published | None) -> None:
        if message is None:
            return
        self._waiting.extend(self._activities.add(message))
        if isinstance(message, Annotation) or (isinstance(message, Event) and self._events):
            self._waiting.append(message)
        elif isinstance(message, Event) and self._log is not None:
            self._log.add(message)
