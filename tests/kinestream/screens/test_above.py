"""Who shows stands above who works: neither the streamer nor a replay draws or prints anything itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
ABOVE = ("rich", "kinestream.screens", "kinestream.commands")
MODULES = [path for folder in ("streamer", "replay") for path in (CHECKOUT / folder).rglob("*.py")]

pytestmark = pytest.mark.skipif(not MODULES, reason="of the checkout: this is an install")


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield what is imported, wherever in the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def printing(tree: ast.AST) -> list[int]:
    """Return the lines that print."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    return [call.lineno for call in calls if call.func.id == "print"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_nobody_below_draws_or_prints(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [name for name in imported(tree) if f"{name}.".startswith(tuple(f"{each}." for each in ABOVE))] == []
    assert printing(tree) == []


def test_what_would_be_found():
    assert len(MODULES) > 50
    planted = ast.parse("def f():\n    from rich.table import Table\n    import kinestream.screens\n    print(1)\n")
    assert list(imported(planted)) == ["rich.table.Table", "kinestream.screens"]
    assert printing(planted) == [4]
