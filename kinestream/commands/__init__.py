"""The command line, a file per verb or family of verbs."""
