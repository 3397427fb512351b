"""The page of a scored replay: what was named, what was true, and how long it took, in one HTML file.

It needs what `kinestream.model.report` needs.
"""

from collections import Counter
from pathlib import Path

import numpy as np
from markupsafe import Markup

from kinestream.model.activity.line import ActivityScores, follow, score_activities
from kinestream.model.counted import counted, format_seconds
from kinestream.model.evaluation.evaluation import Evaluation, RecordingLabels
from kinestream.model.files import write_whole
from kinestream.model.recordings.recording import Recording
from kinestream.model.report.drawing import as_svg
from kinestream.model.report.facts import Fact, page_facts
from kinestream.model.report.latency import draw_pacing, draw_stages, milliseconds
from kinestream.model.report.page import made_now, render
from kinestream.model.report.sections import Shown, Subject, evaluation_section
from kinestream.model.report.strips import Signal
from kinestream.model.report.tables import Sheet
from kinestream.model.scores.calibration import calibrate
from kinestream.model.scores.timeline import lay_out, score_timelines
from kinestream.model.windows.familiar import sensors_of
from kinestream.model.windows.labelled import NOT_SCORED, foreign_classes, truth_of
from kinestream.replay.play.handshake import Acceptance
from kinestream.replay.report import Figures, Played, ReplayReport, percentiles
from kinestream.replay.score.scorer import LiveScore, TakeLabels
from kinestream.streamer.events.lines import in_words
from kinestream.streamer.events.words import event_text

_MOST_STREAMS, _MOST_EVENTS = 200, 60  # rows of a table
_STAGES = {
    "send": "from when the last sample was due until it left",
    "transport": "until the streamer had it",
    "ready": "until its batch was ready",
    "infer": "until its class was known",
    "publish": "until the label left",
    "deliver": "until it was in the subscriber's hands",
}


def write_replay_page(path: Path, report: ReplayReport, *, source: str, command: str | None = None) -> None:
    """Write the page of a replay, whole or not at all.

    Parameters
    ----------
    path : Path
        The file; its folder is made where needed.
    report : ReplayReport
        Of a replay that was scored and kept what a page needs.
    source : str
        What was played, as whoever played it calls it.
    command : str, optional
        By which it can be played again.
    """
    write_whole(path, render_replay_page(report, source=source, command=command).encode())


def render_replay_page(report: ReplayReport, *, source: str, command: str | None = None) -> str:
    """Return the page; see `write_replay_page`."""
    live, played = report.live, report.played
    assert live is not None
    assert played is not None
    about = next(iter(played.accepted.values()))
    subject = Subject(about.classes, about.null_class, about.grid, about.rate_hz)
    names = _names(played)
    labels = evaluation_section(
        "labels",
        "Labels",
        as_evaluation(live, played, about),
        subject,
        about=_labels_words(report, live),
        signals={names[labels.take]: signal_of(labels.expected.recording) for labels in live.takes},
    )
    made = made_now()
    return render(
        "replay.html.j2",
        bundle=report.bundle,
        made=made,
        kind="replay",
        headline=labels["headline"],
        parts=[labels],
        latency_note=_latency_words(report, live),
        latency=_latency(live) if live.received else None,
        stages=_stages(live),
        pacing=_pacing(report) if len(report.pacing_error_ms) and report.speed != "max" else None,
        streams_note=_streams_words(live),
        streams=_streams(live),
        happened=_happened(played),
        facts=_facts(report, played, about, source),
        page_facts=page_facts(None, made, command),
    )


def as_evaluation(live: LiveScore, played: Played, about: Acceptance) -> Evaluation:
    """Return what came of a replay as an evaluation: the same scores, of labels that were made live."""
    names = _names(played)
    found = tuple(_recording_labels(labels, names[labels.take], played, about) for labels in live.takes)
    lines = [each.timeline for each in found if each.timeline is not None]
    truth = np.concatenate([each.truth for each in found])
    probabilities = np.concatenate([each.probabilities for each in found])
    scored = truth != NOT_SCORED
    return Evaluation(
        bundle=about.bundle,
        dataset=played.takes[0].recording.dataset,
        task="",
        chosen="",
        cut="continuous",
        engine="",
        recordings=found,
        scores=live.scores,
        calibration=calibrate(probabilities[scored], truth[scored]),
        timeline=score_timelines(lines, about.classes, about.null_class, about.rate_hz),
        activities=_activities(found, about),
    )


