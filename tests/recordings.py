"""Where tests find recordings of real streams: ``../shared/data``, or where ``ACCLIMATE_DATA`` points.

Without them a test says so and skips; under CI, where they must be there, it fails.
"""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("ACCLIMATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def recordings() -> Path:
    """Return the folder of the streams, or end the test."""
    if not DATA.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"the streams are missing at {DATA}")
        pytest.skip(f"no streams at {DATA}; set ACCLIMATE_DATA")
    return DATA
