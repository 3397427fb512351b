"""What a fleet needs and how it fares when machines die, reckoned and simulated from what was measured."""
