"""All that makes a model and runs it, without a socket."""
