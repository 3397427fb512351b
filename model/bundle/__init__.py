"""The bundle: a folder with everything that training passes on to streaming."""
