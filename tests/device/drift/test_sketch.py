"""Ranks within the promised error, whatever the order; merging keeps it; a few kilobytes whatever the length."""

import numpy as np
import pytest

from acclimate_device.drift import Sketch
from acclimate_shared.errors import InputError

ROWS = 20_000
BOUND = 0.0133  # of the count, at k = 200 and 99 % confidence, for one rank


def filled(values: np.ndarray) -> Sketch:
    """Return a sketch of the values."""
    sketch = Sketch()
    for value in values.tolist():
        sketch.update(value)
    return sketch


def orders() -> dict[str, np.ndarray]:
    """Return the same values in orders that are hard for sketches."""
    rising = np.arange(ROWS, dtype=np.float64)
    zigzag = np.empty(ROWS)
    zigzag[::2], zigzag[1::2] = rising[: ROWS // 2], rising[::-1][: ROWS // 2]
    return {
        "rising": rising,
        "falling": rising[::-1],
        "zigzag": zigzag,
        "shuffled": np.random.default_rng(0).permutation(rising),
        "repeated": np.floor(np.random.default_rng(1).permutation(rising) / 1000),
    }


def errors(sketch: Sketch, values: np.ndarray) -> np.ndarray:
    """Return errors of ranks at 99 edges, as shares of the count."""
    edges = np.quantile(values, np.arange(1, 100) / 100)
    exact = np.searchsorted(np.sort(values), edges, side="right")
    return np.asarray(np.abs(sketch.ranks(edges) - exact) / len(values))


@pytest.mark.parametrize("order", orders())
def test_ranks_are_within_the_bound(order: str) -> None:
    values = orders()[order]
    found = errors(filled(values), values)
    assert np.mean(found > BOUND) <= 0.02
    assert found.max() < 1.5 * BOUND


def test_weights_add_up_to_the_count() -> None:
    for rows in (1, 7, 200, 201, 999, 5000):
        sketch = filled(np.arange(rows, dtype=np.float64))
        assert sketch.ranks([rows])[0] == rows == sketch.count
        assert sketch.kept == sum(map(len, sketch.levels)) <= sketch.room


def test_few_values_are_kept_exactly() -> None:
    sketch = filled(np.arange(150.0))
    assert sketch.quantiles([0.0, 0.5, 1.0]).tolist() == [0.0, 74.0, 149.0]
    assert sketch.ranks([-1.0, 0.0, 74.5, 149.0]).tolist() == [0.0, 1.0, 75.0, 150.0]


def test_merging_many_keeps_the_bound() -> None:
    parts = [np.random.default_rng(i).standard_normal(200) + i % 5 for i in range(100)]
    merged = Sketch()
    for part in parts:
        merged.merge(filled(part))
    values = np.concatenate(parts)
    assert merged.count == len(values)
    assert errors(merged, values).max() < 1.5 * BOUND


def test_a_constant_is_a_constant() -> None:
    sketch = filled(np.full(ROWS, 3.0))
    assert sketch.ranks([2.9, 3.0]).tolist() == [0.0, ROWS]


def test_bytes_do_not_grow_with_the_stream() -> None:
    sketch = filled(np.random.default_rng(2).random(ROWS))
    assert len(sketch.to_bytes()) < 6500
    assert Sketch.from_bytes(sketch.to_bytes()).to_bytes() == sketch.to_bytes()


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="k = 4"):
        Sketch(k=4)
    with pytest.raises(ValueError, match="k = 100"):
        Sketch().merge(Sketch(k=100))
    with pytest.raises(RuntimeError):
        Sketch().quantiles([0.5])
    with pytest.raises(InputError):
        Sketch().update(float("nan"))
