"""A YAML file in place of a verb's options: each key is the name of one, and the command line wins."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from kinestream.commands.options import Named, Place
from kinestream.screens.stderr import say

Check = Callable[[dict[str, Any], bool], list[str]]
"""Returns what is wrong with values of the right kind, by their parameters' names; told whether others are not."""

_OF_THE_LINE = ("config", "check", "help")
"""What only the command line may say."""


def config_option(check: Check) -> Callable[[Any], Any]:
    """Return the option ``--config FILE`` of a verb.

    Parameters
    ----------
    check : callable
        Looks at what the file says as a whole.
    """

    def take(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
        if path is None:
            return None
        values, problems = read_options(path, context)
        if problems := problems + check(values, bool(problems)):
            for problem in problems:
                say(f"kinestream: {path}: {problem}")
            sys.exit(2)
        context.default_map = values
        return path

    return click.option(
        "--config",
        type=Place(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=take,
        help="Take these options, and BUNDLE, from a YAML file; what the command line says wins.",
    )


def keys_of(command: click.Command) -> Iterator[tuple[str, click.Parameter]]:
    """Yield what a command's file may say: each key, and the parameter that it stands for."""
    for parameter in command.params:
        if parameter.name not in _OF_THE_LINE:
            longest = max(parameter.opts, key=len)
            yield longest.lstrip("-").replace("-", "_").lower(), parameter


def read_options(path: Path, context: click.Context) -> tuple[dict[str, Any], list[str]]:
    """Read a file.

    Parameters
    ----------
    path : Path
        The file. Relative paths in it start from its folder.
    context : click.Context
        Of the command whose options it has.

    Returns
    -------
    dict of str, list of str
        Values by their parameters' names, and every problem, each starting with its key.

    Raises
    ------
    ConfigError
        Where it is not YAML, or no keys and values.
    FileError
        Where it cannot be read.
    """
    from kinestream.model.config.checking import guess
    from kinestream.model.config.file import read_yaml

    content, problems = read_yaml(path)
    keys = dict(keys_of(context.command))
    values: dict[str, Any] = {}
    for key, given in content.items():
        parameter = keys.get(str(key))
        if parameter is None:
            known = guess(str(key), keys) or f"; known are {', '.join(keys)}"
            problems.append(f"{key}: unknown key{known}")
            continue
        assert parameter.name is not None
        if wrong := _not_of_its_kind(parameter, given):
            problems.append(f"{key}: should be {wrong}, not {given!r:.80}")
            continue
        try:
            values[parameter.name] = _converted(parameter, given, context, path.parent)
        except click.BadParameter as error:
            problems.append(f"{key}: {error.message.rstrip('.')}")
    return values, problems


def kind_of(parameter: click.Parameter) -> str:
    """Return in words what may stand under a parameter's key."""
    kind = parameter.type
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return "true or false"
    if isinstance(kind, click.IntRange):
        one = "whole number"
    elif isinstance(kind, click.FloatRange):
        one = "number"
    elif isinstance(kind, click.Choice):
        return ", ".join(f"`{choice}`" for choice in kind.choices)
    else:
        one = "path" if _is_path(parameter) else "text"
    return f"list of {one}" if _is_many(parameter) else one


def _not_of_its_kind(parameter: click.Parameter, given: Any) -> str | None:
    """Return in words what should stand there, where something else does; None where it is of the kind."""
    if _is_many(parameter):
        return None if isinstance(given, list) and all(isinstance(each, str) for each in given) else "a list of texts"
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return None if isinstance(given, bool) else "true or false"
    if isinstance(parameter.type, click.IntRange):
        return None if type(given) is int else "a whole number"
    if isinstance(parameter.type, click.FloatRange):
        return None if type(given) in (int, float) else "a number"
    return None if isinstance(given, str) else "a text"


def _converted(parameter: click.Parameter, given: Any, context: click.Context, folder: Path) -> Any:
    if isinstance(given, list):
        return tuple(parameter.type.convert(each, parameter, context) for each in given)
    if isinstance(given, bool):
        return given
    value = parameter.type.convert(given, parameter, context)
    return os.path.join(folder, value) if _is_path(parameter) else value


def _is_many(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and parameter.multiple


def _is_path(parameter: click.Parameter) -> bool:
    """Tell whether it names a file or folder: arguments that are a `Named` do."""
    return isinstance(parameter.type, click.Path) or (
        isinstance(parameter, click.Argument) and isinstance(parameter.type, Named)
    )
