"""A replay's report for people to read."""

from rich.console import Console
from rich.table import Table

from kinestream.model.counted import counted, format_seconds
from kinestream.replay.report import ReplayReport, percentiles
from kinestream.replay.score.scorer import LiveScore
from kinestream.screens.console import styled
from kinestream.screens.evaluation import print_scores

_MOST_STREAMS = 20


def print_replay(report: ReplayReport, console: Console) -> None:
    """Print what was sent, then what came back where that was asked for."""
    rate = "" if report.achieved_hz is None else f", {report.achieved_hz:,.2f} samples/s"
    pace = "as fast as the streamer takes them" if report.speed == "max" else f"at {report.speed:g} x true rate"
    sent = f" of {counted(report.streams, 'stream')} sent {pace} in {format_seconds(report.seconds)}{rate}"
    interrupted = (" (interrupted)" if report.interrupted else "", "yellow")
    console.print(styled((counted(report.samples_sent, "sample"), "bold"), sent, interrupted))
    if report.vanished is not None:
        console.print(styled((f"incomplete: {report.vanished}", "red")))
    if report.speed != "max":
        console.print(f"timing error {_listed(percentiles(report.pacing_error_ms, (50, 99)))}")
    if report.live is not None:
        _print_live(report, report.live, console)


def _print_live(report: ReplayReport, live: LiveScore, console: Console) -> None:
    missing = (f"{live.missing} missing", "red") if live.missing else "none missing"
    others = {"unexpected": live.unexpected, "duplicate": live.duplicate, "filled in": live.filled}
    others |= {f"windows skipped ({reason})": count for reason, count in live.skipped.items()}
    listed = "".join(f", {count} {what}" for what, count in others.items() if count)
    came = f" of {counted(live.expected, 'label')} came from {report.bundle}, "
    console.print(styled((f"{live.received:,}", "bold"), came, missing, listed))
    console.print(_latency(report, live))
    if live.untimed:
        console.print(
            styled(
                (
                    f"{counted(live.untimed, 'label')} left out of all stages but send: "
                    "a clock stepped on their way, or the streamer's is not this machine's",
                    "yellow",
                )
            )
        )
    if len(live.streams) > 1:
        console.print(_streams(live))
    if live.scores is None:
        console.print(styled((f"nothing to score: {live.unscored}", "yellow")))
    else:
        print_scores(live.scores, console)


def _latency(report: ReplayReport, live: LiveScore) -> Table:
    title = "latency in ms, from a window's last sample to its label in the subscriber's hands"
    queued = "at speed max samples queue for the streamer: this is no latency of a live stream"
    table = Table(title=title, title_justify="left", caption=queued if report.speed == "max" else None)
    table.add_column()
    rows = {"total": percentiles(live.latency_ms)}
    rows |= {stage: percentiles(figures) for stage, figures in live.stages_ms.items()}
    for name in rows["total"]:
        table.add_column(name, justify="right")
    for what, figures in rows.items():
        style = "bold" if what == "total" else None
        table.add_row(what, *("-" if value is None else f"{value:.3f}" for value in figures.values()), style=style)
    return table


def _streams(live: LiveScore) -> Table:
    shown = live.streams[:_MOST_STREAMS]
    more = len(live.streams) - len(shown)
    left_out = f"and {counted(more, 'more stream')}" if more else None
    table = Table(caption=left_out, caption_justify="left")
    table.add_column("stream")
    for name in ("labels", "missing", "accuracy"):
        table.add_column(name, justify="right")
    for stream in shown:
        accuracy = "-" if stream.accuracy is None else f"{stream.accuracy:.4f}"
        table.add_row(stream.stream, f"{stream.received} of {stream.expected}", str(stream.missing), accuracy)
    return table


def _listed(figures: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {'-' if value is None else f'{value:.3f} ms'}" for name, value in figures.items())
