"""What senders, streamers and subscribers say to one another, byte by byte."""
