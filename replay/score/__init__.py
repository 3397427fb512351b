"""Holds labels against the truth."""
