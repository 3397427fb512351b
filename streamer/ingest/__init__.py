"""Takes messages in bulk."""
