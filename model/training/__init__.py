"""A configuration becomes a bundle."""
