"""A rig: the devices a wearer carries, where each comes from, and what its channels are called in the bundle."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from kinestream.model.config.column import Character, ColumnName, TimeFormat
from kinestream.model.config.file import load_section
from kinestream.model.config.section import Name, NotNegative, Section, contradiction, doubled
from kinestream.streamer.client import Reliable
from kinestream.streamer.wire.messages import CONTROL, INGEST, LABELS, MAX_TEXT, channel_is_valid, name_is_valid

MOST_DEVICES = 32
_SLOWEST_HZ = 0.1


def _wire_name(value: Any) -> Any:
    if isinstance(value, str) and name_is_valid(value):
        return value
    raise ValueError(f"should be a name of 1 to {MAX_TEXT} letters, digits and _ . : @ + -")


WireName = Annotated[str, BeforeValidator(_wire_name)]


class RigChannel(Section):
    """One of the bundle's channels; what is sent is ``factor * value + offset``. ``key: ax`` is short for its source.

    Attributes
    ----------
    source : str or int
        What its device calls it: of `csv`, a column's name or its position from 1; of `lsl`, a channel's label or its
        position from 1; of `web`, sensor and axis, as in ``gyroscope.x``.
    unit : str
        Of what is sent, as in ``m/s2``, ``g``, ``deg/s``; the streamer converts it to the bundle's. Without it, it is
        taken for the bundle's.
    factor, offset : float
        To make a unit of what a board prints: counts of a 16-bit sensor of 2 g are ``factor: 6.1035e-5`` of a g.
    """

    source: ColumnName
    unit: Name = ""
    factor: Annotated[float, Field(ge=-1e12, le=1e12)] = 1.0
    offset: float = 0.0

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.factor:
            raise contradiction("factor", "0 makes every reading the same: give another")
        return self

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str | int) else value


class CsvSection(Section):
    """Lines of text, as boards print them.

    Attributes
    ----------
    path : str or None
        A file, named pipe or serial port to read; standard input without it.
    header : bool
        Whether the first line names the columns. Without it, they are called by their position from 1.
    separator : str or None
        The character between columns; any blanks without it.
    comment : str or None
        Lines that begin with this are left out.
    time : str or int or None
        The column that says when a reading was taken, by the board's clock.
    time_unit : {"s", "ms", "us", "ns", "iso"}
        What that column counts, from wherever; ``iso`` for date-times.
    counter : str or int or None
        The column that numbers readings, where none tells the time: it shows what was lost.
    bits : int
        How wide that counter is, or the time's where it wraps too, up to 62 (0: it does not).
    time_format : str or None
        How date-times are written, where not as ISO 8601 has it, as in ``%d/%m/%Y %H:%M:%S.%f``.
    where : dict of str to str
        Only lines whose columns hold these, where a board prints lines of several sensors: ``{1: ACC}``.
    """

    path: str | None = None
    header: bool = False
    separator: Character | None = ","
    comment: Annotated[str, Field(min_length=1)] | None = "#"
    time: ColumnName | None = None
    time_unit: Literal["s", "ms", "us", "ns", "iso"] = "ms"
    time_format: TimeFormat = None
    counter: ColumnName | None = None
    bits: Annotated[int, Field(ge=0, le=62)] = 0
    where: dict[str, str] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(where := value.get("where"), dict):
            value = {**value, "where": {str(column): str(each) for column, each in where.items()}}
        return value

    @model_validator(mode="after")
    def _one_clock(self) -> Self:
        if self.time is not None and self.counter is not None:
            raise contradiction("counter", "there is a time already: leave out one of both")
        if self.counter is not None and not 2 <= self.bits <= 62:
            raise contradiction("bits", "how wide is the counter? give 8, 16 or 32")
        wrong = [key for key in self.where if _is_position(key) < 0 or (not self.header and not _is_position(key))]
        if wrong:
            raise contradiction("where", f"{wrong[0][:80]!r} is no column: give positions from 1, or names of a header")
        if not self.header and any(isinstance(each, str) for each in (self.time, self.counter)):
            raise contradiction("header", "columns are named, but there is no header: say 'header: true' or positions")
        return self


class LslSection(Section):
    """A stream of the lab streaming layer, found by what is given of it.

    Attributes
    ----------
    name, type, source_id : str or None
        What its outlet says of itself; one of them at least.
    """

    name: str | None = None
    type: str | None = None
    source_id: str | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        given = [each for each in (self.name, self.type, self.source_id) if each]
        if not given:
            raise contradiction("name", "which stream? give its name, type or source_id")
        if odd := [each for each in given if "'" in each and '"' in each]:
            raise contradiction("name", f"{odd[0][:80]!r} has both kinds of quotes, and cannot be asked for")
        return self


class WebSection(Section):
    """A phone: its browser on the bridge's page, or the app Sensor Logger pushing to the bridge's address.

    Attributes
    ----------
    clock : {"arrival", "own"}
        ``arrival``: its clock is mapped to this machine's by the least delayed arrivals. ``own``: its times are Unix
        times of a clock that is right, and are sent as they are.
    """

    clock: Literal["arrival", "own"] = "arrival"


class RigDevice(Section):
    """One device, of one kind: give `csv`, `lsl` or `web`.

    Attributes
    ----------
    csv, lsl, web : section or None
        Where it comes from.
    rate_hz : float
        Readings a second that it says it delivers; 0 where that is not known.
    delay_ms : float
        How long its readings take at least to arrive, where that is known: the least delay cannot be seen.
    channels : dict of RigChannel by name
        By the names of the bundle's channels.
    """

    csv: CsvSection | None = None
    lsl: LslSection | None = None
    web: WebSection | None = None
    rate_hz: Annotated[float, Field(ge=0.0, le=10_000.0)] = 0.0
    delay_ms: Annotated[NotNegative, Field(le=60_000.0)] = 0.0
    channels: Annotated[dict[Name, RigChannel], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        """``web:`` with nothing under it is a phone, too."""
        if isinstance(value, dict):
            value = {key: {} if key in ("csv", "web") and each is None else each for key, each in value.items()}
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if 0 < self.rate_hz < _SLOWEST_HZ:
            raise contradiction("rate_hz", f"{self.rate_hz:g} is too slow: give {_SLOWEST_HZ:g} or more, or 0")
        given = [kind for kind in ("csv", "lsl", "web") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise contradiction("csv", f"give one of csv, lsl, web; there is {', '.join(given) or 'none'}")
        wrong = [name for name, each in self.channels.items() if not channel_is_valid(name, each.unit)]
        if wrong:
            raise contradiction("channels", f"{wrong[0][:80]!r} is no name and unit of up to {MAX_TEXT} characters")
        sources = {name: each.source for name, each in self.channels.items()}
        if self.web is not None and (odd := [each for each in sources.values() if not _is_axis(each)]):
            raise contradiction("channels", f"{str(odd[0])[:80]!r} is no sensor and axis, as in gyroscope.x")
        csv = self.csv
        if csv is not None and not csv.header and (odd := [each for each in sources.values() if isinstance(each, str)]):
            raise contradiction("channels", f"{odd[0][:80]!r} is a name, but csv has no header: give a position from 1")
        if csv is not None and csv.time is None and not self.rate_hz:
            raise contradiction("rate_hz", "missing: no column tells the time")
        return self

    @property
    def csv_where(self) -> dict[str, str]:
        """Which lines are its own, where it reads lines."""
        return self.csv.where if self.csv is not None else {}

    @property
    def kind(self) -> str:
        """``csv``, ``lsl`` or ``web``."""
        return next(kind for kind in ("csv", "lsl", "web") if getattr(self, kind) is not None)


class WebServer(Section):
    """The bridge's own server, for phones.

    Attributes
    ----------
    host : str
        Where it listens; the default is every address of this machine, since phones come from elsewhere. Strangers are
        kept out by the token in its address.
    port : int
        And at which port.
    https : bool
        Whether it has a certificate, made by itself on first use: browsers hand out sensors on HTTPS only, or on the
        machine itself.
    token : str or None
        What the address holds, 16 to 64 letters, digits, - and _; made and kept beside the certificate without it.
    """

    host: str = "0.0.0.0"
    port: Annotated[int, Field(ge=0, le=65535)] = 8443
    https: bool = True
    token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,64}$")] | None = None


_CLOSE_S = 15.0
"""How long a bridge that ends waits for what is not acknowledged yet."""


class Rig(Section):
    """What ``kinestream bridge`` reads.

    Attributes
    ----------
    stream : str
        Whose readings they are.
    devices : dict of RigDevice by name
        What the wearer carries.
    ingest : str
        Where the streamer takes samples.
    control : str
        Where it answers.
    labels : str
        Where it publishes.
    fleet : str or None
        Where a fleet's directory answers, in place of these three: the stream goes to the streamer that has it.
    reliable : bool
        Whether readings are kept until the streamer acknowledges them, 64 MB of them, and sent again to one that was
        started anew. Then a label waits for a device that says nothing for up to ten seconds, not for 0.3.
    spool : str or None
        Folder in which they are kept, too, so that a bridge that is started anew delivers what the one before had not;
        it takes up to 134 MB.
    keys : str or None
        The file of the bridge's keys, where the streamer asks for them: it needs the rights to send the stream and to
        read. That which KINESTREAM_KEYS names without it.
    lsl_labels : str or None
        The name of a stream of the lab streaming layer to hand labels out by; none without it.
    server : WebServer
        For phones.
    """

    stream: WireName
    devices: Annotated[dict[WireName, RigDevice], Field(min_length=1, max_length=MOST_DEVICES)]
    ingest: str = INGEST
    control: str = CONTROL
    labels: str = LABELS
    fleet: Annotated[str, Field(min_length=1)] | None = None
    reliable: bool = False
    spool: str | None = None
    keys: Annotated[str, Field(min_length=1)] | None = None
    lsl_labels: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)] | None = None
    server: WebServer = WebServer()

    @model_validator(mode="after")
    def _spools_what_is_kept(self) -> Self:
        if self.spool is not None and not self.reliable:
            raise contradiction("spool", "nothing is kept without reliable: true")
        return self

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.fleet is not None and (self.ingest, self.control, self.labels) != (INGEST, CONTROL, LABELS):
            raise contradiction("fleet", "its directory says where streamers are: leave out ingest, control and labels")
        return self

    @property
    def keeps(self) -> bool | Reliable:
        """How readings are kept until they are acknowledged."""
        return Reliable(when_full="drop", close_s=_CLOSE_S, spool=self.spool) if self.reliable else False

    @model_validator(mode="after")
    def _channels_once(self) -> Self:
        if twice := doubled(name for device in self.devices.values() for name in device.channels):
            owners = [name for name, device in self.devices.items() if twice[0] in device.channels]
            raise contradiction(
                f"devices.{owners[-1]}.channels", f"{twice[0]} comes from {owners[0]} already: give each channel once"
            )
        stdin = [name for name, each in self.devices.items() if each.csv is not None and each.csv.path is None]
        if len(stdin) > 1 and any(not self.devices[name].csv_where for name in stdin):
            raise contradiction(
                f"devices.{stdin[-1]}.csv",
                f"standard input is {stdin[0]}'s already: give each 'where', which tells their lines apart, or a path",
            )
        return self

    def of_kind(self, kind: str) -> Iterator[tuple[str, RigDevice]]:
        """Return the devices of a kind, by name."""
        return ((name, device) for name, device in self.devices.items() if device.kind == kind)


def read_rig(path: Path) -> Rig:
    """Read a rig.

    Raises
    ------
    ConfigError
        With everything that is wrong with it.
    FileError
        Where it cannot be read.
    """
    return load_section(path, Rig)


def _is_axis(source: str | int) -> bool:
    sensor, dot, axis = str(source).partition(".")
    return bool(sensor and dot and axis)


def _is_position(column: str) -> int:
    """Tell whether a text is a position from 1; -1 where it is one that cannot be."""
    if not (column.isascii() and column.isdigit()):
        return 0
    return 1 if 0 < int(column) < 1_000_000 else -1
