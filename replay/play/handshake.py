"""Before a replay, asks the streamer whether it accepts the streams and whether anybody subscribes to them."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from kinestream.model.config.activity import ActivitySection
from kinestream.model.errors import ChannelMismatch, EndpointError
from kinestream.model.windows.grid import WindowGrid
from kinestream.replay.play.player import Player
from kinestream.streamer.client import Event, LabelSubscriber
from kinestream.streamer.events.undelivered import undelivered_text

_ASK_EVERY_S = 0.1


@dataclass(frozen=True)
class Acceptance:
    """What a streamer answers to a description that fits.

    Parameters
    ----------
    bundle : str
        Name and fingerprint of its bundle.
    grid : WindowGrid
        The bundle's window.
    rate_hz : float
        Its samples per second.
    classes : tuple of str
        The bundle's classes, in the order of `Label.class_index`.
    null_class : str or None
        The one that means "none of the others".
    columns : tuple of int or None
        Which columns of the stream feed the network; None: all of them, as they stand.
    subscribers : int
        How many subscriptions match the stream's labels.
    repeats : mapping of str to int, or None
        Where a device counts as absent that is frozen, for how many samples in a row each channel may keep its value.
    activities : ActivitySection or None
        How the bundle's labels become activities, where it says so.
    undelivered : tuple of str
        Channels of the bundle that no device delivers, where the stream is sent device by device.
    """

    bundle: str
    grid: WindowGrid
    rate_hz: float
    classes: tuple[str, ...]
    null_class: str | None
    columns: tuple[int, ...] | None
    subscribers: int
    repeats: Mapping[str, int] | None = None
    activities: ActivitySection | None = None
    undelivered: tuple[str, ...] = ()


def shake_hands(
    player: Player,
    subscriber: LabelSubscriber,
    *,
    addresses: str,
    timeout_s: float,
    say: Callable[[str], None],
    wait_for_subscribers: bool = False,
) -> Mapping[str, Acceptance]:
    """Describe a player's streams until the streamer has answered for each of them.

    The answer comes as an event, so whoever receives it will also receive every later label.

    Parameters
    ----------
    player : Player
        Sends the descriptions.
    subscriber : LabelSubscriber
        Listens to the streams' labels and events.
    addresses : str
        Where the streamer was sought, for the error.
    timeout_s : float
        How long to wait for an answer.
    say : callable
        Called with a message where it waits for subscribers, and where devices lack channels of the bundle.
    wait_for_subscribers : bool
        Whether to go on asking, for as long as it takes, until somebody besides `subscriber` listens to each stream.

    Raises
    ------
    ChannelMismatch
        If the streamer refuses a stream; the message says why.
    EndpointError
        If nobody answers in time.
    """
    accepted: dict[str, Acceptance] = {}
    answers: Counter[str] = Counter()
    awaited = set(player.streams)
    channels = {take.stream: len(take.recording.channels) for take in player.playback.takes}
    deadline = time.monotonic() + timeout_s
    announced = False
    while awaited:
        player.describe(sorted(awaited))
        for event in _events(subscriber, until=time.monotonic() + _ASK_EVERY_S):
            if event.stream in awaited:
                answer = _answer(event, channels[event.stream])
                answers[event.stream] += answer is not None
                # Each device is answered for, in the order in which they were described; a refusal ends it all.
                if answer is not None and answers[event.stream] >= player.descriptions_of(event.stream):
                    accepted[event.stream] = answer
                    if not wait_for_subscribers or answer.subscribers > 1:  # one of them is `subscriber`
                        awaited.discard(event.stream)
            if not awaited:
                break
        silent = awaited - accepted.keys()
        if silent and time.monotonic() > deadline:
            raise EndpointError(
                f"no streamer answered at {addresses} within {timeout_s:g} s: start one with 'kinestream serve BUNDLE'"
            )
        if awaited and not silent and not announced:
            say(f"waiting for subscribers to {_some(awaited)}")
            announced = True
    lacking = {stream: answer.undelivered for stream, answer in accepted.items() if answer.undelivered}
    if lacking:
        say(f"{_some(lacking)}: {undelivered_text(next(iter(lacking.values())))}")
    return accepted


def _events(subscriber: LabelSubscriber, until: float) -> Iterable[Event]:
    while (left := until - time.monotonic()) > 0:
        message = subscriber.receive(left)
        if isinstance(message, Event):
            yield message


def _answer(event: Event, channels: int) -> Acceptance | None:
    """Read what a streamer answers for a stream of so many channels; None where it is something else that it says."""
    if event.event == "refused":
        raise ChannelMismatch(f"the streamer refuses stream {event.stream}: {event.details.get('reason')}")
    if event.event != "accepted":
        return None
    try:
        details = _Accepted.model_validate(event.details, strict=True)
        if max(details.columns or (), default=0) >= channels:
            raise _unreadable(event.stream, "columns")
        return Acceptance(
            bundle=details.bundle,
            grid=WindowGrid(details.window.length, details.window.stride, details.window.max_missing),
            rate_hz=details.rate_hz,
            classes=tuple(details.classes),
            null_class=details.null_class,
            columns=None if details.columns is None else tuple(details.columns),
            subscribers=details.subscribers,
            repeats=details.repeats,
            activities=None if details.activities is None else ActivitySection.model_validate(details.activities),
            undelivered=tuple(details.undelivered),
        )
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise _unreadable(event.stream, key) from None


def _unreadable(stream: str, key: str) -> EndpointError:
    return EndpointError(
        f"the streamer's answer for stream {stream} cannot be read ({key}): install the same kinestream"
    )


class _Window(BaseModel):
    length: int = Field(gt=0)
    stride: int = Field(gt=0)
    max_missing: float = Field(ge=0, le=1)


class _Accepted(BaseModel):
    """What an ``accepted`` event must say; there may be more."""

    bundle: str
    window: _Window
    rate_hz: float = Field(gt=0)
    classes: list[str] = Field(min_length=1)
    null_class: str | None
    columns: list[Annotated[int, Field(ge=0)]] | None
    subscribers: int
    repeats: dict[str, Annotated[int, Field(gt=0)]] | None = None
    activities: dict[str, object] | None = None
    undelivered: list[str] = []


def _some(streams: Iterable[str]) -> str:
    names = sorted(streams)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
