"""Which format an export is in, told by its files."""

from types import ModuleType

from kinestream.model.config.export import ExportFormat, ExportSection
from kinestream.model.datasets.exports import phyphox, plain, sensorlogger, xdf
from kinestream.model.datasets.exports.contents import Contents
from kinestream.model.datasets.exports.tables import heads_of
from kinestream.model.datasets.files import FileTree
from kinestream.model.errors import SourceError

_KNOWN: dict[ExportFormat, ModuleType] = {"sensor_logger": sensorlogger, "phyphox": phyphox, "xdf": xdf}

TITLES: dict[ExportFormat, str] = {
    "sensor_logger": "Sensor Logger",
    "phyphox": "phyphox",
    "xdf": "XDF",
    "csv": "tables",
}


def format_of_export(files: FileTree) -> ExportFormat | None:
    """Return the format of files that are one export, or None where they are none that is known."""
    heads = heads_of(files)
    return next((name for name, module in _KNOWN.items() if module.is_export(files, heads)), None)


def read_export(files: FileTree, label: str, format: ExportFormat, section: ExportSection | None = None) -> Contents:
    """Return what an export holds.

    Parameters
    ----------
    files : FileTree
        Its files.
    label : str
        What it is called, for messages.
    format : str
        What it is in.
    section : ExportSection, optional
        Says what the format does not: it is needed for ``csv``.

    Raises
    ------
    SourceError
        Where it is of another format, or damaged.
    MissingExtra
        Where what reads it is not installed.
    """
    if section is not None and section.time is not None:
        return plain.read(files, label, section, section.time)
    module = _KNOWN[format]
    if not module.is_export(files, heads_of(files)):
        raise SourceError(f"{label}: no export of {TITLES[format]}: set dataset.export.format, or files")
    contents: Contents = module.read(files, label)
    return contents
