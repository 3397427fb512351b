"""Writes the reference of commands and of what YAML files may say: ``python -m kinestream.commands.reference FOLDER``.

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
_STATUSES = """## What every command does

Its result goes to stdout, for people or, with `--json`, as JSON: one object; `watch` prints one a line for each label
and event as it comes, and `serve` its addresses when it is ready, again after a restart, and its totals at the end.
Everything else goes to stderr. The exit status says how it ended:

| status | meaning |
|---|---|
| 0 | all was done; `serve`, once it is ready, ends so after Ctrl-C or SIGTERM, too |
| 1 | the result is incomplete, differs from what was published (`datasets verify`), or says "not ready" (`health`) |
| 2 | one line on stderr says what to mend |
| 130 | Ctrl-C came first; `watch` and `replay` still print what they have |
| 141 | nobody reads stdout any more, as in `kinestream watch` before `head` |"""
_MADE = "<!-- Made by `make docs`; a test says when it is out of date. -->"


def commands() -> str:
    """Return every command's help, as Markdown."""
    import kinestream.commands.main  # by which every verb adds itself
    from kinestream.commands.root import root

    assert kinestream.commands.main.VERBS
    parts = ["# Commands", _MADE, _STATUSES, *_of_command(root, None, "kinestream")]
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


def rig() -> str:
    """Return every key of a rig, as Markdown."""
    from kinestream.streamer.bridges.rig import Rig

    parts = [
        "# Rigs",
        _MADE,
        "A rig is a YAML file for `kinestream bridge`: a wearer's devices and where their readings come from. "
        "[Your own sensor](../your-own-sensor.md) has one for every kind.",
    ]
    parts += _of_section(Rig, "", set())
    return "\n\n".join(parts) + "\n"


def fleet_file() -> str:
    """Return every key of a fleet file, as Markdown."""
    from kinestream.streamer.fleet.fleetfile import FleetFile

    parts = [
        "# Fleets",
        _MADE,
        "A fleet file is a YAML file for `kinestream fleet up`. [A fleet](../fleet.md) has examples.",
    ]
    parts += _of_section(FleetFile, "", set())
    return "\n\n".join(parts) + "\n"


def serve_file() -> str:
    """Return every key of the file that `serve --config` reads, as Markdown."""
    from kinestream.commands.optionfile import keys_of, kind_of
    from kinestream.commands.serve import serve

    about = [
        "# The file of `serve`",
        _MADE,
        "`kinestream serve --config serve.yaml` takes its options, and the bundle, from a YAML file. Each key is the "
        "name of an option, with `_` for `-`; what the command line says wins. Everything that is wrong with it is "
        "said at once, a line each, before anything starts, and `--check` also reads and tries the bundle, and starts "
        "nothing. Relative paths start from the file's folder. [Operations](../operations.md) has an example.",
    ]
    rows = ["| key | kind | default | meaning |", "|---|---|---|---|"]
    for key, parameter in sorted(keys_of(serve), key=lambda each: isinstance(each[1], click.Option)):
        meaning = parameter.help if isinstance(parameter, click.Option) else "The bundle's folder."
        default = _default(parameter)
        rows.append(f"| `{key}` | {kind_of(parameter)} | {_value(default)} | {meaning} |")
    return "\n\n".join([*about, "\n".join(rows)]) + "\n"


def _default(parameter: click.Parameter) -> Any:
    """Return what stands for a key that is left out."""
    if isinstance(parameter, click.Argument):
        return PydanticUndefined
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return parameter.default is True
    return parameter.default if isinstance(parameter.default, str | int | float) else None


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


PAGES = {
    "commands.md": commands,
    "configuration.md": configuration,
    "fleet.md": fleet_file,
    "rig.md": rig,
    "serve.md": serve_file,
}
"""What is written, by the file's name."""


def main(folder: Path) -> None:
    """Write every page to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (folder / name).write_text(make())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
