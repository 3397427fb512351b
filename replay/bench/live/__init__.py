"""Benches of a running streamer."""
