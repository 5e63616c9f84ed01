"""The record of the long tests of the evidence: what they measured, in docs/results/evidence.json."""

from collections.abc import Iterator

import pytest

from tests.results import FOLDER, Record, recording

__all__ = ["Record", "record"]


@pytest.fixture(scope="session")
def record() -> Iterator[Record]:
    """Return a function that keeps a figure under group and name."""
    yield from recording(FOLDER / "evidence.json")
