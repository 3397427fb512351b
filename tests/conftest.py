"""What holds for every test."""

import signal

from hypothesis import settings

# Whoever runs the tests in the background or under nohup may have had these ignored, which children inherit; here they
# are sent on purpose.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says how busy the machine is.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")
