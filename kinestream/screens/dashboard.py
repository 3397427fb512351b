"""What `serve --dashboard` prints, and the dashboard that it runs beside the streamer."""

import threading
from typing import Self

from kinestream.model.errors import EndpointError
from kinestream.streamer.dashboard.process import OwnDashboard
from kinestream.streamer.dashboard.streamers import Addresses
from kinestream.streamer.server.lifecycle import Display, Ready
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire.messages import DASHBOARD_PORT


class WithDashboard:
    """A display, and a dashboard of the streamer in a process of its own that ends with it.

    Parameters
    ----------
    display : Display
        What else is shown.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._dashboard: OwnDashboard | None = None
        self._starting: threading.Thread | None = None

    def begin(self, ready: Ready) -> None:
        """Say that the streamer is ready, and start the dashboard meanwhile."""
        self._display.begin(ready)
        addresses = Addresses(*map(_reached, (ready.labels, ready.control, ready.watch)))
        self._dashboard = OwnDashboard(addresses, DASHBOARD_PORT, priority="idle")
        self._starting = threading.Thread(target=self._wait, args=(self._dashboard,), name="dashboard", daemon=True)
        self._starting.start()

    def say(self, line: str) -> None:
        """Show a line."""
        self._display.say(line)

    def show(self, streamer: Streamer) -> None:
        """Show how it goes."""
        self._display.show(streamer)

    def end(self, totals: dict[str, int]) -> None:
        """Show what it all came to."""
        self._display.end(totals)

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        if self._dashboard is not None:
            self._dashboard.stop()
        if self._starting is not None:
            self._starting.join()
        self._display.__exit__(*failure)

    def _wait(self, dashboard: OwnDashboard) -> None:
        try:
            dashboard.wait_ready()
        except EndpointError as error:  # labels go on
            self.say(str(error))
        else:
            if dashboard.address:
                self.say(f"dashboard: open {dashboard.address}")


def _reached(bound: str) -> str:
    """Return where this machine reaches an address that is bound on all its networks."""
    return bound.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
