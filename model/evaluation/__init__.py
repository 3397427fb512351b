"""A bundle tried on recordings."""
