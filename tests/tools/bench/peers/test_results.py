"""From answers to words: comparison on the same rows, noise, and sentences that follow from the numbers alone."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acclimate_tools.bench.peers import columns, document, words
from acclimate_tools.bench.peers.catalogue import ENTRIES, Entry
from acclimate_tools.bench.peers.cells import Cell, Ran, Stream
from acclimate_tools.bench.peers.page import report
from acclimate_tools.bench.peers.recording import Array, Facts, Recording, Task
from acclimate_tools.bench.peers.results import OURS_NAME
from acclimate_tools.bench.peers.results import document as assembled
from acclimate_tools.bench.peers.venvs import Environment

ROWS, DELAY = 400, 3
FACTS = {
    "commit": "0123456789abcdef", "date": "2026-01-31", "python": "3.11.7", "machine": "x86_64", "cores": 2,
    "system": "Linux", "processor": "A <processor>", "memory_bytes": 8e9, "load": 0.5,
}  # fmt: skip
SETTINGS = {"rows": ROWS, "delays": [DELAY], "budget_s": 2.0, "seed": 0, "ignore": [], "jobs": 1}
COST = {
    "loop_cpu_s": 0.1, "cpu_s": 0.5, "first_answer_s": 0.25, "first_answer_cpu_s": 0.2, "peak_rss_bytes": 100_000_000,
    "state_bytes": 50_000,
}  # fmt: skip


def _named(name: str) -> Entry:
    return next(entry for entry in ENTRIES if entry.name == name)


def _stream(folder: Path, task: Task, name: str) -> tuple[Stream, Array]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, ROWS) if task == "classification" else rng.standard_normal(ROWS) * 10
    classes = ("no", "yes") if task == "classification" else ()
    facts = Facts(task=task, rows=ROWS, numbers=("x",), categories=(), levels=(), classes=classes)
    recording = Recording.write(folder / name, facts, rng.standard_normal((ROWS, 1)), np.empty((ROWS, 0)), y)
    return Stream(name=name, path=folder / "x.csv", label="y", ignore=(), recording=recording), y


def _right(y: Array, share: float, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(y)) < share, y, 1 - y).astype(float)


def _ran(stream: Stream, name: str, answers: Array, **cost: Any) -> Ran:
    cell = Cell(stream=stream, entry=_named(name), delay=DELAY, budget_s=2.0, seed=0)
    rows = len(answers)
    return Ran(cell, {**COST, "rows": rows, "complete": rows == ROWS, "classes": None, **cost}, answers)


@pytest.fixture
def result(tmp_path: Path) -> dict[str, Any]:
    """A run of a few peers whose order is known."""
    stream, y = _stream(tmp_path, "classification", "a<b")
    values, target = _stream(tmp_path, "regression", "values")
    ours = _right(y, 0.8, 1)
    ours[: ROWS // 2] = _right(y, 0.6, 2)[: ROWS // 2]  # a beginner
    nearly = ours.copy()
    nearly[ROWS - 1] = y[ROWS - 1] if ours[ROWS - 1] != y[ROWS - 1] else ours[ROWS - 1]
    nearly[np.flatnonzero(ours != y)[-1]] = y[np.flatnonzero(ours != y)[-1]]
    failed = Cell(stream=stream, entry=_named("River HAT"), delay=DELAY, budget_s=2.0, seed=0)
    ran = [
        _ran(stream, OURS_NAME, ours),
        _ran(stream, "River LogisticRegression", nearly, loop_cpu_s=0.01, state_bytes=500),
        Ran(failed, {}, np.empty(0), "it broke <b>"),
        _ran(stream, "sklearn MLP, each event", _right(y, 0.75, 3)[: ROWS // 2], loop_cpu_s=2.0),
        _ran(stream, "VW linear", np.full(ROWS, np.nan), first_answer_s=None),
        _ran(values, OURS_NAME, target + 1.0),
        _ran(values, "River LogisticRegression", target + 2.0),
    ]
    environments = {
        name: Environment(python=Path("python"), path=(), versions={name: "1.2"}, install_bytes=size)
        for name, size in (("acclimate", 20_000_000), ("river", 30_000_000), ("scikit-learn", 9), ("vowpal-wabbit", 7))
    }
    absent = {"capymoa": "there is no Java runtime on this machine"}
    return json.loads(json.dumps(assembled(FACTS, SETTINGS, environments, absent, ran)))  # type: ignore[no-any-return]


def _row(result: dict[str, Any], peer: str) -> dict[str, Any]:
    return next(row for row in words.rows_of(result, result["groups"][0]) if row["peer"] == peer)


def test_a_peer_that_did_not_finish_is_compared_on_the_rows_that_it_did(result: dict[str, Any]) -> None:
    row, ours = _row(result, "sklearn MLP, each event"), _row(result, OURS_NAME)
    assert not row["complete"]
    assert row["compared"]["rows"] == ROWS // 2
    assert row["compared"]["ours"]["accuracy"] < ours["accuracy"], "Acclimate's beginning, not all of it"
    said = words.sentence(words.rows_of(result, result["groups"][0]), columns.CLASS_COLUMNS[0])
    gain = 100 * (row["accuracy"] - row["compared"]["ours"]["accuracy"])
    assert f"sklearn MLP, each event (+{gain:.2f} points on the first 200 rows)" in said


def test_a_difference_of_one_row_is_within_noise(result: dict[str, Any]) -> None:
    row = _row(result, "River LogisticRegression")
    assert words.within_noise(row, columns.CLASS_COLUMNS[0])
    said = words.sentence(words.rows_of(result, result["groups"][0]), columns.CLASS_COLUMNS[0])
    assert re.search(r"River LogisticRegression \(\+0\.25 points, within noise\)", said)
    assert said.startswith("accuracy: 2 of 3 peers are better than Acclimate continual (")


def test_costs_are_compared_as_factors(result: dict[str, Any]) -> None:
    rows = words.rows_of(result, result["groups"][0])
    said = {column.key: words.sentence(rows, column) for column in columns.COST_COLUMNS}
    assert said["events_per_cpu_s"].endswith("1 of 3 peers is better than Acclimate continual (4,000): "
                                             "River LogisticRegression (× 10.0)")  # fmt: skip
    assert "none of 3 peers is better" in said["peak_rss_bytes"]
    assert "1 of 3 peers is better" in said["state_bytes"]
    assert "River LogisticRegression (× 100.0)" in said["state_bytes"]
    assert "none of 2 peers" in said["cpu_s"], "one that did fewer rows is left out"
    assert "none of 2 peers" in said["first_answer_s"], "and one that never answered"


def test_standings_count_what_is_beyond_noise(result: dict[str, Any]) -> None:
    found = {one.title: one for one in words.standings(result)}
    river = found["River LogisticRegression"]
    assert (river.ahead, river.even, river.behind) == (0, 1, 1), "worse on values, the same on classes"
    assert river.speed == pytest.approx(10**0.5)
    assert found["sklearn MLP, each event"].ahead == 1
    assert "River HAT" not in found


def test_the_document_tells_everything(result: dict[str, Any]) -> None:
    said = document.markdown(result)
    assert "Measured on 2026-01-31 at commit 0123456789ab: A <processor>, 2 cores, 8 GB of memory" in said
    assert "| capymoa | not measured: there is no Java runtime on this machine | – | – |" in said
    assert "| River HAT | failed |" in said
    assert "- River HAT failed: `it broke <b>`" in said
    assert "| sklearn MLP, each event † | 200 |" in said
    assert "## values, labels 3 late" in said
    assert "River LinearRegression" in said, "the regression's own name"
    for row in words.rows_of(result, result["groups"][0]):
        if not row["failed"]:
            assert f"| {columns.share(row['accuracy'])} |" in said


def test_the_page_is_whole_and_safe(result: dict[str, Any]) -> None:
    page = report(result)
    assert "it broke &lt;b&gt;" in page
    assert "a&lt;b, labels 3 late" in page
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|src=|@import|url\(", page)
    assert page.count('<svg class="wide"') == 4, "two drawings for each stream"
    assert page.count("<circle") == 2 * (4 + 2), "a point for each peer that ran, wide and narrow"


def test_without_acclimate_nothing_is_called_better(result: dict[str, Any]) -> None:
    for row in result["groups"][0]["peers"]:
        if row["peer"] == OURS_NAME:
            row["failed"] = "it broke"
    rows = words.rows_of(result, result["groups"][0])
    assert words.sentence(rows, columns.CLASS_COLUMNS[0]) == "accuracy: Acclimate continual has no result"


def test_the_page_of_benchmarks_is_what_the_results_give() -> None:
    found = json.loads(document.RESULTS.read_text(encoding="utf-8"))
    assert document.PLACE.read_text(encoding="utf-8") == document.markdown(found), (
        "write it: python -m acclimate_tools.bench.peers.document"
    )
