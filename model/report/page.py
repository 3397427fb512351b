"""The page: what one bundle is and what it came to, in one HTML file that needs nothing else."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, TypeAdapter

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.clock import now_ns
from kinestream.model.errors import FileError
from kinestream.model.evaluation.evaluation import Evaluation
from kinestream.model.files import read_whole, write_whole
from kinestream.model.plaindata import parse_json
from kinestream.model.report import words
from kinestream.model.report.colours import class_variables
from kinestream.model.report.facts import config_text, model_facts, page_facts
from kinestream.model.report.sections import History, Subject, evaluation_section, learning_drawings

_log = logging.getLogger(__name__)


class _Epoch(BaseModel):
    """What is drawn of an epoch; see `kinestream.model.training.runfolder.Epoch`, which needs PyTorch."""

    loss: float
    f1_macro: float | None = None
    f1_weighted: float | None = None
    accuracy: float | None = None


_EPOCHS = TypeAdapter(list[_Epoch])
_MOST_BYTES = 16 << 20  # of a history: 200 of them tell of an epoch


@dataclass(frozen=True)
class Part:
    """An evaluation, and what the page calls it: ``Test people``."""

    title: str
    evaluation: Evaluation


def write_page(
    path: Path, bundle: Bundle, parts: Sequence[Part], *, history: History = (), command: str | None = None
) -> None:
    """Write the page of a bundle, whole or not at all.

    Parameters
    ----------
    path : Path
        The file; its folder is made where needed.
    bundle : Bundle
        What was evaluated.
    parts : sequence of Part
        On what, the most important first.
    history : sequence of dict
        The epochs, where they are known.
    command : str, optional
        By which the figures can be had again.
    """
    write_whole(path, render_page(bundle, parts, history=history, command=command).encode())


def write_run_page(path: Path, bundle: Bundle, found: Mapping[str, Evaluation], history: History) -> None:
    """Write the page of a run.

    Parameters
    ----------
    path : Path
        The file.
    bundle : Bundle
        What was trained.
    found : dict of str to Evaluation
        By whom was held out: ``test``, ``validation``.
    history : sequence of dict
        The epochs.
    """
    titles = {"test": "Test people", "validation": "Validation people"}  # those who decided nothing come first
    parts = [
        Part(title, replace(found[held_out], chosen=f"held out as {title.lower()}"))
        for held_out, title in titles.items()
        if held_out in found
    ]
    write_page(path, bundle, parts, history=history)


def render_page(bundle: Bundle, parts: Sequence[Part], *, history: History = (), command: str | None = None) -> str:
    """Return the page; see `write_page`."""
    subject = Subject.of(bundle)
    shown = [evaluation_section(f"part{i}", part.title, part.evaluation, subject) for i, part in enumerate(parts)]
    curves = learning_drawings(history, bundle.description.training.get("kept_epoch"))
    engine = parts[0].evaluation.engine if parts else None
    made = made_now()
    return render(
        "page.html.j2",
        bundle=bundle.id,
        made=made,
        kind="run" if curves else "evaluation",
        parts=shown,
        headline=shown[0]["headline"] if shown else None,
        curves=curves,
        facts=model_facts(bundle),
        page_facts=page_facts(engine, made, command),
        config=config_text(bundle),
    )


def made_now() -> str:
    """Return when it is, for people."""
    return datetime.fromtimestamp(now_ns() // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def render(template: str, **shown: Any) -> str:
    """Return a page of one of the templates here; whatever it shows is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = words.share
    return environment.get_template(template).render(class_variables=class_variables(), **shown)


def history_beside(bundle: Bundle, folder: str | Path) -> History:
    """Return the epochs of the run whose folder holds a bundle, or none where it lies elsewhere."""
    path = Path(folder).absolute().parent / "history.json"
    if not path.is_file():
        return []
    try:
        epochs = [epoch.model_dump() for epoch in _EPOCHS.validate_python(parse_json(read_whole(path, _MOST_BYTES)))]
    except (ValueError, FileError):
        _log.warning("no learning curves: %s is not what a run wrote", path)
        return []
    return epochs if len(epochs) == bundle.description.training.get("epochs") else []
