"""Sockets: addresses, connections, subscriptions."""
