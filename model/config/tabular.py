"""How a YAML file describes recordings in tables of any layout: ``dataset.tabular``."""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from kinestream.model.config.column import (
    ChannelSection,
    ColumnSection,
    PersonSection,
    TextSection,
    TimeFormat,
    TimeSection,
    Zone,
    check_written_times,
)
from kinestream.model.config.pattern import parts_of, parts_of_regex
from kinestream.model.config.section import Name, Section, contradiction, doubled

Format = Literal["csv", "tsv", "text", "parquet", "npz", "mat"]

FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "text",
    ".dat": "text",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npz": "npz",
    ".mat": "mat",
}
"""What a file is taken for by the end of its name."""


def _texts(value: Any) -> Any:
    """Read one text or a list; codes of classes are numbers to YAML."""
    values = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(each, str) or type(each) in (int, float) for each in values):
        raise ValueError("should be a list of texts; put yes, no, on, off and null in quotes")
    return tuple(str(each) for each in values)


def _pattern(value: Any) -> Any:
    patterns = _texts(value)
    for pattern in patterns:
        parts_of(pattern)
    if not patterns:
        raise ValueError("should be a pattern of file names, as in '{person}/*.csv'")
    return patterns


def check_regex(value: Any) -> Any:
    """Let a regular expression through whose groups are called as the parts of files' names."""
    if value is not None:
        parts_of_regex(value)
    return value


Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Classes = Annotated[tuple[Name, ...], BeforeValidator(_texts)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_pattern)]


class SegmentsSection(Section):
    """Labels in files of their own: a row says from where to where a class lasts.

    Attributes
    ----------
    files : str or list of str
        Which files below `dataset.source`, written as `dataset.tabular.files`; what stands for a part called the same
        must be equal, as in ``labels/{recording}.csv``.
    format : str or None
        As `dataset.tabular.format`.
    text : TextSection
        How they are laid out.
    recording : ColumnSection or None
        Names the recording, where a file has segments of several: its id, or its file's name.
    start : ColumnSection
        The column that says where a segment begins.
    end : ColumnSection
        The column that says where it ends.
    label : ColumnSection
        The column that says its class.
    unit : str
        Of start and end: ``samples`` (rows of the recording's file) or a unit of time.
    counted_from : str
        ``start``: from the recording's first row. ``clock``: as in the recording's time column.
    time_format : str or None
        How date-times are written, as `dataset.tabular.time.format`; without it, as there.
    zone : str or None
        Whose local time they are, as `dataset.tabular.time.zone`; without it, as there.
    first : int
        The number of a recording's first row: 0 or 1.
    end_included : bool
        Whether the row or moment `end` still belongs to the segment.
    """

    files: Patterns
    format: Format | None = None
    text: TextSection = TextSection()
    recording: ColumnSection | None = None
    start: ColumnSection = ColumnSection(column="start")
    end: ColumnSection = ColumnSection(column="end")
    label: ColumnSection = ColumnSection(column="label")
    unit: Literal["samples", "s", "ms", "us", "ns", "iso"]
    counted_from: Literal["start", "clock"] = "start"
    time_format: TimeFormat = None
    zone: Zone = None
    first: Literal[0, 1] = 0
    end_included: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.unit == "samples" and self.counted_from == "clock":
            raise contradiction("counted_from", "samples are counted from the start: give a unit of time, or start")
        if self.unit == "iso" and self.counted_from == "start":
            raise contradiction("counted_from", "date-times are counted from the clock: give clock")
        check_written_times(self.unit, "time_format", self.time_format, self.zone)
        _check_formats(self.files, self.format)
        return self


class LabelSection(ColumnSection):
    """What the wearer was doing: a column, a part of the file's name, or segments in other files.

    Attributes
    ----------
    column : str, int or None
        The column's name, or its position counted from 1. In NPZ and MAT, the name of a one-dimensional array, or with
        `variable` the position in it. Without it, and without `segments`, ``{label}`` in `dataset.tabular.files` says
        it.
    variable : str or None
        NPZ and MAT: the array, with dots into MATLAB structs, as in ``data.acc``.
    segments : SegmentsSection or None
        Where the labels lie in files of their own.
    names : dict of str to str
        The class that a code or another spelling means, as in ``{1: WALKING, walk: WALKING}``.
    classes : list of str or None
        All classes in the order of their numbers; without it, those of `names`.
    ignore : list of str
        Values that mean "not labelled", as do empty ones.
    null_class : str or None
        The class that means "none of the others".
    """

    segments: SegmentsSection | None = None
    names: dict[str, Name] = Field(default={})
    classes: Classes | None = None
    ignore: Texts = ()
    null_class: Name | None = None

    @model_validator(mode="after")
    def _in_classes(self) -> Self:
        if len(self.all_classes) < 2:
            raise contradiction("classes", "name at least two classes here, or in names")
        if twice := doubled(self.classes or ()):
            raise contradiction("classes", f"{', '.join(twice)} given twice: name each once")
        if unknown := sorted(set(self.names.values()) - set(self.all_classes)):
            raise contradiction("names", f"{', '.join(unknown)} not in classes: add them there")
        if self.null_class is not None and self.null_class not in self.all_classes:
            raise contradiction("null_class", f"{self.null_class} is none of {', '.join(self.all_classes)}")
        if both := sorted(set(self.ignore) & {*self.all_classes, *self.names}):
            raise contradiction("ignore", f"{', '.join(both)} also a class or in names: name each in one of them")
        return self

    @property
    def all_classes(self) -> tuple[str, ...]:
        """Names of the K classes, in order."""
        return tuple(dict.fromkeys(self.names.values())) if self.classes is None else self.classes


