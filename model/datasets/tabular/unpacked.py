"""How much a packed file of arrays or columns would take in memory, told before it is unpacked."""

import zipfile
import zlib
from io import BytesIO
from typing import Literal

import polars as pl

from kinestream.model.datasets.files import FREE_BYTES, MOST_RATIO, refuse_bomb

_MAT_HEADER = 128
_MAT_TAG = 8
_MAT_COMPRESSED = 15  # miCOMPRESSED of MATLAB's "MAT-File Format", version 5
_PIECE = 1 << 20
_CELL = 8  # bytes of a number in a column


def check_unpacked(data: bytes, name: str, kind: Literal["npz", "mat", "parquet"]) -> None:
    """Make sure that a file unpacks to no more than recordings do; what is no such file at all is left to its reader.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, for messages.
    kind : {"npz", "mat", "parquet"}
        What it is.

    Raises
    ------
    SourceError
        Where it would take a hundred times its size, and more than any memory should.
    """
    try:
        size = {"npz": _npz, "mat": _mat, "parquet": _parquet}[kind](data)
    except (zipfile.BadZipFile, zlib.error, pl.exceptions.PolarsError, NotImplementedError, OSError):
        return
    refuse_bomb(name, "it", size, len(data))


def _npz(data: bytes) -> int:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return sum(member.file_size for member in archive.infolist())


def _mat(data: bytes) -> int:
    """Return the size of all that is compressed in a file of version 5; it has to be unpacked for that, bit by bit."""
    order: Literal["little", "big"] = "big" if data[126:128] == b"MI" else "little"
    at, size, most = _MAT_HEADER, 0, max(FREE_BYTES, MOST_RATIO * len(data))
    while at + _MAT_TAG <= len(data) and size <= most:
        kind, length = (int.from_bytes(data[at + i : at + i + 4], order) for i in (0, 4))
        if kind == _MAT_COMPRESSED:
            size += _inflated(data[at + _MAT_TAG : at + _MAT_TAG + length], most)
        at += _MAT_TAG + length
    return size


def _inflated(packed: bytes, most: int) -> int:
    unpacking, size = zlib.decompressobj(), 0
    while packed and size <= most:
        piece = unpacking.decompress(packed, _PIECE)
        size += len(piece)
        packed = unpacking.unconsumed_tail
        if not piece:
            break
    return size


def _parquet(data: bytes) -> int:
    columns = len(pl.read_parquet_schema(BytesIO(data)))
    rows = int(pl.scan_parquet(BytesIO(data)).select(pl.len()).collect().item())
    return rows * columns * _CELL
