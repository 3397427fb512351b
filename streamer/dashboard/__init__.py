"""The dashboard: a page that shows streams, labels and signals as they come; a process and a subscriber of its own."""
