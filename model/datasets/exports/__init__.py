"""What apps on phones and recorders in laboratories write; `config.export` says how a YAML file describes it."""
