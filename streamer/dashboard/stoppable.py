"""A web server that ends quietly when it is asked to; uvicorn itself raises the signal once more when it has ended."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from uvicorn import Server


class StoppableServer(Server):
    """Stops on SIGTERM, SIGINT and, where there is one, SIGHUP."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on signals until the block ends."""
        numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGINT", "SIGHUP")]
        heeded = [each for each in numbers if each is not None and signal.getsignal(each) is not signal.SIG_IGN]
        before = {each: signal.signal(each, self._stop) for each in heeded}  # what nohup ignores stays so
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.should_exit = True
