"""Anyone's own recordings, read as a YAML file describes them.

`kinestream.model.config.tabular` says what it can say.
"""
