"""The record of what the packages are and cost."""

from collections.abc import Iterator

import pytest

from tests.results import FOLDER, Record, recording


@pytest.fixture(scope="module")
def record() -> Iterator[Record]:
    """Return a function that keeps a figure for docs/results/deb.json."""
    yield from recording(FOLDER / "deb.json")
