"""Arrays and columns that would fill the memory from a small file are refused before they are unpacked."""

import subprocess
import sys
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.io

from kinestream.model.datasets.tabular.arrays import load_arrays
from kinestream.model.datasets.tabular.unpacked import check_unpacked
from kinestream.model.errors import SourceError


def npz_of_zeros() -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(bytes(1 << 20)) + packer.flush()
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", packed)
        info = archive.getinfo("x.npy")
        info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, 2 << 30
    return buffer.getvalue()


def mat_of_zeros() -> bytes:
    packer = zlib.compressobj(9)
    megabyte = bytes(1 << 20)
    packed = b"".join(packer.compress(megabyte) for _ in range(400)) + packer.flush()
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    return header + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little") + packed


def parquet_of_ones() -> bytes:
    buffer = BytesIO()
    pl.select(pl.repeat(1, 40_000_000, dtype=pl.Int8).alias("x")).write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "data"), [("npz", npz_of_zeros), ("mat", mat_of_zeros), ("parquet", parquet_of_ones)])
def test_a_small_file_that_unpacks_to_hundreds_of_megabytes_is_refused(tmp_path: Path, kind: str, data) -> None:
    path = tmp_path / f"bomb.{kind}"
    path.write_bytes(data())
    assert path.stat().st_size < 1 << 20
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from kinestream.model.datasets.tabular.unpacked import check_unpacked\n"
        "data = Path(sys.argv[1]).read_bytes(); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: check_unpacked(data, 'bomb', sys.argv[2])\n"
        "except Exception as error: print(error)\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000"
    )
    done = subprocess.run([sys.executable, "-c", script, path, kind], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("bomb: it unpacks from ")


def test_recordings_pass() -> None:
    values = np.random.default_rng(0).normal(size=(1000, 3))
    npz, mat, parquet = BytesIO(), BytesIO(), BytesIO()
    np.savez_compressed(npz, x=values)
    scipy.io.savemat(mat, {"x": values}, do_compression=True)
    pl.DataFrame(values).write_parquet(parquet)
    for kind, file in (("npz", npz), ("mat", mat), ("parquet", parquet)):
        check_unpacked(file.getvalue(), "x", kind)  # type: ignore[arg-type]
        check_unpacked(file.getvalue()[:200], "x", kind)  # type: ignore[arg-type]


def test_a_header_that_says_any_number_of_rows_is_no_whole_file() -> None:
    written = BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": "<f8", "fortran_order": False, "shape": (1 << 45,)})
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", written.getvalue())
    with pytest.raises(SourceError, match="not a whole NPZ file"):
        load_arrays(buffer.getvalue(), "x.npz", "npz")
