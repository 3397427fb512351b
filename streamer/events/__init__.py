"""What happened to a stream, in words and in the log."""
