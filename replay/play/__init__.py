"""Plays recordings at their pace."""
