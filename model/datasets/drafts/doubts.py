"""Says what a draft of a description only guesses, and what the files do not tell."""

from collections.abc import Iterator, Sequence

from kinestream.model.config.pattern import parts_of
from kinestream.model.datasets.drafts.survey import NOBODY, Survey, median_rate

UNSAID = "WRITE_ME"
"""What stands in a draft where somebody has to say it."""


def unsaid(found: Survey) -> list[str]:
    """Return what the files do not tell and the user has to say or to look at before training, each after its key."""
    key = "dataset.tabular"
    lines = [
        f"{key}.{place}: {what}" for place, what in (*_who(found), *_times(found), *_columns(found), *_labels(found))
    ]
    if not found.nobody and len(found.people) < 3:
        lines.append(
            f"split: {' and '.join(found.people)} are too few to test on strangers: parts of them are held out"
        )
    lines += [f"left out: {_listed(names)}: {why}" for why, names in found.others.items()]
    return lines + [f"left out: {why}" for why in found.damaged.values()]


def _listed(names: Sequence[str], what: str = "files") -> str:
    if len(names) <= 3:
        return ", ".join(names)
    return f"{len(names)} {what}, {', '.join(names[:2])}, ..., {names[-1]}"


def _who(found: Survey) -> Iterator[tuple[str, str]]:
    guessed, parts = found.names.guessed, parts_of(found.names.pattern)
    if "person" in guessed:
        alone = len(found.people) == len(found.pieces) > 1 and not {"recording", "label"} & parts
        every = "; every file counts as another person's" if alone else ""
        yield "files", f"only their place in file names says that {guessed['person']} are people{every}"
    if "label" in guessed:
        yield "files", f"only their place in file names says that {guessed['label']} are activities"
    if found.nobody:
        yield (
            "person",
            (
                f"nothing says who wore the sensors: all recordings count as one person's, called {NOBODY}, "
                "who is both trained and tested on"
            ),
        )


def _times(found: Survey) -> Iterator[tuple[str, str]]:
    clock = found.roles.time
    if median_rate(found) is None:
        yield "rate_hz", "nothing says how many rows make a second"
    elif clock is not None and clock.restarts:
        yield (
            "time",
            (
                f"{clock.column.name} steps back {clock.restarts} times to times that were there before, and nothing "
                "tells apart the recordings that seem to follow each other: without 'time', rows follow each other at "
                "rate_hz; give each a file, or a column that names it"
            ),
        )
    elif clock is not None and clock.shared:
        yield (
            "time",
            (
                f"readings come in packets of about {clock.burst} that share a time: they are spread over the time "
                "before it"
            ),
        )
    elif clock is not None and clock.burst > 1:
        yield (
            "time",
            (
                f"readings come in bursts of about {clock.burst}, so these are times of packets: without 'time', rows "
                "follow each other at rate_hz"
            ),
        )


def _columns(found: Survey) -> Iterator[tuple[str, str]]:
    roles = found.roles
    if roles.answers:
        yield "channels", f"left out {', '.join(roles.answers)}: the same as the label in other words"
    if found.still:
        yield "channels", f"left out {', '.join(found.still)}: one value throughout each file"
    if roles.apart:
        yield (
            "channels",
            f"left out the rows of {', '.join(roles.apart)}: without times they cannot be joined to the others",
        )


def _labels(found: Survey) -> Iterator[tuple[str, str]]:
    if not found.labels:
        yield "labels", "no column, file name or file of segments says what was done"
    elif len(found.labels) < 2:
        yield "labels", f"found one class only, {next(iter(found.labels))}: name the others"
    segments = found.segments
    if segments is None:
        return
    if segments.doubt:
        yield "labels.segments.unit", segments.doubt
    if segments.unnamed:
        yield (
            "labels.segments.recording",
            f"{segments.recording} names no segments of {_listed(segments.unnamed, 'recordings')}",
        )
    if segments.recording is None and len(found.pieces) > 1 and not parts_of(segments.pattern):
        yield (
            "labels.segments.recording",
            (
                "no column names the recordings as they are called here, such as "
                f"{found.pieces[0].id}: each is given all segments"
            ),
        )
