"""Looks on at what a streamer publishes."""
