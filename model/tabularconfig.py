"""How a YAML file describes recordings in tables of any layout: ``dataset.tabular``."""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from model.filepattern import parts_of, parts_of_regex
from model.section import Section, contradiction, doubled

Format = Literal["csv", "tsv", "text", "parquet", "npz", "mat"]
Unit = Literal["s", "ms", "us", "ns", "iso"]

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


def _column(value: Any) -> Any:
    if isinstance(value, str) or (type(value) is int and value >= 1):
        return value
    raise ValueError("should be a column's name, or its position counted from 1")


def _character(value: Any) -> Any:
    if isinstance(value, str) and len(value) == 1 and value not in '"\r\n':
        return value
    raise ValueError('should be one character, as in ";" or "\\t"')


def _encoding(value: Any) -> Any:
    try:
        "".encode(value)
    except (LookupError, TypeError):
        raise ValueError("should be an encoding, as in utf-8, latin-1 or utf-16") from None
    return value


def _pattern(value: Any) -> Any:
    patterns = _texts(value)
    for pattern in patterns:
        parts_of(pattern)
    if not patterns:
        raise ValueError("should be a pattern of file names, as in '{person}/*.csv'")
    return patterns


def _regex(value: Any) -> Any:
    if value is not None:
        parts_of_regex(value)
    return value


Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
ColumnName = Annotated[str | int, BeforeValidator(_column)]
Character = Annotated[str, BeforeValidator(_character)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_pattern)]


class TextSection(Section):
    """How CSV, TSV and other text is laid out; of no matter to the other formats.

    Attributes
    ----------
    header : bool
        Whether the first row names the columns.
    separator : str or None
        The character between columns; without it, ``,`` in CSV, a tab in TSV, and any blanks in other text.
    decimal : str
        What stands in numbers before the fraction.
    comment : str or None
        Lines that begin with this are left out.
    skip_rows : int
        Lines to leave out at the beginning.
    encoding : str
        As in ``utf-8``, ``latin-1``, ``utf-16``.
    """

    header: bool = True
    separator: Character | None = None
    decimal: Literal[".", ","] = "."
    comment: Annotated[str, Field(min_length=1)] | None = None
    skip_rows: Annotated[int, Field(ge=0)] = 0
    encoding: Annotated[str, BeforeValidator(_encoding)] = "utf-8"

    @model_validator(mode="after")
    def _decimal_is_no_separator(self) -> Self:
        if self.decimal == self.separator:
            raise contradiction("separator", f"{self.separator!r} also stands in numbers: it can be only one of both")
        return self


class ColumnSection(Section):
    """Where values stand in a file; ``key: NAME`` is short for ``key: {column: NAME}``.

    Attributes
    ----------
    column : str, int or None
        The column's name, or its position counted from 1. In NPZ and MAT, the name of a one-dimensional array, or with
        `variable` the position in it.
    variable : str or None
        NPZ and MAT: the array, with dots into MATLAB structs, as in ``data.acc``.
    """

    column: ColumnName | None = None
    variable: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str | int) else {} if value is None else value

    @model_validator(mode="after")
    def _position_in_variable(self) -> Self:
        if self.variable is not None and isinstance(self.column, str):
            raise contradiction("column", f"{self.column!r} in the array {self.variable}: give a position, from 1")
        return self

    @property
    def given(self) -> bool:
        """Whether it names any column."""
        return self.column is not None or self.variable is not None


class ChannelSection(ColumnSection):
    """One channel; what is recorded becomes ``factor * value + offset``.

    Attributes
    ----------
    column, variable
        See `ColumnSection`; without both, the column called as the channel is.
    unit : str
        After the conversion, as in ``m/s2``, ``g``, ``rad/s``.
    factor, offset : float
        To convert units.
    """

    unit: str = ""
    factor: float = 1.0
    offset: float = 0.0


