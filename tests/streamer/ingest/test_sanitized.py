"""The short form of `sanitized`: the loops in C take what strangers send, and no sanitizer reports anything."""

import pytest

from tests.streamer.ingest.sanitized import lacking, sanitized


@pytest.mark.skipif(bool(lacking()), reason=lacking())
@pytest.mark.parametrize(
    ("of", "frames", "says"), [("fuzz", 3_000, "messages_taken"), ("loops", 15_000, "windows due")]
)
def test_no_sanitizer_reports_anything(of, frames, says):
    done = sanitized(of, frames, 1, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Sanitizer" not in done.stderr
    assert says in done.stdout
