"""A fleet of streamers: placed, watched and started again, planned and simulated."""
