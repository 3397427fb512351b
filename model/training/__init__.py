"""Trains: a configuration goes in, a bundle comes out."""
