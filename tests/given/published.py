"""Writes datasets in the layout their authors publish, for tests that cannot have the real ones.

Contents are random but follow from the seed, so that a test can compare what was read with what was written.
"""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

OPPORTUNITY_RUNS = tuple(
    f"S{person}-{run}" for person in range(1, 5) for run in (*(f"ADL{k}" for k in range(1, 6)), "Drill")
)
LOCOMOTION_CODES = (0, 1, 2, 4, 5)
GESTURE_CODES = (
    *(0, 406516, 406517, 404516, 404517, 406520, 404520, 406505, 404505),
    *(406519, 404519, 406511, 404511, 406508, 404508, 408512, 407521, 405506),
)
UCI_HAR_SIGNALS = tuple(f"{signal}_{axis}" for signal in ("body_acc", "body_gyro", "total_acc") for axis in "xyz")


def write_opportunity(
    path: Path,
    *,
    rows_per_run: int = 120,
    runs: Sequence[str] = OPPORTUNITY_RUNS,
    seed: int = 0,
    column_names: bool = True,
    top: str = "OpportunityUCIDataset/dataset/",
) -> Path:
    """Write ``dataset/S1-ADL1.dat`` and so on, into a zip if `path` ends so, else into a folder."""
    files: list[tuple[str, bytes]] = [(f"{top}column_names.txt", column_names_text().encode())] * column_names
    return _write(path, [*files, *_opportunity_runs(runs, rows_per_run, seed, top)])


def opportunity_rows(run: str, rows: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Return the 250 columns that `write_opportunity` writes for a run, shape (rows, 250)."""
    rng = np.random.default_rng([seed, OPPORTUNITY_RUNS.index(run)])
    values = rng.integers(-2000, 2000, (rows, 250)).astype(np.float64)
    values[:, 0] = np.arange(rows) * 100 // 3
    for _ in range(max(1, rows // 40)):  # packets lost on the air: a sensor falls silent for a while
        sensor, start, length = rng.integers(0, 44), rng.integers(0, rows), rng.integers(1, 20)
        values[start : start + length, 1 + 3 * sensor : 4 + 3 * sensor] = np.nan
    values[:, 243:] = 0
    values[:, 243] = _segments(LOCOMOTION_CODES, rows)
    values[:, 249] = _segments(GESTURE_CODES, rows)
    return values


def column_names_text() -> str:
    """Return column_names.txt as published: two blocks, names that repeat among the object sensors."""
    accelerometers = ["RKN^", "HIP", "LUA^", "RUA_", "LH", "BACK", "RKN_", "RWR", "RUA^", "LUA_", "LWR", "RH"]
    names = ["MILLISEC"]
    names += [f"Accelerometer {place} acc{axis}" for place in accelerometers for axis in "XYZ"]
    for place in ("BACK", "RUA", "RLA", "LUA", "LLA"):
        signals = [f"{signal}{axis}" for signal in ("acc", "gyro", "magnetic") for axis in "XYZ"]
        signals += [f"Quaternion{part}" for part in (1, 2, 3, 4)]
        names += [f"InertialMeasurementUnit {place} {signal}" for signal in signals]
    for place in ("L-SHOE", "R-SHOE"):
        signals = [*("Eu" + axis for axis in "XYZ"), *("Nav_A" + axis for axis in "xyz")]
        signals += ["Body_A" + axis for axis in "xyz"]
        signals += [f"AngVel{frame}Frame{axis}" for frame in ("Body", "Nav") for axis in "XYZ"]
        names += [f"InertialMeasurementUnit {place} {signal}" for signal in (*signals, "Compass")]
    while len(names) < 243:  # the published file repeats names here, too
        names.append(f"Accelerometer OBJECT{len(names) // 6} accX")
    lines = [f"Column: {k} {name}; value = round(original_value), unit = milli g" for k, name in enumerate(names, 1)]
    lines[0] = "Column: 1 MILLISEC"
    tracks = ["Locomotion", "HL_Activity", "LL_Left_Arm", "LL_Left_Arm_Object", "LL_Right_Arm"]
    tracks += ["LL_Right_Arm_Object", "ML_Both_Arms"]
    labels = [f"Column: {k} {track}" for k, track in enumerate(tracks, 244)]
    return "\n".join(["Data columns: ", "", *lines, "", "Label columns: ", "", *labels])


def write_uci_har(
    path: Path,
    *,
    people: Mapping[str, Sequence[int]] | None = None,
    windows_per_person: int = 6,
    seed: int = 0,
    nested: bool = False,
) -> Path:
    """Write ``UCI HAR Dataset/train/...``; `nested` puts that zip into a zip, as the publisher's download is."""
    people = people or {"train": (1, 3, 5), "test": (2, 4)}
    files = [file for split in people for file in _uci_har_split(split, people[split], windows_per_person, seed)]
    files.append(("__MACOSX/UCI HAR Dataset/train/Inertial Signals/._body_acc_x_train.txt", b"\0\5\x16\7"))
    if not nested:
        return _write(path, files)
    inner = io.BytesIO()
    _pack(inner, files)
    return _write(path, [("UCI HAR Dataset.names", b"a note"), ("UCI HAR Dataset.zip", inner.getvalue())])


def uci_har_windows(
    split: str, people: Sequence[int], windows_per_person: int, seed: int = 0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return what `write_uci_har` writes: windows (W, 128, 9), labels from 1 (W,), people (W,)."""
    rng = np.random.default_rng([seed, len(split)])
    count = len(people) * windows_per_person
    return (
        rng.normal(0, 0.5, (count, 128, len(UCI_HAR_SIGNALS))),
        np.arange(count) % 6 + 1,
        np.repeat(people, windows_per_person),
    )


def _opportunity_runs(runs: Iterable[str], rows: int, seed: int, top: str) -> Iterator[tuple[str, bytes]]:
    for run in runs:
        table = pl.DataFrame(opportunity_rows(run, rows, seed)).with_columns(pl.all().fill_nan(None).cast(pl.Int32))
        yield f"{top}{run}.dat", table.write_csv(include_header=False, separator=" ", null_value="NaN").encode()


def _uci_har_split(split: str, people: Sequence[int], each: int, seed: int) -> Iterator[tuple[str, bytes]]:
    windows, labels, of = uci_har_windows(split, people, each, seed)
    top = f"UCI HAR Dataset/{split}/"
    for column, signal in enumerate(UCI_HAR_SIGNALS):
        lines = ("".join(_microsoft(value) for value in window) for window in windows[:, :, column])
        yield f"{top}Inertial Signals/{signal}_{split}.txt", ("\n".join(lines) + "\n").encode()
    yield f"{top}y_{split}.txt", "".join(f"{label}\n" for label in labels).encode()
    yield f"{top}subject_{split}.txt", "".join(f"{person}\n" for person in of).encode()


def _microsoft(value: float) -> str:
    """Format a number as the dataset does: three digits of exponent, 16 characters."""
    return re.sub(r"e([+-])", r"e\g<1>0", f"{value:15.7e}")


def _segments(codes: Sequence[int], rows: int) -> npt.NDArray[np.int64]:
    """Return a label code for each row, all codes in turn and null in between."""
    turns = np.array([code for each in codes[1:] for code in (codes[0], each)])
    return turns[np.arange(rows) * len(turns) // rows] if rows >= len(turns) else np.resize(turns, rows)


def _write(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    if path.suffix == ".zip":
        _pack(path, files)
    else:
        for name, content in files:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    return path


def _pack(path: Path | io.BytesIO, files: Iterable[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files:
            archive.writestr(name, content)
