"""Samples in, labels out."""
