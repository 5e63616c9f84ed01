"""Marks of drift: where something changed, hardly ever where nothing did, the same when killed and resumed."""

import msgspec
import numpy as np
import pytest

from acclimate_device.drift_watch import MOST_MARKS, DriftWatch


def watched(rows: int, seed: int, *, shift_at: int | None = None, regression: bool = False) -> DriftWatch:
    rng = np.random.default_rng(seed)
    this = DriftWatch(regression=regression)
    for at in range(0, rows, 500):
        changed = shift_at is not None and at >= shift_at
        x = rng.standard_normal((500, 3))
        x[:, 2] += 2.0 * changed
        error = rng.random(500) < (0.6 if changed else 0.2)
        losses = np.abs(rng.standard_normal(500)) * (4.0 if changed else 1.0) if regression else error.astype(float)
        this.inputs(x)
        this.losses(losses)
    return this


@pytest.mark.parametrize("regression", [False, True])
def test_a_change_is_marked_once_by_each_detector_soon(regression: bool) -> None:
    marks = watched(30_000, 0, shift_at=15_000, regression=regression).result()
    assert sorted(mark["on"] for mark in marks) == ["inputs", "loss"]
    for mark in marks:
        assert 15_000 < mark["row"] <= 17_500
    inputs = next(mark for mark in marks if mark["on"] == "inputs")
    assert inputs["detail"]["feature"] == 2


@pytest.mark.parametrize("regression", [False, True])
def test_a_steady_stream_gets_no_mark(regression: bool) -> None:
    assert watched(20_000, 1, regression=regression).total == 0


@pytest.mark.long
def test_at_most_one_false_mark_in_100_000_rows() -> None:
    marks = sum(watched(100_000, seed, regression=bool(seed % 2)).total for seed in range(10))
    assert marks <= 10


def test_a_loss_that_falls_is_not_marked() -> None:
    this = DriftWatch(regression=False)
    rng = np.random.default_rng(0)
    assert not this.losses((rng.random(3_000) < 0.7).astype(float))
    assert not this.losses((rng.random(3_000) < 0.1).astype(float))
    assert this.losses((rng.random(3_000) < 0.7).astype(float))


def test_missing_values_and_losses_that_do_not_count_are_harmless() -> None:
    this = DriftWatch(regression=True)
    this.inputs(np.full((3_000, 2), np.nan))
    this.losses(np.full(100, np.nan))
    this.losses(np.zeros(600))
    assert this.result() == []


def test_the_marks_are_bounded_and_counted() -> None:
    this = DriftWatch(regression=False)
    rng = np.random.default_rng(0)
    while this.total <= MOST_MARKS:
        this.losses((rng.random(300) < 0.05).astype(float))
        this.losses((rng.random(300) < 0.95).astype(float))
    assert len(this.result()) == MOST_MARKS


def test_it_resumes_exactly() -> None:
    rng = np.random.default_rng(4)
    first, second = DriftWatch(regression=True), DriftWatch(regression=True)
    first.inputs(rng.standard_normal((9_001, 40)))
    first.losses(np.abs(rng.standard_normal(200)))
    second.restore(msgspec.json.decode(msgspec.json.encode(first.document())))
    x, losses = 3.0 + rng.standard_normal((6_000, 40)), np.abs(rng.standard_normal(3_000)) + np.arange(3_000) // 1_500
    for this in (first, second):
        this.inputs(x)
        this.losses(losses)
    assert second.document() == first.document()
    assert second.result() == first.result() != []


def test_what_detectors_did_since_a_moment_is_told() -> None:
    this, rng = DriftWatch(regression=False), np.random.default_rng(0)
    this.losses((rng.random(3_000) < 0.1).astype(float))
    rows, labels = this.seen
    assert this.since(rows, labels) == []
    this.losses((rng.random(3_000) < 0.7).astype(float))
    this.inputs(rng.standard_normal((400, 2)))
    assert this.since(rows, labels) == [("adwin", "loss", 750, this.total), ("features", "inputs", 100, 0)]
    assert this.total >= 1
    assert [told[3] for told in this.since(*this.seen)] == []
