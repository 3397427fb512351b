"""Who serves which stream, where many streamers are one fleet: hashing, the table, and the directory that tells it."""
