"""What makes and runs models shows nothing to anybody: screens and commands stand above it and hand in callbacks."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kinestream.model

FOLDER = Path(kinestream.model.__path__[0])
ABOVE = ("rich", "kinestream.screens", "kinestream.commands")

# Where rich is not to be had, `import httpx` does without it, too, which takes it for a command of its own.
IMPORT_ALL = """
import importlib, pkgutil, sys
above = sys.argv[1:]
sys.modules.update(dict.fromkeys(above))
import kinestream.model
for module in pkgutil.walk_packages(kinestream.model.__path__, "kinestream.model."):
    importlib.import_module(module.name)
    print(module.name)
assert not [name for name, module in sys.modules.items() if module and name.startswith(tuple(above))]
"""


def test_every_module_is_imported_without_screens():
    for extra in ("torch", "jinja2", "matplotlib", "polars", "onnx", "httpx"):
        pytest.importorskip(extra)
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *ABOVE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= len(list(FOLDER.rglob("*.py"))) - 1


def test_nothing_is_imported_later_nor_printed():
    found = [
        f"{path.relative_to(FOLDER)}:{node.lineno}"
        for path in sorted(FOLDER.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if shows(node)
    ]
    assert found == []


def shows(node):
    """Tell whether a piece of code prints, or imports what does."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "print"
    names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
    names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    return any(name == above or name.startswith(f"{above}.") for name in names for above in ABOVE)
