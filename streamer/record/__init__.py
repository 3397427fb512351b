"""Writes down what a streamer publishes: readings, labels, events and annotations."""
