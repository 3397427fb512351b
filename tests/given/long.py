"""Tests that a short one covers as well: run where KINESTREAM_LONG is set."""

import os

import pytest

LONG = "KINESTREAM_LONG" in os.environ

long_form = pytest.mark.skipif(not LONG, reason="a longer form of another: where KINESTREAM_LONG is set")