class TabularSection(Section):
    r"""Recordings in tables: which files, who, when, what was measured, what was done.

    Attributes
    ----------
    files : str or list of str
        Which files below `dataset.source`. ``*`` stands for anything within a name, ``**`` for any folders, ``?`` for
        one character; ``{person}``, ``{recording}``, ``{label}`` and ``{split}`` (train or test) stand for what they
        name. Files that differ in nothing but ``{part}`` are one recording, in the order of their parts.
    regex : str or None
        For what such a pattern cannot say: a regular expression with groups called as above, as in
        ``(?P<person>s\d+)``, that is searched for in each file's path.
    format : str or None
        ``csv``, ``tsv``, ``text`` (blanks between columns), ``parquet``, ``npz`` or ``mat`` (up to version 7); without
        it, by the end of the files' names.
    text : TextSection
        How text is laid out.
    transposed : bool
        NPZ and MAT: whether the arrays have a channel per row, not per column.
    missing : list of str
        Values that mean "no reading", besides empty ones.
    person : PersonSection or None
        Who wore the sensors, without ``{person}``.
    recording : ColumnSection or None
        A column by which a file is divided into recordings; else each file is one, of each person.
    rate_hz : float
        Samples per second: of the files, or with `time` of the grid they are put on.
    time : TimeSection or None
        When each row was taken; without it, rows follow each other at `rate_hz`.
    channels : dict of str to ChannelSection
        The channels by name, in the order of a stream's.
    labels : LabelSection
        What was done.
    """

    files: Patterns
    regex: Annotated[str | None, BeforeValidator(check_regex)] = None
    format: Format | None = None
    text: TextSection = TextSection()
    transposed: bool = False
    missing: Texts = ("NaN", "nan", "NA", "null")
    person: PersonSection | None = None
    recording: ColumnSection | None = None
    rate_hz: Annotated[float, Field(gt=0.0)]
    time: TimeSection | None = None
    channels: Annotated[dict[Name, ChannelSection], Field(min_length=1)]
    labels: LabelSection

    @model_validator(mode="after")
    def _formats(self) -> Self:
        _check_formats(self.files, self.format)
        return self

    @model_validator(mode="after")
    def _who(self) -> Self:
        if not self._named("person") and self.person is None:
            raise contradiction("person", "nothing says who: put {person} into files, or give a column or a name here")
        if self._named("person") and self.person is not None:
            raise contradiction("person", "also named in files: say it once")
        if self._named("recording") and self.recording is not None:
            raise contradiction("recording", "also named in files: say it once")
        return self

    @model_validator(mode="after")
    def _labelled_once(self) -> Self:
        ways = {
            "{label} in files": self._named("label"),
            "labels.column": self.labels.given,
            "labels.segments": self.labels.segments is not None,
        }
        given = [way for way, is_so in ways.items() if is_so]
        if len(given) != 1:
            what = f"given by {' and '.join(given)}" if given else "nothing says what was done"
            raise contradiction("labels", f"{what}: give one of {', '.join(ways)}")
        segments = self.labels.segments
        if segments and segments.counted_from == "clock" and self.time is None:
            raise contradiction("time", "missing: labels.segments are counted from its clock")
        if segments and segments.counted_from == "start" and any("part" in parts_of(each) for each in segments.files):
            problem = "names {part}, but a recording's parts have one start: count from the clock, or leave it out"
            raise contradiction("labels.segments.files", problem)
        return self

    @model_validator(mode="after")
    def _joined_by_time(self) -> Self:
        rows = [channel.where for channel in self.channels.values()]
        if self.time is None and any(rows):
            if any(each != rows[0] for each in rows):
                raise contradiction("time", "missing: channels of different rows ('where') are joined by their times")
            if self.labels.segments and self.labels.segments.unit == "samples":
                raise contradiction("time", "missing: with 'where', segments cannot be counted in samples")
        return self

    @model_validator(mode="after")
    def _no_answer_read(self) -> Self:
        answer = (self.labels.variable, self.labels.column)
        for name, channel in self.channels.items():
            if self.labels.given and answer == ((channel.variable, channel.column) if channel.given else (None, name)):
                raise contradiction("channels", f"{name} is the column of labels: a model would read its own answer")
        return self

    def _named(self, part: str) -> bool:
        named = [parts_of(pattern) for pattern in self.files]
        if self.regex is not None:
            named = [parts | parts_of_regex(self.regex) for parts in named]
        return all(part in parts for parts in named)


def format_of(name: str) -> Format | None:
    """Return what a file is by the end of its name."""
    return FORMATS.get(PurePosixPath(name).suffix.lower())


def _check_formats(patterns: tuple[str, ...], given: Format | None) -> None:
    unknown = [pattern for pattern in patterns if given is None and format_of(pattern) is None]
    if unknown:
        known = ", ".join(dict.fromkeys(FORMATS.values()))
        raise contradiction("format", f"{', '.join(unknown)} does not tell: give one of {known}")
