"""Reads what `kinestream record` wrote down of live streams."""
