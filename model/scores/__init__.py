"""Metrics of labels: by window, by sample, by event, their delay, and the calibration of their probabilities."""
