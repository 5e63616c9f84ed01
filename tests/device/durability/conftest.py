"""Results of the long tests of durability."""

import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

RESULTS = Path(__file__).parents[3] / "docs" / "results" / "torture.json"
Record = Callable[[str, Any], None]


@pytest.fixture(scope="session")
def record() -> Iterator[Record]:
    """Keep what a long test found, by its name; written at the end."""
    found: dict[str, Any] = {}

    def keep(name: str, value: Any) -> None:
        found[name] = value

    yield keep
    before = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    facts = {"machine": platform.machine(), "python": platform.python_version()}
    RESULTS.write_text(json.dumps({**before, **facts, **found}, indent=2, sort_keys=True) + "\n")
