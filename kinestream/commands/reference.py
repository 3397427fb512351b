"""Writes the reference of commands and of configuration keys: ``python -m kinestream.commands.reference FOLDER``.

Both are read off the code, so that they cannot say anything else.
"""

import inspect
import re
import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

_WIDTH = 100
_MADE = "<!-- Made by `make docs`; a test says when it is out of date. -->"


def commands() -> str:
    """Return every command's help, as Markdown."""
    import kinestream.commands.main  # by which every verb adds itself
    from kinestream.commands.root import root

    assert kinestream.commands.main.VERBS
    parts = ["# Commands", _MADE, *_of_command(root, None, "kinestream")]
    return "\n\n".join(parts) + "\n"


def _of_command(command: click.Command, parent: click.Context | None, name: str) -> list[str]:
    context = click.Context(
        command, info_name=name, parent=parent, terminal_width=_WIDTH, max_content_width=_WIDTH, color=False
    )
    parts = [f"## `{context.command_path}`", f"```text\n{command.get_help(context)}\n```"]
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            if inner is not None:
                parts += _of_command(inner, context, each)
    return parts


def configuration() -> str:
    """Return every key that a configuration may hold, as Markdown."""
    from kinestream.model.config.training import TrainConfig

    parts = [
        "# Configuration",
        _MADE,
        "A configuration is a YAML file, of which `kinestream train` takes any key on the command line as well: "
        "`train.epochs=20`. What stands in `configs/` are examples. Lists of names are written `[walk, run]`.",
    ]
    seen: set[type[BaseModel]] = set()
    parts += _of_section(TrainConfig, "", seen)
    return "\n\n".join(parts) + "\n"


def _of_section(section: type[BaseModel], path: str, seen: set[type[BaseModel]]) -> list[str]:
    seen.add(section)
    summary, meanings = _documented(section)
    heading = f"## `{path}`" if path else "## The file"
    if path and len([each for each in seen if each.__name__ == section.__name__]) > 1:
        heading += f" ({section.__name__})"
    rows = ["| key | kind | default | meaning |", "|---|---|---|---|"]
    inner: list[tuple[type[BaseModel], str]] = []
    for key, field in section.model_fields.items():
        kind = _kind(field.annotation)
        default = "required" if field.is_required() else _value(field.get_default(call_default_factory=True))
        rows.append(f"| `{key}` | {kind} | {default} | {meanings.get(key, '')} |")
        inner += [(each, f"{path}.{key}".lstrip(".")) for each in _sections_in(field.annotation) if each not in seen]
    parts = [heading, summary, "\n".join(rows)]
    for each, where in inner:
        if each not in seen:
            parts += _of_section(each, where, seen)
    return parts


def _documented(section: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """Return what a class is, and what it says of each of its attributes."""
    text = inspect.getdoc(section) or ""
    before, _, after = text.partition("Attributes\n----------\n")
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in after.splitlines():
        found = re.match(r"(\w+(?:, \w+)*)(?: :.*)?$", line)
        if found and not line.startswith(" "):
            names = found[1].split(", ")
            meanings.update(dict.fromkeys(names, ""))
        else:
            for name in names:
                meanings[name] = f"{meanings[name]} {line.strip()}".strip()
    cleaned = {name: meaning.replace("``", "`").replace("|", "\\|") for name, meaning in meanings.items()}
    return " ".join(before.split()).replace("``", "`"), cleaned


def _kind(annotation: Any) -> str:
    """Return what may stand there, in words."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(dict.fromkeys(_kind(each) for each in get_args(annotation)))
    if get_origin(annotation) in (tuple, list):
        first, *_ = get_args(annotation)
        return f"list of {_kind(first)}"
    if get_origin(annotation) is dict:
        key, value = get_args(annotation)
        return f"table of {_kind(key)} to {_kind(value)}"
    if annotation is type(None):
        return "nothing"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "section"
    return {int: "whole number", float: "number", str: "text", bool: "true or false"}.get(annotation, "any")


def _value(default: Any) -> str:
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, BaseModel):
        return "as below"
    if default is None or default == ():
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for each in get_args(annotation) for section in _sections_in(each)]


PAGES = {"commands.md": commands, "configuration.md": configuration}
"""What is written, by the file's name."""


def main(folder: Path) -> None:
    """Write every page to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (folder / name).write_text(make())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
