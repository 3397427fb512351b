"""The folders are as CONTRIBUTING draws them, and an import that points up fails the lint."""

import ast
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
FOLDERS = ("model", "streamer", "replay", "configs")
BIN = Path(sys.executable).parent
DOORS = ("kinestream.model.datasets", "kinestream.streamer.client")
"""Folders whose ``__init__`` lists names for other folders."""

pytestmark = pytest.mark.skipif(not (TOP / "CONTRIBUTING.md").exists(), reason="of the checkout: this is an install")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the package as it is installed."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "demo_data")
    shutil.copytree(TOP / "kinestream", tmp_path / "kinestream", ignore=ignored)
    for folder in FOLDERS:
        shutil.copytree(TOP / folder, tmp_path / "kinestream" / folder, ignore=ignored)
    return tmp_path


def contract(copy: Path) -> subprocess.CompletedProcess[str]:
    command = [BIN / "lint-imports", "--no-cache", TOP / "pyproject.toml"]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)


def test_no_import_points_up(copy):
    done = contract(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("model/clock.py", "kinestream.replay.run"),
        ("model/bundle/bundle.py", "kinestream.model.training.train"),
        ("streamer/wire/messages.py", "kinestream.streamer.recognizer.recognizer"),
        ("replay/play/take.py", "kinestream.screens.console"),
    ],
)
def test_an_import_that_points_up_fails_the_lint(copy, where, what):
    path = copy / "kinestream" / where
    path.write_text(path.read_text() + f"\nimport {what}\n")
    done = contract(copy)
    assert done.returncode != 0
    assert what in done.stdout


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_never_imported_by_its_own_name(name):
    command = [BIN / "ruff", "check", "--config", TOP / "pyproject.toml", "--stdin-filename", TOP / "model/x.py", "-"]
    text = f'"""It imports."""\n\nimport {name}\n\nprint({name})\n'
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "TID251" in done.stdout


def test_the_drawing_shows_every_folder_and_no_other():
    text = (TOP / "CONTRIBUTING.md").read_text()
    drawing = text[text.index("```\nkinestream/") :].split("```")[1]
    assert len(drawing.splitlines()) <= 45
    drawn = set()
    top = ""
    for line in drawing.splitlines():
        found = re.match(r"( *)(\w+)/(.*)", line)
        if not found:
            continue
        indent, name, about = found.groups()
        top = top if indent else name
        folder = f"{top}/{name}" if indent else name
        drawn.add(folder)
        drawn |= {f"{folder}/{inner}" for inner in re.findall(r"(\w+)/", about) if (TOP / folder / inner).is_dir()}
    there = {
        str(path.parent.relative_to(TOP))
        for folder in ("kinestream", *FOLDERS)
        for path in (TOP / folder).rglob("__init__.py")
    }
    assert drawn - {"tests", "tests/given", "tests/faults", "tests/soak", "configs/protocols"} == there


@pytest.mark.parametrize(
    ("name", "heavy"),
    [
        ("kinestream", ("numpy", "zmq", "torch", "rich", "pydantic")),
        ("kinestream.commands.main", ("torch", "onnx", "onnxruntime", "polars", "sklearn", "rich")),
    ],
)
def test_the_front_door_opens_without_anything_heavy(name, heavy):
    script = f"import sys, {name}; print([each for each in {heavy} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("door", DOORS)
def test_a_door_opens_without_anything_heavy(door):
    heavy = ("torch", "onnx", "onnxruntime", "polars", "scipy", "matplotlib", "rich", "click")
    script = f"import sys, {door}; print([each for each in {heavy} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_other_folders_only_say_what_they_are_for():
    """What is imported by an ``__init__`` is loaded by whoever wants any one module of the folder."""
    importing = set()
    for path in modules():
        first, *others = ast.parse(path.read_text()).body if path.name == "__init__.py" else [None]
        assert first is None or (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)), path
        if others:
            importing.add(dotted(path.parent))
    assert importing == {"kinestream", "kinestream.model.report", *DOORS}
    allowed = ["from kinestream.model.extras import need", "need('a report', 'matplotlib', 'jinja2')"]
    assert [ast.unparse(each) for each in ast.parse((TOP / "model/report/__init__.py").read_text()).body[1:]] == allowed


