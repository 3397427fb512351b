"""What a YAML file may say, section by section, and how it is found and checked."""
