"""Guesses the description of a folder of recordings, for its first draft."""
