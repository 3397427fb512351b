"""How a YAML file describes what phones and labs write, several sensors to a recording: ``dataset.export``."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from kinestream.model.config.column import ChannelSection, PersonSection, TextSection, TimeSection
from kinestream.model.config.pattern import parts_of, parts_of_regex
from kinestream.model.config.section import Name, NotNegative, Section, contradiction, doubled
from kinestream.model.config.tabular import LabelSection, Patterns, check_regex

ExportFormat = Literal["sensor_logger", "phyphox", "xdf", "csv"]


class SensorSection(Section):
    """A sensor of such a recording: a device with times and a rate of its own.

    Attributes
    ----------
    source : str or None
        Its file, without the ending, or its stream; without it, the one that is called as the sensor is here.
    rate_hz : float
        Readings per second, nominally: readings that share a stamp are spread back by it. 0: they are irregular.
    channels : dict of str to ChannelSection
        Its channels by name, in the order of a stream's; a column is called by its name, or its position among those
        that hold readings.
    """

    source: Annotated[Name, Field(min_length=1)] | None = None
    rate_hz: NotNegative = 0.0
    channels: Annotated[dict[Name, ChannelSection], Field(min_length=1)]

    @model_validator(mode="after")
    def _plain_columns(self) -> Self:
        if any(channel.where or channel.variable is not None for channel in self.channels.values()):
            raise contradiction("channels", "'where' and 'variable' have no meaning in an export: leave them out")
        return self


class ExportLabelSection(LabelSection):
    """What the wearer was doing: a part of the file's name, a stream of markers, or segments in other files.

    Attributes
    ----------
    column, variable
        Of no use here.
    markers : str or None
        XDF: the stream whose markers are labels; Sensor Logger: ``Annotation``. Each holds until the
        next; a text of more than 64 characters names no class.
    segments, names, classes, ignore, null_class
        As `LabelSection`'s.
    """

    markers: Annotated[Name, Field(min_length=1)] | None = None


class ExportSection(Section):
    r"""Recordings of an app or of a laboratory's recorder, as it writes them.

    Attributes
    ----------
    format : str
        ``sensor_logger``, ``phyphox``, ``xdf``, or ``csv``: any other zip or folder with a CSV for each sensor.
    text, time : TextSection, TimeSection
        With ``csv``: how all tables are laid out, and when their rows were taken.
    files : str or list of str
        Which zips, folders or XDF files below `dataset.source` are a recording each, as in `TabularSection.files`.
    regex : str or None
        As `TabularSection.regex`.
    person : PersonSection or None
        The name of who wore the sensors, without ``{person}``.
    rate_hz : float
        Samples per second of the grid on which all sensors are laid, as a streamer lays them.
    sensors : dict of str to SensorSection
        Each by what it is called: they are the devices of `--devices`.
    labels : ExportLabelSection or None
        What was done; without it, recordings can be looked at and replayed, but not trained on.
    """

    format: ExportFormat
    text: TextSection | None = None
    time: TimeSection | None = None
    files: Patterns
    regex: Annotated[str | None, BeforeValidator(check_regex)] = None
    person: PersonSection | None = None
    rate_hz: Annotated[float, Field(gt=0.0)]
    sensors: Annotated[dict[Name, SensorSection], Field(min_length=1)]
    labels: ExportLabelSection | None = None

    @model_validator(mode="after")
    def _laid_out(self) -> Self:
        if self.format != "csv" and (self.text is not None or self.time is not None):
            key = "text" if self.text is not None else "time"
            raise contradiction(key, f"what {self.format} writes says so itself: leave it out, or give format: csv")
        if self.format == "csv" and self.time is None:
            raise contradiction("time", "missing: sensors in tables of their own are joined by their times")
        if self.text is not None and not self.text.header:
            raise contradiction("text.header", "false, but columns of sensors are called by their names: give them any")
        if self.time is not None and (self.time.counter or self.time.packets or self.time.longest_gap_s):
            problem = (
                "counter, packets and longest_gap_s are of one table: leave them out, and give sensors their rate_hz"
            )
            raise contradiction("time", problem)
        return self

    @model_validator(mode="after")
    def _who(self) -> Self:
        if self.person is not None and self.person.given:
            raise contradiction("person", "an export has no column of people: give a name, or {person} in files")
        if self._named("person") == (self.person is not None):
            problem = "also named in files: say it once" if self.person else "nothing says who: give {name: ...} here"
            raise contradiction("person", problem)
        if self._named("part"):
            raise contradiction("files", "names {part}: an export is a recording of its own")
        return self

    @model_validator(mode="after")
    def _labelled_once(self) -> Self:
        labels = self.labels
        if labels is None:
            return self
        if labels.given:
            raise contradiction("labels", "an export has no column of labels: leave 'column' and 'variable' out")
        ways = {
            "{label} in files": self._named("label"),
            "labels.markers": labels.markers is not None,
            "labels.segments": labels.segments is not None,
        }
        given = [way for way, is_so in ways.items() if is_so]
        if len(given) != 1:
            what = f"given by {' and '.join(given)}" if given else "nothing says what was done"
            raise contradiction("labels", f"{what}: give one of {', '.join(ways)}")
        if labels.segments and labels.segments.unit == "samples":
            raise contradiction("labels.segments.unit", "an export has no rows to count: give a unit of time")
        return self

    @model_validator(mode="after")
    def _channels_once(self) -> Self:
        if twice := doubled(name for sensor in self.sensors.values() for name in sensor.channels):
            raise contradiction("sensors", f"{', '.join(twice)} in two sensors: name each channel once")
        return self

    def _named(self, part: str) -> bool:
        named = [parts_of(pattern) for pattern in self.files]
        if self.regex is not None:
            named = [parts | parts_of_regex(self.regex) for parts in named]
        return all(part in parts for parts in named)