class PersonSection(ColumnSection):
    """Who wore the sensors, where the files' names do not say.

    Attributes
    ----------
    column, variable
        See `ColumnSection`; a file is divided by what stands there.
    name : str or None
        Instead, whose all recordings are.
    """

    name: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.name is not None) == self.given:
            raise contradiction("name", "give either a column or a name")
        return self


class TimeSection(ColumnSection):
    """When each row was taken; the recording is put on a regular grid of `rate_hz`.

    Attributes
    ----------
    column, variable
        See `ColumnSection`.
    unit : str
        ``s``, ``ms``, ``us``, ``ns``, counted from wherever, or ``iso`` for date-times as 2024-05-01T12:30:00.250.
    longest_gap_s : float or None
        Between readings further apart nothing is interpolated; without it, five steps of the grid.
    """

    unit: Unit
    longest_gap_s: Annotated[float, Field(gt=0.0)] | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.given:
            raise contradiction("column", "missing")
        return self


class SegmentsSection(Section):
    """Labels in files of their own: a row says from where to where a class lasts.

    Attributes
    ----------
    files : str or list of str
        As `TabularSection.files`; parts named as there must be equal, as in ``labels/{recording}.csv``.
    format : str or None
        As `TabularSection.format`.
    text : TextSection
        How they are laid out.
    recording : ColumnSection or None
        Names the recording, where a file has segments of several: its id, or its file's name.
    start, end, label : ColumnSection
        Where a segment begins and ends, and its class.
    unit : str
        Of start and end: ``samples`` (rows of the recording's file) or a unit of time.
    counted_from : str
        ``start``: from the recording's first row. ``clock``: as in the recording's time column.
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
    first: Literal[0, 1] = 0
    end_included: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.unit == "samples" and self.counted_from == "clock":
            raise contradiction("counted_from", "samples are counted from the start: give a unit of time, or start")
        if self.unit == "iso" and self.counted_from == "start":
            raise contradiction("counted_from", "date-times are counted from the clock: give clock")
        _check_formats(self.files, self.format)
        return self


class LabelSection(ColumnSection):
    """What the wearer was doing: a column, a part of the file's name, or segments in other files.

    Attributes
    ----------
    column, variable
        See `ColumnSection`; without it, and without segments, ``{label}`` in `TabularSection.files` says it.
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
    names: dict[str, str] = Field(default={})
    classes: Texts | None = None
    ignore: Texts = ()
    null_class: str | None = None

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
        name.
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
    regex: Annotated[str | None, BeforeValidator(_regex)] = None
    format: Format | None = None
    text: TextSection = TextSection()
    transposed: bool = False
    missing: Texts = ("NaN", "nan", "NA", "null")
    person: PersonSection | None = None
    recording: ColumnSection | None = None
    rate_hz: Annotated[float, Field(gt=0.0)]
    time: TimeSection | None = None
    channels: Annotated[dict[str, ChannelSection], Field(min_length=1)]
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
        said = [way for way, is_so in ways.items() if is_so]
        if len(said) != 1:
            what = f"said by {' and '.join(said)}" if said else "nothing says what was done"
            raise contradiction("labels", f"{what}: give one of {', '.join(ways)}")
        segments = self.labels.segments
        if segments and segments.counted_from == "clock" and self.time is None:
            raise contradiction("time", "missing: labels.segments are counted from its clock")
        return self

    def _named(self, part: str) -> bool:
        named = [parts_of(pattern) for pattern in self.files]
        if self.regex is not None:
            named = [parts | parts_of_regex(self.regex) for parts in named]
        return all(part in parts for parts in named)


def format_of(name: str) -> Format | None:
    """Return what a file is by the end of its name."""
    return FORMATS.get(PurePosixPath(name).suffix.lower())


def _check_formats(patterns: tuple[str, ...], said: Format | None) -> None:
    unknown = [pattern for pattern in patterns if said is None and format_of(pattern) is None]
    if unknown:
        known = ", ".join(dict.fromkeys(FORMATS.values()))
        raise contradiction("format", f"{', '.join(unknown)} does not tell: give one of {known}")
