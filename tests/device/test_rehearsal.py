"""Rehearsal: a fair sample of the past, learned again without harm to what answers now, and saved bit for bit."""

from typing import Any

import numpy as np
import pytest

from acclimate_device.rehearsal import ABSENT_LABELS, MOST_BYTES, ROWS_PER_CLASS, Rehearsal
from acclimate_device.rules import Rules
from tests.device.test_arena import arena, drive, stream


def noted(rehearsal: Rehearsal, label: int, rows: int, first: int = 0) -> None:
    x = np.arange(first, first + rows, dtype=np.float64)[:, None]
    rehearsal.note(x, np.full(rows, label), np.ones(rows, np.float32))


def test_only_absent_classes_are_rehearsed_by_everyone() -> None:
    rehearsal = Rehearsal(96, 0)
    noted(rehearsal, 0, 300)
    noted(rehearsal, 1, 300)
    assert rehearsal.absent() is None
    noted(rehearsal, 1, ABSENT_LABELS)
    absent, present = rehearsal.absent(), rehearsal.present()
    assert absent is not None
    assert present is not None
    assert set(absent[1].tolist()) == {0}
    assert set(present[1].tolist()) == {1}
    assert (len(absent[1]), len(present[1])) == (96, 32)


def test_several_absent_classes_share_the_rows() -> None:
    rehearsal = Rehearsal(96, 0)
    for label in range(4):
        noted(rehearsal, label, 100)
    noted(rehearsal, 9, ABSENT_LABELS + 400)
    found = rehearsal.absent()
    assert found is not None
    assert np.bincount(found[1]).tolist() == [24, 24, 24, 24]


def test_the_sample_is_uniform_over_all_that_was_seen() -> None:
    hits = np.zeros(10)
    for seed in range(60):
        rehearsal = Rehearsal(96, seed)
        noted(rehearsal, 0, 4_000)
        kept = np.concatenate(list(rehearsal.tensors().values()))[:, 0]
        assert len(kept) == ROWS_PER_CLASS
        hits += np.bincount((kept // 400).astype(int), minlength=10)
    expected = 60 * ROWS_PER_CLASS / 10
    assert (((hits - expected) ** 2 / expected).sum()) < 27.9  # chi squared of 9 degrees, p = 0.001


def test_memory_is_bounded_and_rows_without_weight_are_not_kept() -> None:
    rehearsal = Rehearsal(96, 0)
    wide = np.zeros((300, 4_000))
    for label in range(3):
        rehearsal.note(wide, np.full(300, label), np.ones(300, np.float32))
    rehearsal.note(wide, np.full(300, 7), np.zeros(300, np.float32))
    assert sum(array.nbytes for array in rehearsal.tensors().values()) <= MOST_BYTES
    assert not any(name.startswith("7/") for name in rehearsal.tensors())
    assert not Rehearsal(0, 0).tensors()


def test_it_goes_on_bit_for_bit() -> None:
    first, second = Rehearsal(96, 0), Rehearsal(96, 5)
    for label in (0, 1, 0, 2):
        noted(first, label, 399)
    second.restore(first.tensors(), first.document())
    for rehearsal in (first, second):
        noted(rehearsal, 2, 701)
    for name, array in first.tensors().items():
        np.testing.assert_array_equal(array, second.tensors()[name])
    one, other = first.absent(), second.absent()
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one[0], other[0])
    assert first.document() == second.document()


def test_it_is_due_when_most_of_a_micro_batch_was_learned_and_not_when_it_was_held() -> None:
    rehearsal = Rehearsal(96, 0)
    noted(rehearsal, 0, 255)
    assert not rehearsal.due(512)
    noted(rehearsal, 0, 1)
    assert rehearsal.due(512)
    rehearsal.absent()
    assert not rehearsal.due(512)
    again = Rehearsal(96, 0)
    again.restore(rehearsal.tensors(), rehearsal.document())
    noted(rehearsal, 0, 255)
    noted(again, 0, 255)
    assert not again.due(512)
    noted(again, 0, 1)
    assert again.due(512)


def test_a_state_from_before_it_told_when_it_rehearsed_is_read() -> None:
    first, second = Rehearsal(96, 0), Rehearsal(96, 0)
    noted(first, 0, 300)
    second.restore(first.tensors(), first.document()[:3])
    assert not second.due(512)
    assert second.document()[:3] == first.document()[:3]


@pytest.mark.parametrize(("rows", "kept"), [(96, True), (0, False)])
def test_a_class_that_stops_is_still_known_with_rehearsal_and_not_without(rows: int, kept: bool) -> None:
    this = arena(Rules(rehearse=rows))
    x, y = stream(1_024)
    drive(this, x, y)
    known = this.roster.answer(x[:256])[0].argmax(1)
    assert (known == y[:256]).mean() > 0.9
    others: Any = np.flatnonzero(y == 0)
    rng = np.random.default_rng(1)
    again = (
        x[rng.choice(others, 25_600)] * 0.0 + rng.standard_normal((25_600, 5)) * [0.2, 1, 1, 1, 1] - [0.5, 0, 0, 0, 0]
    )
    drive(this, again, np.zeros(len(again), np.int64))
    ones = x[:512][y[:512] == 1]
    found = float((this.roster.answer(ones)[0].argmax(1) == 1).mean())
    assert (found > 0.85) is kept, found
