"""Nothing lost: who keeps a message until when, on both sides of a wire that may lose any of them; no socket here."""
