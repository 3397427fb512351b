"""What breaks around a running streamer, and what it does then."""
