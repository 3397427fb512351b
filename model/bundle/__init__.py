"""All that training hands to streaming, in a folder."""
