"""What holds for every test."""

import signal

# Whoever runs the tests in the background or under nohup may have had these ignored, which children inherit; here they
# are sent on purpose.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
