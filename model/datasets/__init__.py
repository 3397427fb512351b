"""Recorded datasets, read from the files their authors publish."""

from kinestream.model.datasets.reader import DatasetInfo
from kinestream.model.datasets.source import Source, dataset_infos, open_dataset, open_source
from kinestream.model.recordings.recording import UNLABELLED, Channel, Recording

__all__ = [
    "UNLABELLED",
    "Channel",
    "DatasetInfo",
    "Recording",
    "Source",
    "dataset_infos",
    "open_dataset",
    "open_source",
]
