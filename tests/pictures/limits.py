"""What pictures of the documentation keep to."""

MOST_BYTES = 150_000
