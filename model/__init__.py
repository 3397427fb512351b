"""Everything that makes a model and runs it, without sockets."""
