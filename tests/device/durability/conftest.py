"""Results of the long tests of durability."""

import json
import platform
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
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
    if not found:
        return
    before = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    facts = {"commit": commit.stdout.strip(), "date": datetime.now(UTC).date().isoformat()}
    facts |= {"machine": platform.machine(), "python": platform.python_version()}
    RESULTS.write_text(json.dumps({**before, **facts, **found}, indent=2, sort_keys=True) + "\n")
