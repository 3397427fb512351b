"""What runs a bundle's network."""
