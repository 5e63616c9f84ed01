"""Programs of a Debian machine that some tests need, and whether they are here."""

import shutil

import pytest


def needs(*names: str) -> None:
    """Skip the test unless all programs are there."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
