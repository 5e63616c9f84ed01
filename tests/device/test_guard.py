"""The guard: it finds harm, forgives noise, and says when the present state is proven."""

import numpy as np
import pytest

from acclimate_device.guard import LEAST, LONGEST, RUN_LENGTH, SHORTEST, Guard

ALPHA, TOLERANCE = 0.05, 0.01


def course(guard: Guard, rng: np.random.Generator, rows: int, *, now: float, anchor: float) -> tuple[str | None, int]:
    """Feed 0/1 losses with these rates until something is due."""
    for at in range(0, rows, 64):
        due = guard.observe((rng.random(64) < now).astype(float), (rng.random(64) < anchor).astype(float))
        if due:
            return due, at + 64
    return None, rows


def test_harm_gives_the_alarm_within_a_micro_batch_or_two() -> None:
    for seed in range(20):
        guard = Guard(ALPHA, TOLERANCE)
        due, labels = course(guard, np.random.default_rng(seed), 4_000, now=0.5, anchor=0.1)
        assert due == "alarm"
        assert labels <= 1024
        assert guard.numbers()["log_m"] >= np.log(RUN_LENGTH)


def test_a_lineage_that_is_better_is_proven() -> None:
    for seed in range(20):
        assert course(Guard(ALPHA, TOLERANCE), np.random.default_rng(seed), 8_000, now=0.1, anchor=0.2)[0] == "proven"


def test_where_differences_do_not_hang_together_it_is_proven_sooner() -> None:
    apart: list[int] = []
    runs: list[int] = []
    for labels, length in ((apart, 1), (runs, 16)):
        for seed in range(20):
            guard, rng = Guard(ALPHA, TOLERANCE), np.random.default_rng(seed)
            for at in range(0, 40_000, 64):
                draws = np.repeat(rng.random((2, 64 // length)), length, 1)
                if guard.observe(*(draws < [[0.10], [0.16]]).astype(float)) == "proven":
                    labels.append(at + 64)
                    assert guard.blocks.length >= (LEAST if length == 1 else length)
                    break
    assert len(apart) == 20
    assert np.mean(apart) < 0.5 * np.mean(runs)


def test_differences_that_come_in_runs_are_proven_in_longer_blocks() -> None:
    """What both get wrong is independent; where they differ comes in runs, half of them harm: there is no proof."""
    proven, lengths = 0, []
    for seed in range(100):
        rng, guard = np.random.default_rng(seed), Guard(ALPHA, 0.0)
        guard.reset((rng.random(512) < 0.5).astype(float))
        both, good = (rng.random(6_400) < 0.5).astype(float), np.repeat(rng.random(320) < 0.5, 20)
        differ = rng.random(6_400) < 0.2
        now = np.where(differ, np.where(good, 0.0, 1.0), both)
        anchor = np.where(differ, np.where(good, 1.0, 0.0), both)
        found = {guard.observe(now[at : at + 64], anchor[at : at + 64]) for at in range(0, 6_400, 64)}
        proven += "proven" in found
        lengths.append(guard.blocks.length)
    assert proven <= 100 * ALPHA + 3 * np.sqrt(100 * ALPHA * (1 - ALPHA))
    assert max(lengths) > LEAST


def test_a_lineage_worse_by_the_tolerance_is_hardly_ever_proven() -> None:
    proven = 0
    for seed in range(200):
        guard, rng = Guard(ALPHA, 0.05), np.random.default_rng(seed)
        guard.reset((rng.random(512) < 0.1).astype(float))
        proven += course(guard, rng, 6_400, now=0.15, anchor=0.10)[0] == "proven"
        assert guard.blocks.length < SHORTEST
    assert proven <= 200 * ALPHA + 3 * np.sqrt(200 * ALPHA * (1 - ALPHA))


def test_false_alarms_are_as_rare_as_promised() -> None:
    """With an average run length of 80,000 labels, at most a quarter of runs may have alarmed by 20,000."""
    alarms = 0
    for seed in range(60):
        guard, rng = Guard(1e-300, TOLERANCE), np.random.default_rng(seed)  # never proven, so it watches on
        alarms += course(guard, rng, 20_000, now=0.2, anchor=0.2)[0] == "alarm"
    assert alarms <= 60 * 0.25


def test_blocks_are_as_long_as_the_losses_hang_together() -> None:
    rng, guard = np.random.default_rng(0), Guard(ALPHA, TOLERANCE)
    guard.reset((rng.random(2_000) < 0.1).astype(float))
    assert guard.watch.blocks.length == SHORTEST
    assert guard.numbers()["average_run_length"] == RUN_LENGTH * SHORTEST
    guard.reset(np.repeat((rng.random(20) < 0.5).astype(float), 100))
    assert SHORTEST < guard.watch.blocks.length <= LONGEST
    assert guard.numbers()["average_run_length"] == RUN_LENGTH * guard.watch.blocks.length


@pytest.mark.parametrize("cut", [64, 640])
def test_a_saved_guard_goes_on_bit_for_bit(cut: int) -> None:
    rng = np.random.default_rng(1)
    now, anchor = (rng.random((2, 1_920)) < 0.2).astype(float)
    whole, first, second = Guard(ALPHA, TOLERANCE), Guard(ALPHA, TOLERANCE), Guard(ALPHA, TOLERANCE)
    for at in range(0, 1_920, 64):
        whole.observe(now[at : at + 64], anchor[at : at + 64])
        if at == cut:
            second.restore(first.document())
        (first if at < cut else second).observe(now[at : at + 64], anchor[at : at + 64])
    assert second.document() == whole.document()


def test_the_guard_of_an_earlier_release_goes_on_with_its_proof() -> None:
    rng, old, new = np.random.default_rng(2), Guard(ALPHA, TOLERANCE), Guard(ALPHA, TOLERANCE)
    course(old, rng, 512, now=0.2, anchor=0.2)
    new.restore(old.document()[:3])
    assert new.blocks == old.blocks
    assert new.refuted == old.refuted
    assert course(new, rng, 8_000, now=0.1, anchor=0.2)[0] == "proven"
