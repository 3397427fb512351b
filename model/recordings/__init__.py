"""Labelled recordings: what one is, who is trained and who is tested on, how one comes to another rate."""
