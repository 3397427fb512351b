"""What labels are worth: by window, by sample, by event, in time, and how far to believe them."""
