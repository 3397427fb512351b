"""Readers for datasets as their authors publish them."""
