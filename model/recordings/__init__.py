"""Labelled recordings: what one is, who is trained and tested on; clocks, units and rates of what devices deliver."""
