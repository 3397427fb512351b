"""The whole of a replay: choose the recordings, agree with the streamer, play, score."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinestream.model.clock import now_ns, wall_clock
from kinestream.model.counted import counted
from kinestream.model.datasets import Recording, Source, open_source
from kinestream.model.errors import ConfigError, EndpointError
from kinestream.model.recordings.devices import DeviceReadings
from kinestream.model.recordings.laid import on_its_devices_clock
from kinestream.replay.play.delivery import delivered
from kinestream.replay.play.handshake import Acceptance, shake_hands
from kinestream.replay.play.impair import Impairments
from kinestream.replay.play.player import Player, Speed
from kinestream.replay.play.screen import NoScreen, Screen
from kinestream.replay.play.take import Take, takes_of
from kinestream.replay.report import Played, ReplayReport
from kinestream.replay.score.arrivals import Arrivals
from kinestream.replay.score.scorer import LiveScore, judge
from kinestream.streamer.client import LabelSubscriber, Reliable
from kinestream.streamer.client.connection import usual_control
from kinestream.streamer.client.fleetkeeper import told_table
from kinestream.streamer.wire import messages as wire

PATIENCE_S = 10.0
"""How long a replay waits for labels after it has sent everything while none comes."""
GONE_S = 1.0
"""The same where the streamer is gone: what has arrived is read, nothing more will come."""


@dataclass(frozen=True)
class Addresses:
    """Where the streamer is, or a fleet's directory."""

    ingest: str = wire.INGEST
    labels: str = wire.LABELS
    control: str = wire.CONTROL
    fleet: str | None = None


def replay(
    source: str | Path,
    *,
    recordings: Sequence[str] | None = None,
    people: Sequence[str] | None = None,
    task: str | None = None,
    speed: Speed = 1.0,
    loop: int = 1,
    start_offset: float = 0.0,
    duration: float | None = None,
    devices: bool = False,
    impairments: Impairments | None = None,
    delay: float = 0.0,
    chunk: int = 1,
    wait_for_subscribers: bool = False,
    score: bool = False,
    keep: bool = False,
    truth: bool = True,
    reliable: bool = False,
    control: str | None = None,
    ingest: str = wire.INGEST,
    labels: str = wire.LABELS,
    fleet: str | None = None,
    keys: str | Path | None = None,
    timeout: float = 10.0,
    screen: Callable[[Sequence[Take]], Screen] | None = None,
) -> ReplayReport:
    """Play recordings into a running streamer, each as a stream of its own, all at once.

    Parameters
    ----------
    source : str or Path
        A dataset's zip, folder or name.
    recordings, people : sequence of str, optional
        Only these; all by default.
    task : str, optional
        Which labels are the truth; the dataset's first task by default.
    speed : float or "max"
        How many times as fast as it was recorded, or as fast as the streamer takes it.
    loop : int
        How many times each recording is played; each time is a new session.
    start_offset, duration : float, optional
        Which part of each recording is played, in seconds of recording.
    devices : bool
        Whether what each device delivered is played, at its own times, instead of samples on one grid.
    impairments : Impairments, optional
        How that is made worse.
    delay : float
        Seconds before the first sample.
    chunk : int
        Samples in a message; readings, device by device.
    wait_for_subscribers : bool
        Whether to begin only when somebody else listens to every stream's labels.
    score : bool
        Whether to receive the labels, hold them against the truth and measure their latency.
    keep : bool
        Whether to keep what a page of that shows; see `kinestream.replay.page`.
    truth : bool
        Whether what the recordings say the activity was is sent as annotations, for whoever watches.
    reliable : bool
        Whether what is sent is kept until the streamer acknowledges it, and sent again to one that was killed.
    control : str, optional
        Where it acknowledges; by default at the usual port, 5572, if samples go to the usual one of some machine.
    ingest, labels : str
        Where the streamer takes samples and publishes labels.
    fleet : str, optional
        Where a fleet's directory answers, in place of a streamer's addresses.
    keys : str or Path, optional
        The file of your keys, where the streamer asks for them; that which `KINESTREAM_KEYS` names by default.
    timeout : float
        Seconds to wait for the streamer to answer, or to take a message.
    screen : callable, optional
        Given what is played, returns what shows how it goes; by default nothing does.

    Raises
    ------
    SourceError
        If the source cannot be read or nothing is left of it to play.
    ConfigError
        If an option makes no sense.
    ChannelMismatch
        If the streamer refuses a stream.
    EndpointError
        If an address cannot be used, or no streamer answers.
    """
    _check(speed, loop, start_offset, duration, delay, chunk, timeout)
    worse = impairments or Impairments()
    _check_impairments(worse, devices)
    opened = open_source(source, task=task)
    delivered_by: dict[str, tuple[DeviceReadings, ...]] = {}
    takes = takes_of(
        chosen_recordings(opened, recordings, people, delivered_by if devices else None),
        first_session=now_ns(),
        loop=loop,
        start_offset_s=start_offset,
        duration_s=duration,
        deliver=(lambda part: delivered(part, delivered_by[part.id], chunk, worse)) if devices else None,
    )
    return play_takes(
        takes,
        Addresses(ingest, labels, _control(ingest, control) if reliable and not fleet else wire.CONTROL, fleet),
        speed=speed,
        chunk=chunk,
        delay_s=delay,
        wait_for_subscribers=wait_for_subscribers,
        score=score,
        keep=keep,
        truth=truth,
        reliable=Reliable() if reliable else None,
        timeout_s=timeout,
        keys=keys,
        screen=screen and screen(takes),
    )


