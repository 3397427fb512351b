"""Recordings become windows: where they lie, what a network reads of them, what their truth is."""
