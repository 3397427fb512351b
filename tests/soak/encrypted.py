"""What encryption costs a streamer: its processor time for each message, with keys and without, in turn.

::

    python -m tests.soak.encrypted --seconds 20 --per-s 5000
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from kinestream.replay.process import started_streamer
from kinestream.streamer.client import SampleConnection, SampleSender
from kinestream.streamer.keys.folder import KeyFolder
from tests.given.hostile import BUNDLE, DEMO, signal_of

RATE = 50.0


def measure(keys: KeyFolder | None, streams: int, per_s: float, seconds: float) -> dict[str, float]:
    """Send so many messages a second of one sample each, and return what they cost the streamer."""
    options = [] if keys is None else ["--keys", str(keys.path)]
    own = None if keys is None else keys.path / "load.secret"
    with started_streamer(DEMO, *options) as streamer:
        process = psutil.Process(streamer.pid)
        where = {"control": streamer.addresses.control, "keys": own}
        x = signal_of(1)
        with SampleConnection(streamer.addresses.ingest, **where) as connection:
            senders = [SampleSender(f"load-{i}", BUNDLE.channels, RATE, connection=connection) for i in range(streams)]
            for sender in senders:
                sender.wait_accepted()
            began, spent = time.monotonic(), sum(process.cpu_times()[:2])
            sent = 0
            while (now := time.monotonic()) - began < seconds:
                while sent < (now - began) * per_s:
                    sender = senders[sent % streams]
                    sender.send(x, t=time.time_ns(), seq=sender.seq)
                    sent += 1
                time.sleep(0.001)
            spent = sum(process.cpu_times()[:2]) - spent
        totals = streamer.stop()
    return {
        "messages": sent,
        "us_per_message": 1e6 * spent / sent,
        "labels": totals.get("windows_labelled", 0),
        "cpu": spent / seconds,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--per-s", type=float, default=5000.0)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    report: dict[str, Any] = {"per_s": options.per_s, "streams": options.streams, "turns": []}
    with tempfile.TemporaryDirectory() as folder:
        kept = KeyFolder(Path(folder) / "keys")
        kept.new_client("load")
        kept.allow("load", {"send": ("*",)})
        for _ in range(options.turns):
            turn = {
                name: measure(keys, options.streams, options.per_s, options.seconds)
                for name, keys in (("plain", None), ("encrypted", kept))
            }
            report["turns"].append(turn)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
