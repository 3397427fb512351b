"""What is logged as lines of JSON, for programs that read logs: one object a line, whatever stands in it."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from kinestream.screens.loglimit import and_others

_OF_SERVE = "kinestream.serve"


class JsonFormatter(logging.Formatter):
    """Makes a record a JSON object: time, level, logger, message, and where there are such, stream and exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        more: dict[str, Any] = {}
        if (stream := getattr(record, "stream", None)) is not None:
            more["stream"] = stream
        if record.exc_info:
            more["exception"] = self.formatException(record.exc_info)
        message = record.getMessage() + and_others(record)
        return _line(record.created, record.levelname.lower(), record.name, message, more)


def said(message: str, level: str = "info", logger: str = _OF_SERVE, **more: Any) -> str:
    """Return the line of what is said now, besides what is logged."""
    return _line(datetime.now(UTC).timestamp(), level, logger, message, more)


def _line(unix_s: float, level: str, logger: str, message: str, more: dict[str, Any]) -> str:
    time = datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": time, "level": level, "logger": logger, "message": message, **more}, default=str)
