"""What a rollout does to a fleet of 10,000: harm is halted before many are served by it, a good base gets through."""

import pytest

from acclimate_hub.rollout import Phase, RolloutPlan, Wave
from acclimate_tools.bench.rollouts import BASES, Simulation, simulate, summary
from tests.results import Record

BAR = 0.015  # of the fleet, served by a bad base
LONG = 1_000
HARMS = [name for name in BASES if name != "equal"]
# Without shadow, and the first wave too large.
RASH = RolloutPlan(waves=(Wave(percent=5.0), Wave(percent=100.0)))


def halted(name: str, runs: int, seed: int, plan: RolloutPlan | None = None) -> float:
    """Return the share of the rollouts that ended before they served 1.5 % of the fleet."""
    found = simulate(name, runs, seed=seed, plan=plan)
    return sum(run.phase is not Phase.DONE and run.served < BAR for run in found) / runs


@pytest.mark.slow
@pytest.mark.parametrize("name", HARMS)
def test_harm_is_halted(name: str) -> None:
    assert halted(name, 12, seed=1) == 1.0


@pytest.mark.slow
def test_a_good_base_gets_through() -> None:
    found = simulate("equal", 4, seed=2)
    assert sum(run.phase is Phase.ABORTED for run in found) <= 1
    assert all(run.served > 0.9 for run in found if run.phase is Phase.DONE)
    assert sum(run.phase is Phase.DONE for run in found) >= 3


@pytest.mark.slow
def test_a_rash_plan_serves_too_many() -> None:
    assert halted("worse by 3 points", 5, seed=3, plan=RASH) == 0.0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_rollout() -> None:
    plan = RolloutPlan()
    one, two = (Simulation(plan, BASES["crashing on 1 %"], 7).run() for _ in range(2))
    assert one == two


def test_a_fleet_that_is_too_small_pauses_and_never_passes() -> None:
    run = Simulation(RolloutPlan(max_blocks=120), BASES["equal"], 5, devices=300).run()
    assert run.phase is Phase.PAUSED
    assert run.wave == 0
    assert "0 of 48 blocks" in run.why
    assert run.served == 0


@pytest.mark.long
@pytest.mark.parametrize("name", HARMS)
def test_harm_is_halted_in_1_000_rollouts(name: str, record: Record) -> None:
    found = simulate(name, LONG, seed=11)
    record("rollouts of a bad base", name, summary(found, RolloutPlan(), BAR))
    assert sum(run.phase is not Phase.DONE and run.served < BAR for run in found) / LONG >= 0.99


@pytest.mark.long
def test_a_good_base_gets_through_in_1_000_rollouts(record: Record) -> None:
    found = simulate("equal", LONG, seed=12)
    record("rollouts of a good base", "equal", summary(found, RolloutPlan(), BAR))
    assert sum(run.phase is Phase.ABORTED for run in found) / LONG <= 0.05
    assert sum(run.phase is Phase.PAUSED for run in found) / LONG <= 0.05


@pytest.mark.long
def test_a_rash_plan_serves_too_many_in_100_rollouts(record: Record) -> None:
    found = simulate("worse by 3 points", LONG // 10, seed=13, plan=RASH)
    record("negative controls", "worse by 3 points, no shadow, first 5 %", summary(found, RASH, BAR))
    assert sum(run.phase is not Phase.DONE and run.served < BAR for run in found) == 0
