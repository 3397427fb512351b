"""A wearer, live: sessions, and the sliding window."""
