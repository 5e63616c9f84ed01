"""The gate and the evidence of one criterion: what passes, what halts, and how often either is wrong."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acclimate_hub.rollout import Criterion, Gate, Outcomes, RolloutPlan, VerdictKind
from acclimate_hub.rollout.gate import Floats, failure_log_e
from acclimate_hub.rollout.track import Track
from acclimate_shared.errors import CorruptStateError
from tests.hub.rollout.fleet import small_plan
from tests.results import Record

LOSS = RolloutPlan().criteria[0]
RHO, SD = 0.5, 0.008


def series(rng: np.random.Generator, mean: float, steps: int) -> list[float]:
    """Return an AR(1) series of block means about a mean."""
    noise = rng.standard_normal(steps) * SD * math.sqrt(1 - RHO**2)
    found, last = [], SD * float(rng.standard_normal())
    for step in noise.tolist():
        last = RHO * last + step
        found.append(mean + last)
    return found


def track(group: int = 20, halt_group: int = 2, halt_alpha: float = 0.05, max_blocks: int = 400) -> Track:
    return Track.new(LOSS, alpha=0.05, halt_alpha=halt_alpha, group=group, halt_group=halt_group, max_blocks=max_blocks)


def ever(mean: float, runs: int, seed: int, *, group: int, blocks: int = 400) -> tuple[float, float]:
    """Return the shares of runs that ever pass and ever alarm."""
    rng, passed, alarmed = np.random.default_rng(seed), 0, 0
    for _ in range(runs):
        one, yes = track(group), False
        for y in series(rng, mean, blocks):
            one.observe(y)
            yes = yes or one.passes
        passed, alarmed = passed + yes, alarmed + one.halts
    return passed / runs, alarmed / runs


@pytest.mark.slow
def test_at_the_limit_few_pass_and_without_the_block_rule_too_many() -> None:
    assert ever(LOSS.limit, 150, 1, group=20)[0] <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)
    assert ever(LOSS.limit, 150, 1, group=1)[0] > 0.2


@pytest.mark.slow
def test_below_halt_few_alarm_and_good_ones_pass() -> None:
    passed, alarmed = ever(0.0, 30, 2, group=20)
    assert passed == 1.0
    assert alarmed == 0.0


@pytest.mark.long
def test_how_often_a_wave_is_wrong(record: Record) -> None:
    at_limit, unblocked = ever(LOSS.limit, 1_000, 3, group=20)[0], ever(LOSS.limit, 200, 4, group=1)[0]
    at_halt = ever(LOSS.halt, 1_000, 5, group=20)[1]
    record("one criterion, AR(.5)", "passes at the limit, blocks of 20", at_limit)
    record("one criterion, AR(.5)", "alarms at halt, declared .05", at_halt)
    record("negative controls", "passes at the limit without the block rule", unblocked)
    assert at_limit <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1_000)
    assert unblocked > 0.2


def test_a_late_harm_is_found_as_fast_as_an_early_one() -> None:
    early, late = track(), track()
    for _ in range(300):
        late.observe(0.0)
    for one in (early, late):
        while not one.halts:
            one.observe(0.03)
    assert late.n - 300 <= early.n + 2


def test_a_group_above_the_range_voids_the_pass_and_spends_a_level() -> None:
    one = track(group=2)
    for y in [0.0] * 30:
        one.observe(y)
    assert one.passes
    first = one.threshold
    for y in (0.05, 0.05):
        one.observe(y)
    assert not one.passes
    assert (one.voided, one.level.index) == (1, 2)
    assert one.threshold > first


def test_groups_that_hang_together_void_the_pass_and_grow() -> None:
    one = track(group=1)
    wave = np.tile(np.repeat([-0.01, 0.012], 10), 10)
    for y in wave.tolist():
        one.observe(y)
    assert one.voided >= 1
    assert one.blocks.length >= 2


@given(st.lists(st.floats(-0.2, 0.2), max_size=60), st.integers(0, 60))
def test_a_track_continues_bit_for_bit(values: list[float], cut: int) -> None:
    one, two = track(group=3), track(group=3)
    for y in values:
        one.observe(y)
    for y in values[:cut]:
        two.observe(y)
    two = Track.restored(LOSS, two.state())
    for y in values[cut:]:
        two.observe(y)
    assert two.state() == one.state()


def columns(n: int, loss: float) -> dict[str, Floats]:
    return {"loss": np.full(n, loss)}


def filled(blocks: int, devices: int, loss: float, plan: RolloutPlan) -> Gate:
    gate = Gate.open(plan, 7)
    for _ in range(blocks):
        gate.close(gate.next_block, members=devices, values=columns(devices, loss))
    return gate


def test_a_good_wave_passes_only_with_enough_blocks_devices_and_successes() -> None:
    plan = small_plan()
    assert filled(3, 5, 0.0, plan).verdict(Outcomes()).kind is VerdictKind.WAITING
    gate = filled(20, 5, 0.0, plan)
    assert gate.verdict(Outcomes()).kind is VerdictKind.PASS
    assert gate.verdict(Outcomes(serving=True)).kind is VerdictKind.WAITING
    assert gate.verdict(Outcomes(serving=True, begun=2, succeeded=1)).kind is VerdictKind.WAITING
    assert gate.verdict(Outcomes(serving=True, begun=10, succeeded=7)).kind is VerdictKind.WAITING
    assert gate.verdict(Outcomes(serving=True, begun=10, succeeded=8)).kind is VerdictKind.PASS


def test_no_data_ends_in_a_pause_with_its_reason() -> None:
    verdict = filled(40, 0, 0.0, small_plan()).verdict(Outcomes())
    assert verdict.kind is VerdictKind.STARVED
    assert "loss: 0 of 4 blocks" in verdict.why
    assert filled(40, 1, 0.0, small_plan()).verdict(Outcomes()).kind is VerdictKind.STARVED


def test_a_block_that_most_members_miss_does_not_count() -> None:
    plan = small_plan(min_share=0.5)
    gate = Gate.open(plan, 0)
    gate.close(0, members=100, values=columns(49, 0.0))
    assert (gate.counted, gate.tracks[0].n) == (0, 0)
    gate.close(1, members=100, values=columns(50, 0.0))
    assert (gate.counted, gate.tracks[0].n) == (1, 1)


def test_what_was_not_measured_counts_neither_way() -> None:
    gate = Gate.open(small_plan(), 0)
    gate.close(0, members=3, values={"loss": np.array([0.01, np.nan, 0.03])})
    assert (gate.tracks[0].n, gate.tracks[0].mean) == (1, 0.02)
    gate.close(1, members=3, values={"loss": np.array([0.01, np.nan, np.nan])})
    assert (gate.counted, gate.tracks[0].n) == (2, 1)


def test_blocks_are_closed_once_and_in_order() -> None:
    gate = Gate.open(small_plan(), 3)
    for wrong in (2, 4):
        with pytest.raises(RuntimeError, match="block 3"):
            gate.close(wrong, members=0, values={})
    assert not gate.due(44.9)
    assert gate.due(45.0)


def test_harm_halts_even_if_everything_else_passes() -> None:
    harm = Criterion(name="crash", low=0.0, high=0.01, expect=0.0, limit=0.005, halt=0.002, bad=0.01, sd=0.001)
    plan = small_plan(criteria=(LOSS, harm))
    gate = Gate.open(plan, 0)
    for block in range(40):
        gate.close(block, members=4, values={"loss": np.zeros(4), "crash": np.full(4, 0.01)})
        verdict = gate.verdict(Outcomes())
        assert verdict.kind is not VerdictKind.PASS
        if verdict.kind is VerdictKind.HALT:
            assert verdict.why.startswith("crash")
            return
    raise AssertionError("not halted")


@given(begun=st.integers(0, 500), failed=st.integers(0, 50))
def test_one_failure_more_is_more_evidence(begun: int, failed: int) -> None:
    plan = RolloutPlan()
    one = failure_log_e(plan, Outcomes(ever_begun=begun + failed + 1, ever_failed=failed))
    more = failure_log_e(plan, Outcomes(ever_begun=begun + failed + 1, ever_failed=failed + 1))
    assert more > one
    assert failure_log_e(plan, Outcomes()) == pytest.approx(0.0, abs=1e-12)


def test_failures_halt_at_the_declared_rate_only() -> None:
    plan, rng = RolloutPlan(), np.random.default_rng(3)

    def alarms(rate: float) -> float:
        hits = 0
        for _ in range(100):
            failed = np.cumsum(rng.random(300) < rate)
            outcomes = [Outcomes(ever_begun=n + 1, ever_failed=int(failed[n])) for n in range(0, 300, 10)]
            hits += any(failure_log_e(plan, o) >= -math.log(plan.halt_alpha) for o in outcomes)
        return hits / 100

    assert alarms(plan.max_failed) <= 0.03
    assert alarms(plan.bad_failed) >= 0.9
    failing = filled(1, 5, 0.0, small_plan()).verdict(Outcomes(ever_begun=10, ever_failed=8))
    assert failing.kind is VerdictKind.HALT
    assert "8 of 10 devices" in failing.why


def test_a_gate_continues_bit_for_bit_and_refuses_damage() -> None:
    plan = small_plan()
    gate = filled(5, 3, 0.004, plan)
    again = Gate.from_bytes(plan, gate.to_bytes())
    for one in (gate, again):
        one.close(one.next_block, members=3, values=columns(3, 0.001))
    assert again.to_bytes() == gate.to_bytes()
    for data in (b"", b"\xc1", gate.to_bytes()[:-20]):
        with pytest.raises(CorruptStateError):
            Gate.from_bytes(plan, data)
    with pytest.raises(CorruptStateError, match="another plan"):
        Gate.from_bytes(RolloutPlan(), gate.to_bytes())
