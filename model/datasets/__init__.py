"""Recorded datasets, read from the files their authors publish."""

from model.datasets.reader import DatasetInfo
from model.datasets.recording import UNLABELLED, Channel, Recording
from model.datasets.source import Source, dataset_infos, open_source

__all__ = ["UNLABELLED", "Channel", "DatasetInfo", "Recording", "Source", "dataset_infos", "open_source"]
