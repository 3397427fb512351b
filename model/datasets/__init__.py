"""Recorded datasets, read from the files their authors publish."""

from model.datasets.reader import DatasetInfo
from model.datasets.source import Source, dataset_infos, open_dataset, open_source
from model.recording import UNLABELLED, Channel, Recording

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
