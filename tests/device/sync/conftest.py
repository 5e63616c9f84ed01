"""The record of the long tests of releases: what they measured, in docs/results/releases.json."""

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[3] / "docs" / "results" / "releases.json"
Record = Callable[[str, str, object], None]


@pytest.fixture(scope="session")
def record() -> Iterator[Record]:
    """Return a function that keeps a figure under group and name; all are written at the end, old ones kept."""
    figures: dict[str, dict[str, object]] = {}

    def keep(group: str, name: str, value: object) -> None:
        figures.setdefault(group, {})[name] = value

    yield keep
    if not figures:
        return
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    facts: dict[str, object] = {
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.machine(),
    }
    facts |= {"python": platform.python_version(), "cores": os.cpu_count()}
    kept = json.loads(RESULTS.read_text(encoding="utf-8")).get("figures", {}) if RESULTS.exists() else {}
    for group, values in figures.items():
        kept[group] = dict(sorted({**kept.get(group, {}), **values}.items()))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**facts, "figures": dict(sorted(kept.items()))}, indent=2, ensure_ascii=False)
    RESULTS.write_text(text + "\n", encoding="utf-8")
