"""Several networks under one protocol, from several seeds."""
