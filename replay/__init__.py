"""Plays recordings into the streamer and scores what comes back."""
