"""Benches without a socket: engines, training, reading."""
