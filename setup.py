"""What pyproject.toml cannot say: which folder is which package, and the part that is compiled.

The folders stand side by side at the top; all of them are installed below one name, `kinestream`, since one called
`model` would get in the way of everybody who has a `model.py`.

KINESTREAM_KERNEL=no leaves the compiled part out: what is built then is of pure Python and runs anywhere, with ONNX
Runtime.
"""

import os

from setuptools import Extension, find_packages, setup

FOLDERS = ("model", "streamer", "replay", "configs")
KERNEL = Extension(
    "kinestream.model.engine.kernel._kernel",
    sources=[f"model/engine/kernel/{name}.c" for name in ("module", "kernel", "plain", "avx2", "avx512")],
    depends=[f"model/engine/kernel/{name}.h" for name in ("kernel", "vector", "forward", "sizes")],
    # -fno-wrapv: Python asks for wrapping integers, which costs the kernel's loops 4%.
    extra_compile_args=["-std=c11", "-O3", "-fno-wrapv", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi"],
    libraries=["m"],
    py_limited_api=True,
    optional=True,  # where there is no compiler, kinestream installs without it and runs slower
)
TAKER = Extension(
    "kinestream.streamer.ingest._take",
    sources=["streamer/ingest/take.c"],
    depends=["streamer/ingest/log.h"],
    extra_compile_args=["-std=c11", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter"],
    py_limited_api=True,
    optional=True,  # without it messages are taken in Python, some ten times slower
)
RECEIVER = Extension(
    "kinestream.streamer.transport._receive",
    sources=["streamer/transport/receive.c"],
    extra_compile_args=["-std=c11", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter"],
    py_limited_api=True,
    optional=True,  # without it messages are received in Python
)
RESAMPLE = Extension(
    "kinestream.model.recordings._resample",
    sources=["model/recordings/resample.c"],
    # No product is contracted with a sum: it would be rounded otherwise than NumPy rounds it.
    extra_compile_args=["-std=c11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Wno-unused-parameter"],
    libraries=["m"],
    py_limited_api=True,
    optional=True,  # without it readings are laid in NumPy, some thirty times slower
)

has_kernel = os.environ.get("KINESTREAM_KERNEL") != "no"

setup(
    packages=[
        *find_packages(include=["kinestream", "kinestream.*"]),
        *(
            f"kinestream.{name}"
            for name in find_packages(include=[f"{folder}{end}" for folder in FOLDERS for end in ("", ".*")])
        ),
    ],
    package_dir={"kinestream": "kinestream"} | {f"kinestream.{folder}": folder for folder in FOLDERS},
    ext_modules=[KERNEL, TAKER, RECEIVER, RESAMPLE] if has_kernel else [],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if has_kernel else {},
)
