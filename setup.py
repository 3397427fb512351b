"""The part of kinestream that is compiled: the recognizer's own arithmetic. All else stands in pyproject.toml."""

from setuptools import Extension, setup

KERNEL = Extension(
    "model._kernel",
    sources=["model/kernel/module.c", "model/kernel/network.c"],
    depends=["model/kernel/lanes.h", "model/kernel/network.h"],
    extra_compile_args=["-std=c11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi"],
    libraries=["m"],
    py_limited_api=True,
    optional=True,  # where there is no compiler, kinestream installs without it and runs slower
)

setup(ext_modules=[KERNEL], options={"bdist_wheel": {"py_limited_api": "cp311"}})
