"""Our own kernel, in C."""
