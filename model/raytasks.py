"""Independent tasks spread over a Ray cluster: each is a call of a function, and what any of them logs is told here."""

import logging
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

from kinestream.model.cluster import connect
from kinestream.model.errors import EndpointError

_log = logging.getLogger(__name__)
_LOOK = 5.0  # s between two looks at how far the tasks have come


class Ended(NamedTuple):
    """A task that has ended.

    Attributes
    ----------
    number : int
        Which of the tasks, from 0.
    result : object
        What the function returned.
    node : str
        Where it ran.
    """

    number: int
    result: Any
    node: str


class Going(NamedTuple):
    """How far the tasks have come.

    Attributes
    ----------
    ended, waiting : int
        How many have ended, and how many have not begun.
    notes : dict of int to str
        Of each that runs: what it last said of itself, behind the name of its node.
    """

    ended: int
    waiting: int
    notes: dict[int, str]


Note = Callable[[str], None]
"""By which a task says how far it has come."""


def spread(
    address: str | None,
    function: Callable[..., Any],
    tasks: Sequence[Any],
    *shared: Any,
    ended: Callable[[Ended], None],
    going: Callable[[Going], None] | None = None,
    gpus: int = 0,
) -> None:
    """Call ``function(*shared, task, note)`` for each task, on a processor of the cluster each.

    A task whose node dies is called again on another. Where one raises, the others are stopped, and what it raised is
    raised here.

    Parameters
    ----------
    address : str or None
        Of the cluster; see `kinestream.model.cluster.connect`.
    function : callable
        Defined in a module that every node has. The last that it gets, `Note`, may be called at any time.
    tasks : sequence
        What it is called with.
    *shared : object
        What it is always called with before; sent to each node once.
    ended : callable
        Called with each task that has ended, in the order in which they do.
    going : callable, optional
        Called where a task has begun, or has said something else of itself.
    gpus : int
        GPUs that each task takes.

    Raises
    ------
    EndpointError
        Where the cluster cannot be reached, is lost, or its nodes lack kinestream or have another version of it.
    """
    connect(address)
    import ray

    board: Any = ray.remote(num_cpus=0)(_Board).remote()
    perform = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=3)(_perform)
    common = [ray.put(each) for each in shared]
    running = {
        perform.remote(_OURS, function, board, number, task, *common): number for number, task in enumerate(tasks)
    }
    before: dict[int, str] = {}
    try:
        while running:
            ready, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK if going else None)
            for each in ready:
                result, node, lines = ray.get(each)
                number = running.pop(each)
                for level, line in lines:
                    _log.log(level, "%s: %s", node, line)
                ended(Ended(number, result, node))
            if going and running:
                said = ray.get(board.read.remote())
                notes = {number: said[number] for number in running.values() if number in said}
                if notes != before:
                    going(Going(len(tasks) - len(running), len(running) - len(notes), notes))
                before = notes
    except ray.exceptions.RayTaskError as error:
        raise _cause(error) from None
    except ray.exceptions.RayError as error:
        text = " ".join(str(error).split())
        raise EndpointError(f"the Ray cluster lost a task ({text[:200]}): see to its nodes, and start again") from None
    finally:
        for each in running:
            ray.cancel(each, force=True)
        ray.kill(board)


class _Board:
    """Where tasks write how far they have come."""

    def __init__(self) -> None:
        self._notes: dict[int, str] = {}

    def write(self, number: int, note: str) -> None:
        self._notes[number] = note

    def read(self) -> dict[int, str]:
        return self._notes


class _Lines(logging.Handler):
    """Keeps warnings and errors, for whoever started the task."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelno, record.getMessage()))


def _perform(
    theirs: str, function: Callable[..., Any], board: Any, number: int, task: Any, *shared: Any
) -> tuple[Any, str, list[tuple[int, str]]]:
    """Run a task on a node; return its result, the node's name, and what was logged."""
    node = platform.node()
    if theirs != _OURS:
        raise EndpointError(f"node {node} has kinestream {_OURS}, this machine {theirs}: install the same on both")

    def note(text: str) -> None:
        board.write.remote(number, f"{node}: {text}")

    note("begins")
    handler = _Lines()
    logging.getLogger().addHandler(handler)
    try:
        result = function(*shared, task, note)
    finally:
        logging.getLogger().removeHandler(handler)
    return result, node, handler.lines


def _cause(error: Any) -> BaseException:
    """Return what a task raised, or what to say where it could not even begin."""
    cause = error.cause
    if isinstance(cause, ModuleNotFoundError) and (cause.name or "").startswith("kinestream"):
        return EndpointError(f"a node of the Ray cluster lacks {cause.name}: install kinestream {_OURS} on every node")
    return cause if isinstance(cause, BaseException) else error


_OURS = version("kinestream")
