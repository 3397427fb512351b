"""Phones: a page that makes a browser a sensor, and an address that the app Sensor Logger pushes to."""
