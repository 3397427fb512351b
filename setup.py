"""The part of kinestream that is compiled: the recognizer's own arithmetic. All else stands in pyproject.toml."""

from setuptools import Extension, setup

KERNEL = Extension(
    "model._kernel",
    sources=[f"model/kernel/{name}.c" for name in ("module", "kernel", "plain", "avx2", "avx512")],
    depends=[f"model/kernel/{name}.h" for name in ("kernel", "lanes", "network", "sizes")],
    # -fno-wrapv: Python asks for wrapping integers, which costs the kernel's loops 4%.
    extra_compile_args=["-std=c11", "-O3", "-fno-wrapv", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi"],
    libraries=["m"],
    py_limited_api=True,
    optional=True,  # where there is no compiler, kinestream installs without it and runs slower
)

setup(ext_modules=[KERNEL], options={"bdist_wheel": {"py_limited_api": "cp311"}})
