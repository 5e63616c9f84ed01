"""Quality: a corrupted hour is no evidence, a stream's own habits are not suspected, what stays becomes normal."""

from typing import Any

import numpy as np
import pytest

from acclimate_device.arena import Arena
from acclimate_device.quality import MIN_ROWS, PATIENCE, Quality, said
from tests.device.test_arena import LAYOUT, arena, drive, stream

ROWS = 128


def clean(rng: np.random.Generator) -> Any:
    """Return a block of a varied feature, a rare flag, one that is stuck for hours at a time, and one often missing."""
    x = rng.standard_normal((ROWS, 4))
    x[:, 1] = rng.random(ROWS) < 0.01
    x[:, 2] = np.where(rng.random() < 0.3, 0.0, x[:, 2])
    x[rng.random(ROWS) < 0.6, 3] = np.nan
    return x


def corrupted(x: Any, how: str) -> Any:
    x = x.copy()
    if how == "gone":
        x[:, 0] = np.nan
    elif how == "stuck":
        x[:, 0] = x[0, 0]
    else:
        x[:, 0] = 100 * x[:, 0] + 50
    return x


def learned(seed: int = 0, blocks: int = 60) -> tuple[Quality, np.random.Generator]:
    quality, rng = Quality(), np.random.default_rng(seed)
    for _ in range(blocks):
        quality.suspects(clean(rng))
    return quality, rng


@pytest.mark.parametrize("how", ["gone", "stuck", "far"])
def test_each_corruption_is_found(how: str) -> None:
    for seed in range(20):
        quality, rng = learned(seed)
        assert (0, how) in quality.suspects(corrupted(clean(rng), how))


def test_clean_blocks_are_hardly_ever_suspected() -> None:
    suspected = 0
    for seed in range(20):
        quality, rng = learned(seed)
        suspected += sum(bool(quality.suspects(clean(rng))) for _ in range(100))
    assert suspected <= 20  # 1 % of 2,000


def test_a_change_that_stays_becomes_normal() -> None:
    quality, rng = learned()
    found = [bool(quality.suspects(corrupted(clean(rng), "stuck"))) for _ in range(PATIENCE[0] + 10)]
    assert all(found[: PATIENCE[0]])
    assert not any(found[PATIENCE[0] :])
    quality, rng = learned(blocks=400)
    assert all(quality.suspects(corrupted(clean(rng), "stuck")) for _ in range(20))


def test_what_happens_often_is_normal_from_its_first_block_on() -> None:
    quality, rng = learned()
    for _ in range(8):  # nights, a day between them
        for how in ("stuck", "stuck", "clean", "clean", "clean"):
            quality.suspects(clean(rng) if how == "clean" else corrupted(clean(rng), how))
    assert quality.suspects(corrupted(clean(rng), "stuck")) == []


def test_too_few_rows_and_a_short_past_tell_nothing() -> None:
    quality, rng = learned(blocks=3)
    assert quality.suspects(corrupted(clean(rng), "gone")) == []
    quality, rng = learned()
    assert quality.suspects(corrupted(clean(rng), "gone")[: MIN_ROWS - 1]) == []


def test_a_saved_past_is_the_same_past() -> None:
    quality, rng = learned()
    other = Quality()
    other.restore(quality.tensors())
    block = corrupted(clean(rng), "far")
    assert other.suspects(block) == quality.suspects(block) != []
    assert said([(0, "far"), (1, "gone"), (2, "stuck"), (3, "far")]) == (
        "feature 1 far, feature 2 gone, feature 3 stuck and 1 more"
    )


def test_suspected_events_are_no_evidence_but_are_learned() -> None:
    x, y = stream(6_144)
    this: Arena = arena()
    drive(this, x[:5_120], y[:5_120])
    before = {column: evidence.test.n for column, (_, evidence) in this.contest.running.items()}
    bad = x[5_120:].copy()
    bad[:, : LAYOUT.features] *= 100
    bad[:, : LAYOUT.features] += 1_000
    states = this.roster.states
    drive(this, bad[:256], y[5_120:5_376])
    assert this.roster.states is not states
    for column, labels in before.items():
        if column in this.contest.running:
            assert this.contest.running[column][1].test.n == labels
    assert [t.event for t in this.contest.log].count("quality") == 1
    drive(this, x[5_376:], y[5_376:])
    assert "as usual" in [t for t in this.contest.log if t.event == "quality"][-1].reason
