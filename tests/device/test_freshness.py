"""The value of freshness: none where nothing changes, a cadence where something does."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from acclimate_device.cli import main
from acclimate_device.freshness import MIN_ROWS, Freshness, freshness
from acclimate_device.freshness_view import sentence
from acclimate_device.inputs import Inputs
from acclimate_device.replay import Row
from acclimate_device.schema import infer_columns
from acclimate_shared.errors import UsageError


def stream(rows: int, turn: float, seed: int = 0, *, values: bool = False) -> tuple[Inputs, list[Row]]:
    """Return a stream whose boundary (or slope) turns by ``turn`` radians a thousand rows."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 2))
    angle = turn * np.arange(rows) / 1000
    signal = x[:, 0] * np.cos(angle) + x[:, 1] * np.sin(angle) + 0.2 * rng.standard_normal(rows)
    columns, _ = infer_columns(["a", "b"], x[:1000].tolist())
    inputs = Inputs("regression" if values else "classification", columns)
    labels: list[Any] = signal.tolist() if values else np.where(signal > 0, "up", "down").tolist()
    return inputs, [
        Row(row=i + 1, parsed=inputs.parse({"a": a, "b": b}), label=label, key="")
        for i, ((a, b), label) in enumerate(zip(x.tolist(), labels, strict=True))
    ]


@pytest.mark.parametrize("values", [False, True])
def test_a_stream_that_stands_still_has_no_value_of_freshness(values: bool) -> None:
    found = [freshness(*stream(4_000, 0.0, seed, values=values)).valuable for seed in range(8)]
    assert sum(found) <= 1


@pytest.mark.parametrize("values", [False, True])
def test_the_faster_it_turns_the_more_often_it_should_learn(values: bool) -> None:
    slow, fast = (freshness(*stream(8_000, turn, values=values)) for turn in (0.15, 1.0))
    assert slow.valuable
    assert fast.valuable
    assert fast.recommended_rows is not None
    assert slow.recommended_rows is not None
    assert fast.recommended_rows <= slow.recommended_rows
    assert fast.ages[3].excess > slow.ages[3].excess > 0
    assert "Learn at least every" in sentence(fast)


def test_few_rows_are_refused() -> None:
    with pytest.raises(UsageError, match=str(MIN_ROWS)):
        freshness(*stream(100, 0.0))


def test_a_tolerance_makes_it_say_no_value() -> None:
    found: Freshness = freshness(*stream(8_000, 1.0), tolerance=0.9)
    assert found.recommended_rows is None
    assert sentence(found).startswith("No value")


def test_the_command_prints_a_curve_and_json(tmp_path: Path) -> None:
    _, rows = stream(4_000, 0.8)
    path = tmp_path / "turning.csv"
    lines = [f"{row.parsed.numbers[0]},{row.parsed.numbers[1]},{row.label}" for row in rows]
    path.write_text("a,b,y\n" + "\n".join(lines) + "\n")
    done = CliRunner().invoke(main, ["freshness", str(path), "--label", "y"], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    assert "Learn at least every" in done.output
    assert "●" in done.output
    assert all(len(line) <= 80 for line in done.output.splitlines()), done.output
    done = CliRunner().invoke(main, ["freshness", str(path), "--label", "y", "--json", "-"])
    assert json.loads(done.stdout)["valuable"] is True
    short = CliRunner().invoke(main, ["freshness", str(path), "--label", "y", "--rows", "50"])
    assert short.exit_code == 2