def _activities(found: tuple[RecordingLabels, ...], about: Acceptance) -> ActivityScores | None:
    settings = about.activities
    lined = [(each, each.timeline) for each in found if each.timeline is not None]
    if settings is None or not any(line.scored.any() for _, line in lined):
        return None
    lines = [follow(settings, about.grid.stride, each.windows, each.last, each.probabilities) for each, _ in lined]
    return score_activities(lines, [line for _, line in lined], about.classes, about.null_class, about.rate_hz)


def _recording_labels(labels: TakeLabels, name: str, played: Played, about: Acceptance) -> RecordingLabels:
    recording, starts = labels.expected.recording, labels.expected.starts
    length, stride = about.grid.length, about.grid.stride
    last = starts[labels.windows] + length - 1
    sample_truth = truth_of(recording, about.classes, np.arange(len(recording.labels)), length=1)
    every = [played.probabilities[labels.take, window] for window in labels.windows.tolist()]
    probabilities = np.frombuffer(b"".join(every), "<f4").reshape(-1, len(about.classes)).astype(np.float32)
    return RecordingLabels(
        recording=name,
        person=recording.person,
        windows=labels.windows,
        last=last,
        labels=labels.labels,
        probabilities=probabilities,
        truth=labels.truth,
        sample_truth=sample_truth,
        skipped=int((~labels.expected.full).sum()),
        at_seams=0,
        silent={},
        frozen={},
        foreign=foreign_classes(recording, about.classes, starts[labels.windows], length),
        rate_hz=about.rate_hz,
        timeline=lay_out(sample_truth, last, labels.labels, stride) if recording.window is None else None,
    )


def _names(played: Played) -> list[str]:
    """Return what each take is called: its stream, and which of its sessions it is where there are several."""
    sessions = Counter(take.stream for take in played.takes)
    so_far: Counter[str] = Counter()
    names = []
    for take in played.takes:
        so_far[take.stream] += 1
        several = f", session {so_far[take.stream]}" if sessions[take.stream] > 1 else ""
        names.append(f"{take.stream}{several}")
    return names


def signal_of(recording: Recording) -> Signal:
    """Return what is drawn of a recording: its first sensor."""
    columns = sensors_of([channel.name for channel in recording.channels])[0][:3]
    channels = [recording.channels[column] for column in columns]
    names = tuple(channel.name for channel in channels)
    return Signal(names, channels[0].unit, recording.samples[:, columns])


def _labels_words(report: ReplayReport, live: LiveScore) -> str:
    missing = f"{live.missing:,} missing" if live.missing else "none missing"
    counts = [f"{live.received:,} of {counted(live.expected, 'label')} came, {missing}"]
    counts += [f"{live.unexpected:,} unexpected"] if live.unexpected else []
    counts += [f"{live.duplicate:,} duplicate"] if live.duplicate else []
    counts += [f"{counted(count, 'window')} skipped ({reason})" for reason, count in live.skipped.items()]
    why = f" Nothing to score: {live.unscored}." if live.unscored else ""
    vanished = f" Incomplete: {report.vanished}." if report.vanished else ""
    interrupted = " Interrupted." if report.interrupted else ""
    return f"{'; '.join(counts)}.{why}{vanished}{interrupted}"


def _latency_words(report: ReplayReport, live: LiveScore) -> str:
    told = "From when a window's last sample was due to leave until its label was in the subscriber's hands."
    if report.speed == "max":
        told += " At speed max samples queue for the streamer: this is no latency of a live stream."
    if live.untimed:
        told += (
            f" {counted(live.untimed, 'label')} left out of all stages but send: a clock stepped on their way, or the "
            "streamer's is not this machine's."
        )
    return told


