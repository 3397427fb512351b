"""Loads and engines, side by side: every figure that is claimed, by a command that anyone can run."""
