"""Who may do what at a streamer: pairs of keys, the list of clients, and what asks every connection."""
