"""The streamer as a process."""
