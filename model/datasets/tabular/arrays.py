"""Columns of the arrays in a NumPy NPZ or a MATLAB file."""

import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.io
from scipy.io.matlab import MatReadError

from kinestream.model.datasets.tabular.unpacked import check_unpacked
from kinestream.model.errors import SourceError

_HDF5 = b"\x89HDF"
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    OSError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
    NotImplementedError,
    MemoryError,  # a header may say any number of rows
    MatReadError,
)
"""What NumPy and SciPy raise for files that are truncated or none of theirs."""


def read_arrays(
    data: bytes,
    name: str,
    kind: Literal["npz", "mat"],
    refs: Sequence[tuple[str | None, str | int | None]],
    transposed: bool,
    whole: Collection[tuple[str | None, str | int | None]] = (),
) -> dict[tuple[str | None, str | int | None], pl.Series]:
    """Return columns of arrays.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, for messages.
    kind : {"npz", "mat"}
        What it is.
    refs : sequence of (variable, column)
        The columns wanted: a position from 1 in a two-dimensional array, or a whole one of one dimension, whose name
        may stand in either place.
    transposed : bool
        Whether two-dimensional arrays have a channel per row.
    whole : collection of (variable, column)
        Those that may also be one value, which then holds for all rows.

    Raises
    ------
    SourceError
        If the file is damaged, an array or column is missing, or their lengths differ.
    """
    arrays = load_arrays(data, name, kind)
    columns = {ref: _column(arrays, name, ref, transposed) for ref in refs}
    lengths = {len(values) for values in columns.values()}
    alone = [ref for ref in refs if ref in whole and len(columns[ref]) == 1]
    rows = {len(values) for ref, values in columns.items() if ref not in alone}
    if len(rows) == 1:
        columns |= {ref: np.repeat(columns[ref], rows.copy().pop()) for ref in alone}
    elif len(lengths) > 1:
        listed = ", ".join(f"{variable or column} has {len(values)}" for (variable, column), values in columns.items())
        raise SourceError(f"{name}: its arrays differ in length: {listed}")
    return {ref: _series(values, name, ref) for ref, values in columns.items()}


def load_arrays(data: bytes, name: str, kind: Literal["npz", "mat"]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a file, those in MATLAB structs named with dots; nothing that is pickled is loaded."""
    check_unpacked(data, name, kind)
    try:
        if kind == "npz":
            with np.load(BytesIO(data), allow_pickle=False) as file:
                return {each: file[each] for each in file.files}
        if _HDF5 in data[:520]:
            raise SourceError(f"{name}: a MATLAB file of version 7.3: save it in MATLAB with save(..., '-v7')")
        return dict(_flat(scipy.io.loadmat(BytesIO(data), simplify_cells=True)))
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:80]
        raise SourceError(f"{name}: not a whole {kind.upper()} file ({reason})") from error


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for key, value in content.items():
        if key.startswith("__"):
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, np.asarray(value)


def _column(
    arrays: Mapping[str, npt.NDArray[Any]], name: str, ref: tuple[str | None, str | int | None], transposed: bool
) -> npt.NDArray[Any]:
    variable, column = ref if ref[0] is not None else (ref[1], None)
    if variable not in arrays:
        raise SourceError(f"{name}: no array {variable}: there are {', '.join(arrays) or 'none'}")
    array = arrays[str(variable)]
    shape = "x".join(map(str, array.shape))
    if array.ndim == 0:  # a text, or MATLAB's only row: simplify_cells takes the dimensions away
        array = array.reshape(1)
    if array.ndim == 2 and transposed:
        array = array.T
    if array.ndim == 2 and column is None and 1 in array.shape:
        array = array.ravel()
    if array.ndim == 1 and column in (None, 1):
        return _as_stored(array)
    if array.ndim != 2 or not isinstance(column, int):
        raise SourceError(f"{name}: {variable} is an array of {shape}: give 'variable' and the 'column' in it")
    if column > array.shape[1]:
        hint = "" if transposed else ", or transposed: true"
        raise SourceError(f"{name}: {variable} is an array of {shape}: no column {column}; give a smaller one{hint}")
    return _as_stored(array[:, column - 1])


def _series(values: npt.NDArray[Any], name: str, ref: tuple[str | None, str | int | None]) -> pl.Series:
    if values.dtype.kind not in "mM":
        return pl.Series(values)
    fine = values.dtype.kind + "8[ns]"  # polars knows no seconds, hours or years
    exact = values.astype(fine)
    lost = ~np.isnat(values) & (exact.astype(values.dtype) != values)  # NumPy wraps round what is too far away
    if lost.any():
        raise SourceError(f"{name}: {ref[0] or ref[1]}: {values[lost][0]} is too far away to be counted in nanoseconds")
    return pl.Series(exact)


def _as_stored(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the array as polars takes it: texts padded by MATLAB or wrapped as objects become plain ones."""
    if array.dtype.kind in "OS":
        array = array.astype(str)
    return np.char.strip(array) if array.dtype.kind == "U" else np.ascontiguousarray(array)
