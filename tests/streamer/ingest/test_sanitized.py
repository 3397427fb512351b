"""The short form of `sanitized`: the loops in C take what strangers send, and no sanitizer reports anything."""

import pytest

from tests.streamer.ingest.sanitized import lacking, sanitized

FRAMES = 20_000


@pytest.mark.skipif(bool(lacking()), reason=lacking())
def test_no_sanitizer_reports_anything():
    done = sanitized(FRAMES, 1, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Sanitizer" not in done.stderr
    assert "messages_taken" in done.stdout
