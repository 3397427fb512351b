"""The packages as those have them who install them: ``python -m tests.package``, from a checkout."""
