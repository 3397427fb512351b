"""`serve --log json`: every line of stderr is a JSON object, whatever is said."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime

import pytest

from kinestream.model.errors import ChannelMismatch
from kinestream.screens.loglines import JsonFormatter
from kinestream.streamer.client import SampleSender
from tests.given.hostile import PATIENCE_S, SERVE


def line_of(record: logging.LogRecord) -> dict:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_record_is_an_object_with_its_time_and_stream():
    record = logging.getLogger("kinestream.here").makeRecord(
        "kinestream.here",
        logging.WARNING,
        "here.py",
        1,
        "stream %s\n\x1b[2J",
        ("anna",),
        None,
        extra={"stream": "anna"},
    )
    record.created = 1_764_417_600.1234
    assert line_of(record) == {
        "time": "2025-11-29T12:00:00.123Z",
        "level": "warning",
        "logger": "kinestream.here",
        "message": "stream anna\n\x1b[2J",
        "stream": "anna",
    }


def test_a_traceback_is_a_key_of_its_own():
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.LogRecord("kinestream", logging.ERROR, "here.py", 1, "failed", (), sys.exc_info())
    assert line_of(record)["exception"].endswith("ValueError: no")


@pytest.mark.parametrize("options", [(), ("--no-restart",)])
def test_all_that_a_streamer_says_is_json(options):
    command = [*SERVE, *options, "--log", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with SampleSender("anna", ["nothing"], 50.0, endpoint=ready["samples"], control=ready["control"]) as sender:
            with pytest.raises(ChannelMismatch):
                sender.wait_accepted(PATIENCE_S)
        assert process.stderr is not None
        said = ""
        while '"stream"' not in said:  # what is refused is logged a moment later
            said += process.stderr.readline()
        if not options:
            os.kill(ready["pid"], signal.SIGKILL)
            ready = json.loads(process.stdout.readline())
        process.terminate()
        told, rest = process.communicate(timeout=PATIENCE_S)
    lines = [json.loads(line) for line in (said + rest).splitlines()]
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys()
        datetime.fromisoformat(line["time"]).astimezone(UTC)
    refused, *_ = [line for line in lines if line.get("stream") == "anna"]
    assert refused["level"] == "warning"
    assert refused["logger"] == "kinestream.streamer.server.notices"
    begins = Counter(line["message"].partition(" ")[0].rstrip(":") for line in lines)
    assert begins["ready"] == (1 if options else 2)
    assert begins["stopping"] == 1
    assert bool(options) or [line for line in lines if line["logger"] == "kinestream.supervise"]
    assert lines[-1]["message"] == "stopped"
    assert lines[-1]["totals"] == json.loads(told.splitlines()[-1])


def test_what_keeps_it_from_starting_is_json_too(tmp_path):
    command = [sys.executable, "-m", "kinestream", "serve", str(tmp_path), "--log", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = map(json.loads, done.stderr.splitlines())
    assert line["level"] == "error"
    assert "is no bundle" in line["message"]
