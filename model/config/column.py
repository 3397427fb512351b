"""What a description of recordings says of a file's text and of single columns."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from kinestream.model.config.section import Name, Section, contradiction
from kinestream.model.timeformat import checked_format, has_offset, is_time_of_day

Unit = Literal["s", "ms", "us", "ns", "iso"]
CounterBits = Literal[8, 16, 32]


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


def _zone(value: Any) -> Any:
    if value is None:
        return None
    import polars as pl  # its zones are those that rows are read with; a machine need not have any of its own

    try:
        pl.Series([0], dtype=pl.Datetime("ns")).dt.replace_time_zone(value)
    except (pl.exceptions.PolarsError, TypeError):
        raise ValueError("should be a time zone, as in Europe/Berlin") from None
    return value


def _values(value: Any) -> Any:
    """Read the values of columns as text: numbers of sensors are numbers to YAML."""
    if not isinstance(value, dict) or not all(type(each) in (str, int) for each in value.values()):
        raise ValueError("should be columns and what they hold, as in {sensor: acc}")
    return {str(column): str(each) for column, each in value.items()}


ColumnName = Annotated[str | int, BeforeValidator(_column)]
Character = Annotated[str, BeforeValidator(_character)]
Zone = Annotated[str | None, BeforeValidator(_zone)]
TimeFormat = Annotated[str | None, BeforeValidator(checked_format)]


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
    column : str, int or None
        The column's name, or its position counted from 1; without it, the column called as the channel is. In NPZ and
        MAT, the name of a one-dimensional array, or with `variable` the position in it.
    variable : str or None
        NPZ and MAT: the array, with dots into MATLAB structs, as in ``data.acc``.
    unit : str
        After the conversion, as in ``m/s2``, ``g``, ``rad/s``.
    factor : float
        What is recorded is multiplied by it, to convert units: ``9.80665`` from g to m/s2.
    offset : float
        What is added afterwards.
    where : dict of str to str
        In a long table, whose rows are of several sensors in turn: which rows are this channel's, by what other
        columns hold, as in ``{sensor: acc}``. A column is called by its name, or its position counted from 1.
    """

    unit: Name = ""
    factor: float = 1.0
    offset: float = 0.0
    where: Annotated[dict[str, str], BeforeValidator(_values)] = Field(default={})


class PersonSection(ColumnSection):
    """Who wore the sensors, where the files' names do not say.

    Attributes
    ----------
    column : str, int or None
        The name, or the position counted from 1, of a column that says whose each row is: a file is divided by it. In
        NPZ and MAT, the name of a one-dimensional array, or with `variable` the position in it.
    variable : str or None
        NPZ and MAT: the array, with dots into MATLAB structs, as in ``data.acc``.
    name : str or None
        Instead, the one person whom all recordings are of.
    """

    name: Annotated[Name, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.name is not None) == self.given:
            raise contradiction("name", "give either a column or a name")
        return self


class CounterSection(ColumnSection):
    """What a device numbered its readings with.

    Attributes
    ----------
    column, variable
        See `ColumnSection`.
    bits : int or None
        How wide the counter is, which starts again when it is full; None where it never does.
    """

    bits: CounterBits | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.given:
            raise contradiction("column", "missing")
        return self


class TimeSection(ColumnSection):
    """When each row was taken; the recording is put on a regular grid of `rate_hz`.

    Attributes
    ----------
    column : str, int or None
        The column's name, or its position counted from 1. In NPZ and MAT, the name of a one-dimensional array, or with
        `variable` the position in it.
    variable : str or None
        NPZ and MAT: the array, with dots into MATLAB structs, as in ``data.acc``.
    unit : str
        ``s``, ``ms``, ``us``, ``ns``, counted from wherever, or ``iso`` for date-times as 2024-05-01T12:30:00.250. What
        a file stores as a date-time, a duration or a time of day says so itself. Not needed with `format`.
    format : str or None
        How date-times, or times of day, are written, as ``strftime`` has it: ``%d/%m/%Y %H:%M:%S.%f``.
    zone : str or None
        Whose local time date-times without an offset are, as in ``Europe/Berlin``; without it, UTC.
    any_order : bool
        Whether rows may stand in any order of their times. Without it, a row whose time is before that of the row above
        must fill a gap: a clock that was set back is refused, for its rows would lie among others.
    longest_gap_s : float or None
        Between readings further apart nothing is interpolated; without it, five steps of the grid.
    packets : bool
        Whether rows come in packets whose rows share the time of the last: they are spread over the time before it.
    counter : CounterSection or None
        The column that numbers a sensor's rows, by which lost ones are told. Without a column of times it says when
        rows were taken; with one, that is when they arrived, and the least delayed of them say when others were taken.
    rate_hz : float or None
        Readings per second by the sensor's own clock, for `packets` and `counter`; without it, that of the grid.
    """

    unit: Unit
    format: TimeFormat = None
    zone: Zone = None
    any_order: bool = False
    longest_gap_s: Annotated[float, Field(gt=0.0)] | None = None
    packets: bool = False
    counter: CounterSection | None = None
    rate_hz: Annotated[float, Field(gt=0.0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _format_is_unit_enough(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("format") is not None:
            return {"unit": "iso", **value}
        if isinstance(value, dict) and value.get("counter") is not None and not {"column", "variable"} & value.keys():
            return {"unit": "s", **value}  # of which there are none
        return value

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not self.given and self.counter is None:
            raise contradiction("column", "missing")
        if self.packets and self.counter is not None:
            raise contradiction("packets", "also counter, which says more of when rows were taken: leave packets out")
        if self.any_order and (self.packets or self.counter is not None):
            raise contradiction("any_order", "packets and counter need rows as they came: leave it out")
        if self.rate_hz is not None and not (self.packets or self.counter is not None):
            raise contradiction("rate_hz", "of packets or of a counter, and neither is given: leave it out")
        check_written_times(self.unit, "format", self.format, self.zone)
        return self

    @model_serializer(mode="wrap")
    def _as_ever(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What uses none of these is written as before there were any: runs and results stay what they were.
        content: dict[str, Any] = written(self)
        later = {"packets": False, "counter": None, "rate_hz": None}
        return {key: value for key, value in content.items() if key not in later or value != later[key]}


def check_written_times(unit: str, key: str, layout: str | None, zone: str | None) -> None:
    """Raise a `contradiction` unless the layout of date-times, under `key`, goes with their unit and zone."""
    if layout is not None and unit != "iso":
        raise contradiction(key, f"is of date-times, but unit is {unit}: leave out one of both")
    if zone is not None and unit != "iso":
        raise contradiction("zone", f"is of date-times, but unit is {unit}: leave it out")
    if zone is not None and layout is not None and (is_time_of_day(layout) or has_offset(layout)):
        raise contradiction("zone", f"has no meaning for {layout}: leave it out")