def play_takes(
    takes: Sequence[Take],
    addresses: Addresses,
    *,
    speed: Speed = 1.0,
    chunk: int = 1,
    delay_s: float = 0.0,
    wait_for_subscribers: bool = False,
    score: bool = False,
    keep: bool = False,
    truth: bool = False,
    reliable: Reliable | None = None,
    timeout_s: float = 10.0,
    keys: str | Path | None = None,
    screen: Screen | None = None,
) -> ReplayReport:
    """Play takes into a running streamer; see `replay`.

    `screen` shows the progress; by default nothing is shown, and messages are logged.
    """
    if addresses.fleet is not None:  # that there is none is told at once, and in a line
        told_table(addresses.fleet, timeout_s=timeout_s, keys=keys)
    with (
        screen or NoScreen() as shown,
        Player(
            addresses.ingest,
            takes,
            chunk=chunk,
            timeout_s=timeout_s,
            keys=keys,
            truth=truth,
            draw=shown.draw,
            chores_s=shown.every_s,
            control=addresses.control,
            reliable=reliable,
            fleet=addresses.fleet,
        ) as player,
        LabelSubscriber(
            addresses.labels if addresses.fleet is None else wire.LABELS,
            streams=player.streams,
            events=True,
            past=False,
            keys=keys,
            fleet=addresses.fleet,
        ) as subscriber,
    ):
        accepted = shake_hands(
            player,
            subscriber,
            addresses=addresses.fleet or f"{addresses.ingest} (labels at {addresses.labels})",
            timeout_s=timeout_s,
            say=shown.say,
            wait_for_subscribers=wait_for_subscribers,
        )
        live = vanished = played = None
        if score:
            _warn_of_foreign_truth(takes, accepted, shown.say)
            live, vanished, arrivals = _play_scored(player, subscriber, accepted, speed, delay_s, shown, keep)
            if keep:
                played = Played(takes, chunk, accepted, arrivals.probabilities, arrivals.told)
        else:
            subscriber.close()
            player.play(speed, delay_s)
            if player.deserted:
                vanished = f"nobody is at {addresses.ingest} any more: what was sent last may not have arrived"
        if player.unacknowledged:
            vanished = f"{counted(player.unacknowledged, 'message')} were not acknowledged: is the streamer running?"
    playback = player.playback
    return ReplayReport(
        speed=speed,
        streams=len(player.streams),
        samples_sent=playback.samples_sent,
        seconds=playback.seconds,
        achieved_hz=playback.achieved_hz,
        pacing_error_ms=playback.pacing_error_ms,
        interrupted=playback.interrupted,
        bundle=accepted[player.streams[0]].bundle,
        vanished=vanished,
        live=live,
        played=played,
    )


