"""Samples of many streams in, labels and events out; no socket here."""
