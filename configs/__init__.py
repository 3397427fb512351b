"""Training configurations that come with kinestream, a YAML file each; `protocols/` compares several."""