@pytest.mark.parametrize("door", DOORS)
def test_names_behind_a_door_are_imported_through_it(door):
    public = set(import_module(door).__all__)
    past = [
        f"{path.relative_to(TOP)}: {ast.unparse(node)}"
        for path in modules()
        if not dotted(path).startswith(f"{door}.") and path != TOP / "kinestream/__init__.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and f"{node.module}".startswith(f"{door}.")
        if public & {alias.name for alias in node.names}
    ]
    assert past == []


def modules() -> list[Path]:
    """Return every module of the package."""
    return [path for folder in ("kinestream", *FOLDERS) for path in (TOP / folder).rglob("*.py")]


def dotted(path: Path) -> str:
    """Return the name that a module or folder is imported by."""
    parts = path.relative_to(TOP).with_suffix("").parts
    return ".".join(parts if parts[0] == "kinestream" else ("kinestream", *parts))


def test_public_names_are_there():
    import kinestream

    for name in kinestream.__all__:
        assert getattr(kinestream, name).__name__ == name
        assert name in dir(kinestream)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kinestream.nothing  # noqa: B018


def docstrings(path: Path) -> list[str]:
    """Return what a module says of itself, its classes, functions and constants."""
    nodes = ast.walk(ast.parse(path.read_text()))
    texts = [node.value.value for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    return [text for text in texts if isinstance(text, str)]


def test_docstrings_name_modules_as_they_are_imported():
    """``model.engine`` cannot be imported: whoever looks for it must be told ``kinestream.model.engine``."""
    short = re.compile(rf"(?<!`)`({'|'.join(FOLDERS)})\.\w[\w.]*`(?!`)")
    wrong = [
        f"{path.relative_to(TOP)}: {found[0]}"
        for path in modules()
        for text in docstrings(path)
        for found in short.finditer(text)
        if (TOP / Path(*found[0].strip("`").split(".")[:2])).is_dir()
        or (TOP / Path(*found[0].strip("`").split(".")[:2])).with_suffix(".py").is_file()
    ]
    assert wrong == []


def test_what_docstrings_name_is_there():
    named = re.compile(r"(?<!`)`(kinestream(?:\.\w+)+)`(?!`)")
    missing = [
        f"{path.relative_to(TOP)}: {found[1]}"
        for path in modules()
        for text in docstrings(path)
        for found in named.finditer(text)
        if not is_there(found[1])
    ]
    assert missing == []


def is_there(name: str) -> bool:
    """Tell whether a module, or what is defined in one, has this full name."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        inner = parts[1:end] if len(parts) > 1 and parts[1] in FOLDERS else parts[:end]
        path = TOP.joinpath(*inner)
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if source.is_file():
            rest = parts[end:]
            return all(re.search(rf"\b{each}\b", source.read_text()) for each in rest)
    return False


def test_a_long_module_says_why():
    """More than 350 lines are two subjects, unless the module's docstring says why they are one."""
    for path in modules():
        text = path.read_text()
        if text.count("\n") > 350:
            assert "Longer than other files:" in (ast.get_docstring(ast.parse(text)) or ""), path


@pytest.mark.parametrize("path", [each for each in modules() if "getLogger(" in each.read_text()], ids=dotted)
def test_loggers_are_below_our_name(path):
    """Who configures the logger ``kinestream`` hears of everything."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "logging.getLogger" and node.args:
            (name,) = node.args
            text = name.value if isinstance(name, ast.Constant) else ast.unparse(name)
            assert text == "__name__" or text.startswith("kinestream.") or text == "pyxdf.pyxdf", text