def _latency(live: LiveScore) -> Shown:
    figure = draw_stages({"total": live.latency_ms, **live.stages_ms}, total="total")
    median, nearly = np.percentile(live.latency_ms, [50, 99]).tolist()
    caption = (
        f"Half of the labels take {milliseconds(median)} or less, 99 in a hundred {milliseconds(nearly)}. Dots show "
        "how labels are distributed; a bar reaches from the median to the 90th percentile, a line to the 99th, a ring "
        "is the longest. The axis is logarithmic."
    )
    alt = f"Latency by stage. {caption}"
    return Shown(Markup(as_svg(figure, "latency-stages", alt)), "Latency by stage", caption, least=520)


def _stages(live: LiveScore) -> Sheet:
    rows = [_percentile_row("total", live.latency_ms)]
    rows += [_percentile_row(stage, figures) for stage, figures in live.stages_ms.items()]
    told = "; ".join(f"{stage}: {what}" for stage, what in _STAGES.items())
    return Sheet("In milliseconds", ("", "p50", "p90", "p99", "max"), tuple(rows), f"{told[0].upper()}{told[1:]}.")


def _percentile_row(name: str, figures: Figures) -> tuple[str, ...]:
    return (name, *("-" if value is None else f"{value:.3f}" for value in percentiles(figures).values()))


def _pacing(report: ReplayReport) -> Shown:
    errors = percentiles(report.pacing_error_ms, (50, 99))
    caption = (
        f"{counted(len(report.pacing_error_ms), 'message')}: half left at most {errors['p50']:.3f} ms later than due, "
        f"99 in a hundred {errors['p99']:.3f} ms, the latest {errors['max']:.3f} ms."
    )
    return Shown(Markup(as_svg(draw_pacing(report.pacing_error_ms), "pacing", caption)), "Pacing error", caption)


def _streams_words(live: LiveScore) -> str:
    whole = sum(not stream.missing for stream in live.streams)
    return f"{whole:,} of {counted(len(live.streams), 'stream')} got every label."


def _streams(live: LiveScore) -> Sheet:
    rows = [
        (
            stream.stream,
            f"{stream.received:,}",
            f"{stream.expected:,}",
            f"{stream.missing:,}" if stream.missing else "·",
            "-" if stream.accuracy is None else f"{stream.accuracy:.3f}",
        )
        for stream in sorted(live.streams, key=lambda stream: -stream.missing)[:_MOST_STREAMS]
    ]
    more = len(live.streams) - len(rows)
    left_out = f"And {counted(more, 'more stream')}." if more else "Those with missing labels come first."
    return Sheet("Stream by stream", ("", "labels", "expected", "missing", "accuracy"), tuple(rows), left_out)


def _happened(played: Played) -> Sheet | None:
    told = [event for event in played.events if event.event != "end"]
    if not told:
        return None
    kinds = Counter(event.event for event in told)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    rows = [(event.stream, in_words(event_text(event))) for event in told[:_MOST_EVENTS]]
    more = len(told) - len(rows)
    note = f"{counts}{f'; {more:,} more are not listed' if more else ''}."
    return Sheet("What the streamer said besides", ("stream", "event"), tuple(rows), note, prose=True)


def _facts(report: ReplayReport, played: Played, about: Acceptance, source: str) -> list[Fact]:
    pace = "as fast as the streamer takes it" if report.speed == "max" else f"{report.speed:g} x true rate"
    rate = "" if report.achieved_hz is None else f", {report.achieved_hz:,.2f} samples/s"
    grid, by_device = about.grid, any(take.delivery is not None for take in played.takes)
    each = "readings of each device, at its own times" if by_device else f"{counted(played.chunk, 'sample')} a message"
    return [
        ("Bundle", report.bundle),
        (
            "Windows",
            f"{grid.length} samples ({grid.length / about.rate_hz:.2f} s) every {grid.stride} "
            f"({grid.stride / about.rate_hz:.2f} s) at {about.rate_hz:g} Hz; skipped where more than "
            f"{grid.max_missing:.0%} of the samples are missing",
        ),
        ("Played", f"{source}: {counted(report.streams, 'stream')}, {counted(len(played.takes), 'session')}"),
        ("Pace", f"{pace}, {each}"),
        ("Sent", f"{counted(report.samples_sent, 'sample')} in {format_seconds(report.seconds)}{rate}"),
    ]
