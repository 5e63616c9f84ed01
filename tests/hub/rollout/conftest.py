"""The record of the long simulation: what came of the rollouts, in docs/results/rollouts.json."""

from collections.abc import Iterator

import pytest

from tests.results import FOLDER, Record, recording


@pytest.fixture(scope="session")
def record() -> Iterator[Record]:
    """Return a function that keeps a figure under group and name."""
    yield from recording(FOLDER / "rollouts.json")
