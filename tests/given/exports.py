"""Writes what phones and recorders write, small: each sensor with its own times, none of it recorded by anybody."""

import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

START_NS = 1_700_000_000_000_000_000
DAY = "2025-01-31_10-00"
METADATA = "version,device name,platform,standardisation\n3,PHONE,{platform},{standardised}\n"

Floats = npt.NDArray[np.float64]


def wave(seconds: Floats, hz: float = 2.0) -> Floats:
    """Return three axes of something that swings, shape (M, 3)."""
    return np.stack([np.sin(2 * np.pi * hz * seconds + phase) for phase in (0.0, 1.0, 2.0)], axis=1)


def moments(rate_hz: float, seconds: float, first_s: float = 0.0) -> Floats:
    """Return when a sensor's readings are taken, in seconds."""
    return first_s + np.arange(round(seconds * rate_hz)) / rate_hz


def sensor_table(seconds: Floats, values: Floats, axes: str = "zyx") -> str:
    """Return a table of Sensor Logger; the columns of `values` are x, y and z."""
    order = ["xyz".index(axis) for axis in axes]
    lines = [
        f"{START_NS + round(at * 1e9)},{at:.6f}," + ",".join(repr(float(row[each])) for each in order)
        for at, row in zip(seconds, values, strict=True)
    ]
    return "\n".join([f"time,seconds_elapsed,{','.join(axes)}", *lines]) + "\n"


def sensor_logger(
    path: Path, tables: Mapping[str, str], platform: str = "android", standardised: str = "false", notes: str = ""
) -> Path:
    """Write an export of Sensor Logger, as a zip or a folder by its name."""
    about = METADATA.format(platform=platform, standardised=standardised)
    files = {f"{name}.csv": text for name, text in tables.items()} | {"Metadata.csv": about, "Annotation.csv": notes}
    return written(path, files)


def activities(folder: Path, recordings: int = 3, seconds: float = 4.0) -> Path:
    """Write zips of two activities, called as the app calls them: two sensors at rates of their own."""
    rng = np.random.default_rng(0)
    for name, hz in (("Walking", 2.0), ("Jumping", 5.0)):
        for number in range(1, recordings + 1):
            fast, slow = moments(50, seconds), moments(40, seconds, first_s=0.013)
            noise = rng.normal(0, 0.05, (len(fast), 3))
            sensor_logger(
                folder / f"{name}_{number}-{DAY}-0{number}.zip",
                {
                    "Accelerometer": sensor_table(fast, wave(fast, hz) + noise),
                    "Gyroscope": sensor_table(slow, wave(slow, hz), axes="yxz"),
                },
            )
    return folder


def phyphox_table(seconds: Floats, values: Floats, separator: str = ",", decimal: str = ".") -> str:
    """Return a table of phyphox."""
    names = ["Time (s)", *(f"Acceleration {axis} (m/s^2)" for axis in "xyz")]
    rows = np.column_stack([seconds, values])
    lines = [separator.join(f"{value:.9E}".replace(".", decimal) for value in row) for row in rows]
    return "\n".join([separator.join(f'"{name}"' for name in names), *lines]) + "\n"


def phyphox_events(events: Sequence[tuple[str, float, float]], separator: str = ",", decimal: str = ".") -> str:
    """Return the table of when an experiment was started and paused, by its clock and by the system's."""
    names = ["event", "experiment time", "system time", "system time text"]
    lines = [
        separator.join(
            [f'"{what}"', f"{at:.9E}".replace(".", decimal), f"{clock:.3f}".replace(".", decimal), '"then, at night"']
        )
        for what, at, clock in events
    ]
    return "\n".join([separator.join(f'"{name}"' for name in names), *lines]) + "\n"


def written(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder, or into a zip where it is called so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    for name, content in files.items():
        at = path / name
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def xdf(streams: Sequence[bytes]) -> bytes:
    """Return an XDF file of streams that `xdf_stream` made."""
    header = _chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>')
    return b"XDF:" + header + b"".join(streams)


def xdf_stream(
    number: int,
    name: str,
    stamps: Sequence[float],
    values: Floats | Sequence[str],
    *,
    rate_hz: float = 0.0,
    offset_s: float = 0.0,
    channels: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Return one stream of an XDF file.

    Parameters
    ----------
    number, name
        Which.
    stamps : sequence of float
        When samples were taken, in seconds of the stream's own clock.
    values : ndarray of float64, shape (M, C), or sequence of str
        What was measured, or markers.
    rate_hz : float
        As it is stated.
    offset_s : float
        What the recorder measured: by how much its clock is ahead of the stream's.
    channels : sequence of (str, str)
        Names and units of channels, where they are described.
    """
    texts = not isinstance(values, np.ndarray)
    width = 1 if texts else values.shape[1]
    described = "".join(f"<channel><label>{label}</label><unit>{unit}</unit></channel>" for label, unit in channels)
    desc = f"<desc><channels>{described}</channels></desc>" if channels else "<desc></desc>"
    info = (
        f'<?xml version="1.0"?><info><name>{name}</name><type>any</type><channel_count>{width}</channel_count>'
        f"<nominal_srate>{rate_hz}</nominal_srate><channel_format>{'string' if texts else 'double64'}</channel_format>"
        f"<created_at>0</created_at>{desc}</info>"
    )
    tag = struct.pack("<I", number)
    packed = [_text(row) if isinstance(row, str) else row.astype("<f8").tobytes() for row in values]
    body = b"".join(struct.pack("<Bd", 8, at) + row for at, row in zip(stamps, packed, strict=True))
    clock = [struct.pack("<dd", at, offset_s) for at in (0.0, 5.0, 10.0)]
    footer = b'<?xml version="1.0"?><info><sample_count>0</sample_count></info>'
    return b"".join(
        [
            _chunk(2, tag + info.encode()),
            *(_chunk(4, tag + each) for each in clock),
            *([_chunk(3, tag + _length(len(stamps)) + body)] if len(stamps) else []),
            _chunk(6, tag + footer),
        ]
    )


def _chunk(tag: int, content: bytes) -> bytes:
    return _length(len(content) + 2) + struct.pack("<H", tag) + content


def _text(text: str) -> bytes:
    return _length(len(text.encode())) + text.encode()


def _length(count: int) -> bytes:
    return struct.pack("<BI", 4, count)
