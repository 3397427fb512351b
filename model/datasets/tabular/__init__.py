"""Anyone's own recordings, read as a YAML file describes them; `model.tabularconfig` says what it can say."""