def _play_scored(
    player: Player,
    subscriber: LabelSubscriber,
    accepted: Mapping[str, Acceptance],
    speed: Speed,
    delay_s: float,
    screen: Screen,
    keep: bool,
) -> tuple[LiveScore, str | None, Arrivals]:
    """Return the score, how it showed that the streamer went away, if it did, and what came."""
    playback = player.playback
    takes = {(take.stream, take.session): index for index, take in enumerate(playback.takes)}
    vanished = None
    with Arrivals(subscriber, takes, screen.hear, keep=keep) as arrivals:
        try:
            player.play(speed, delay_s)
        except EndpointError as error:
            vanished = str(error)
        if not arrivals.finish(playback.begun, GONE_S if player.deserted else PATIENCE_S):
            playback.interrupted = True
    steps = [step.noticed for step in wall_clock.steps]
    live = judge(playback, accepted, arrivals.labels, arrivals.skipped, arrivals.strangers, steps)
    if arrivals.unended and live.missing and not playback.interrupted and vanished is None:
        unended = f"{counted(len(arrivals.unended), 'session')} of {len(playback.begun):,}"
        vanished = f"the streamer has not answered for a while and has not ended {unended}: is it still running?"
    return live, vanished, arrivals


def _warn_of_foreign_truth(
    takes: Sequence[Take], accepted: Mapping[str, Acceptance], say: Callable[[str], None]
) -> None:
    """Say so where scoring is pointless; the latency may be all that is wanted."""
    recording = takes[0].recording
    answer = accepted[takes[0].stream]
    if recording.window not in (None, answer.grid.length):
        lengths = f"windows of {recording.window} samples, the bundle's have {answer.grid.length}"
        what = f"{recording.dataset} comes as {lengths}"
    elif not recording.classes:
        say(f"{recording.dataset} says nothing of what was done: no label can be scored; give it labels")
        return
    elif not set(answer.classes) & set(recording.classes) - {answer.null_class}:
        what = (
            f"the recordings' classes ({recording.classes[-1]}, ...) are not the bundle's ({answer.classes[-1]}, ...)"
        )
    else:
        return
    say(f"{what}: no label can be scored; choose another task or source")


def chosen_recordings(
    source: Source,
    ids: Sequence[str] | None,
    people: Sequence[str] | None,
    devices: dict[str, tuple[DeviceReadings, ...]] | None,
) -> Iterator[Recording]:
    """Yield the recordings asked for; into `devices` goes what those of each delivered, where that is wanted."""
    if devices is not None:
        source.check_devices()
    outlines = source.outlines(None if ids is None else tuple(dict.fromkeys(ids)), people)
    for recording in source.recordings([each.id for each in outlines]):
        if devices is None:
            yield recording
        else:
            devices[recording.id] = source.devices(recording.id)
            yield on_its_devices_clock(recording, devices[recording.id])


def _check(
    speed: Speed, loop: int, start_offset: float, duration: float | None, delay: float, chunk: int, timeout: float
) -> None:
    wrong = {
        "speed: give a number above 0, or max": speed != "max" and not 0 < speed < math.inf,
        "loop: give 1 or more": loop < 1,
        "start-offset: give 0 or more seconds": not 0 <= start_offset < math.inf,
        "duration: give more than 0 seconds": duration is not None and not 0 < duration < math.inf,
        "delay: give 0 or more seconds": not 0 <= delay < math.inf,
        "chunk: give 1 or more samples": chunk < 1,
        "timeout: give more than 0 seconds": not 0 < timeout < math.inf,
    }
    if any(wrong.values()):
        raise ConfigError("replay", [problem for problem, is_so in wrong.items() if is_so])


def _check_impairments(worse: Impairments, devices: bool) -> None:
    wrong = {
        f"{name.partition('_')[0]}: only what devices delivered can be made worse; add --devices": True
        for name, value in vars(worse).items()
        if value and name != "seed" and not devices
    }
    wrong |= {
        f"{name}: give a share, 0 or more and less than 1": not 0 <= getattr(worse, name) < 1
        for name in ("drop", "reorder", "duplicate")
    }
    wrong |= {
        "jitter: give 0 to 1000 ms": not 0 <= worse.jitter_ms <= 1000,
        "drift: give 0 to 100,000 ppm": not 0 <= worse.drift_ppm <= 100_000,
        "burst: give 0 or more readings": worse.burst < 0,
        "seed: give 0 or more": worse.seed < 0,
    }
    if any(wrong.values()):
        raise ConfigError("replay", [problem for problem, is_so in wrong.items() if is_so])


def _control(ingest: str, control: str | None) -> str:
    """Return where the streamer acknowledges that takes samples there."""
    found = control or usual_control(ingest, wire.INGEST)
    if found is None:
        raise ConfigError("this replay", ["reliable: give control, too, the address that serve shows after 'control'"])
    return found
