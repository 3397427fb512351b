"""Bridges: what sensors that people own deliver, made a stream like any other."""
