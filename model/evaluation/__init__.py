"""Evaluates a bundle on recordings."""
