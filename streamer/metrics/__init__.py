"""Metrics: how a streamer fares, for Prometheus; a process of its own that listens to the streamer's status."""
