"""The gatekeeper: what it keeps, what it measures, what comes of a shut gate."""

from itertools import count
from typing import Any

import msgspec
import numpy as np
import pytest

from acclimate_device.arena import Arena
from acclimate_device.committee import Committee
from acclimate_device.contest import QUARANTINED
from acclimate_device.gates import Limits, Verdict
from acclimate_device.plans import CLASSIFICATION
from acclimate_device.procedures import Task, select
from acclimate_device.rules import Rules
from acclimate_shared.evidence import Gate
from tests.device.test_arena import LAYOUT, arena, drive, stream

EASY = msgspec.structs.replace(CLASSIFICATION, mde=0.02, equivalence=0.01)


def worse_first(this: Arena, rows: int = 6_144) -> Any:
    """Let the column 1 serve nonsense so that the column 0 wins; return the transitions."""
    learn = this.committee.learn

    def contrary(*args: Any, **options: Any) -> Any:
        states, answers = learn(*args, **options)
        answers = answers.copy()
        answers[:, 1] = answers[:, 1, ::-1]
        return states, answers

    this.committee.learn = contrary  # type: ignore[method-assign]
    x, y = stream(rows, seed=1)
    this.roster.let_serve(1)
    this._lineage = 1
    this.contest.crown(1, "override", "to begin with the worse", {})
    drive(this, x, y)
    return this.contest.log


def rules(limits: Limits | None = None, **plan: Any) -> Rules:
    plan_ = msgspec.structs.replace(EASY, **plan)
    return Rules(limits=limits or Limits(), plan=plan_, challengers=("softmax",))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_rows_that_are_kept_may_have_gaps(task: Task) -> None:
    x, y = stream(1_024, task=task)
    x[::3, 0] = np.nan
    this = Arena(Committee(task, select(task, None), LAYOUT), Rules(), 0)
    drive(this, x, y)
    columns = range(len(this.names))
    assert all(v.passed for c in columns for v in this.gatekeeper.limits(c))
    assert QUARANTINED not in this.contest.status.values()
    name = next(n for n in this.committee.names if n.startswith("knn"))
    for wrong in (np.inf, -np.inf):
        window = this.roster.states[name]["window"].copy()
        window[0, 0] = wrong
        states = {**this.roster.states, name: {**this.roster.states[name], "window": window}}
        this.roster.begin(states)
        (finite,) = [v for v in this.gatekeeper.limits(this.committee.names.index(name)) if v.name == "finite"]
        assert not finite.passed
        assert finite.numbers["not_finite"] == 1


def test_a_winner_passes_all_gates_and_they_are_recorded() -> None:
    this = arena(rules())
    log = worse_first(this)
    said = [t for t in log if t.event == "gate"]
    assert [t.reason for t in said] == [f"gate {n} is open" for n in ("backtest", "finite", "size", "cost", "sanity")]
    assert said[-1].numbers["rows"] == 256
    assert this.champion == "softmax"
    assert this.contest.judged[2] == dict.fromkeys(["backtest", "finite", "size", "cost", "sanity"], True)


@pytest.mark.parametrize(("limits", "name"), [(Limits(state_bytes=64), "size"), (Limits(operations=3), "cost")])
def test_a_candidate_over_its_limits_is_quarantined_before_it_costs_a_level(limits: Limits, name: str) -> None:
    this = arena(rules(limits))
    log = worse_first(this, 2_048)
    assert this.contest.status[0] == QUARANTINED
    assert [t.reason for t in log if t.event == "quarantined"] == [f"it broke the limit {name}"]
    assert this.contest.account.started == 0


@pytest.mark.parametrize(("tick_s", "champion"), [(0.002, "softmax"), (0.02, "softmax-slow")])
def test_where_a_clock_may_decide_a_slow_winner_is_quarantined(tick_s: float, champion: str) -> None:
    this, ticks = arena(rules()), count()
    this.gatekeeper.clock = lambda: tick_s * next(ticks)
    worse_first(this)
    assert this.champion == champion
    assert (this.contest.status[0] == QUARANTINED) is (champion != "softmax")


def test_the_sanity_set_stops_a_winner_that_fails_on_what_is_known() -> None:
    this = arena(rules())
    ask = this.roster.ask_column

    def contrary(column: int, x: Any) -> Any:
        return 1 - ask(column, x) if column == 0 else ask(column, x)

    this.roster.ask_column = contrary  # type: ignore[method-assign]
    log = worse_first(this)
    assert this.champion == "softmax-slow"
    shut = [t for t in log if t.reason == "gate sanity is shut"]
    assert shut
    assert set(shut[0].numbers) == {"rows", "consulted", "left", "log_e"}  # pass or fail, and no loss
    assert "reject" in [t.event for t in log if t.candidate == "softmax"]


def test_no_rows_are_kept_where_none_may_be_and_a_plan_may_insist_on_some() -> None:
    this = arena(rules(Limits(sanity_rows=0)))
    worse_first(this)
    assert this.champion == "softmax"
    assert not [name for name in this.tensors() if name.startswith("sanity/")]
    this = arena(rules(Limits(sanity_rows=0), gates=(Gate(name="sanity", min_labels=64),)))
    worse_first(this)
    assert this.champion == "softmax-slow"


def test_the_sanity_set_is_frozen_bounded_and_saved() -> None:
    x, y = stream(1_024)
    limits = Limits(sanity_bytes=100 * (8 * x.shape[1] + 8))
    this, other = arena(Rules(limits=limits)), arena(Rules(limits=limits), seed=4)
    drive(this, x[:512], y[:512])
    kept = {name: a.copy() for name, a in this.tensors().items() if name.startswith("sanity/")}
    np.testing.assert_array_equal(kept["sanity/x"], x[:100])
    np.testing.assert_array_equal(kept["sanity/y"], y[:100])
    drive(this, x[512:], y[512:])
    other.restore(this.tensors(), msgspec.json.decode(msgspec.json.encode(this.document())))
    for name, array in kept.items():
        np.testing.assert_array_equal(this.tensors()[name], array)
        np.testing.assert_array_equal(other.tensors()[name], array)
    assert other.gatekeeper.document() == this.gatekeeper.document() == [100, 200, 0, None]


def test_a_worn_sanity_set_is_replaced_by_a_fresh_one() -> None:
    x, y = stream(1_024)
    this = arena(Rules(limits=Limits(sanity_rows=64, consultations=2)))
    drive(this, x[:512], y[:512])
    for consulted in (1, 2):
        verdict: Verdict = this.gatekeeper.verdicts(0, EASY)[-1]
        assert verdict.numbers["consulted"] == consulted
    drive(this, x[512:], y[512:])
    np.testing.assert_array_equal(this.tensors()["sanity/x"], x[512:576])
    assert this.gatekeeper.verdicts(0, EASY)[-1].numbers["consulted"] == 1
