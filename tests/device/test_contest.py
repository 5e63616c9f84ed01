"""The contest: what is tested, what it takes to win, what a victory voids; on losses alone."""

from typing import Any

import msgspec
import numpy as np
import pytest

from acclimate_device.contest import IDLE, MIN_BACKTEST_ROWS, RUNNING, Contest
from acclimate_device.cool_down import ROWS as COOL_DOWN_ROWS
from acclimate_device.plans import CLASSIFICATION, REGRESSION, default_plan, read_plan, with_backtest
from acclimate_shared.errors import PlanError, UsageError
from acclimate_shared.evidence import BlockRule, Gate, contest_test

NAMES = ["champion", "first", "second", "third"]
STEP = 128


def contest(columns: int = 2, **options: Any) -> Contest:
    options.setdefault("declared", True)
    plan = options.pop("plan", CLASSIFICATION)
    names = NAMES[:columns]
    return Contest(plan, names, champion=0, challengers=list(range(columns)), **options)


def losses(rng: np.random.Generator, rows: int, *errors: tuple[float, float]) -> Any:
    """Return 0/1 losses of a champion wrong on a tenth, and of others that break and mend it at given rates."""
    base = rng.random(rows) < 0.1
    columns = [base]
    for breaks, mends in errors:
        flip = np.where(base, rng.random(rows) < mends / 0.1, rng.random(rows) < breaks / 0.9)
        columns.append(base ^ flip)
    return np.stack(columns, 1).astype(float)


def run(this: Contest, raw: Any, *, stop: bool = True) -> list[int]:
    """Feed losses in steps, starting tests as a commit would; return the columns that won."""
    won = []
    for at in range(0, len(raw), STEP):
        for promotion in this.observe(raw[at : at + STEP]):
            won.append(promotion.column)
            this.promoted(promotion.column, promotion.column)
            if stop:
                return won
        for column in this.candidates():
            this.start(column)
    return won


def test_a_better_challenger_wins_and_a_worse_one_is_rejected() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        assert run(contest(), losses(rng, 20_000, (0.015, 0.025))) == [1]
        worse = contest()
        assert run(worse, losses(rng, 20_000, (0.025, 0.015))) == []
        assert "reject" in [t.event for t in worse.log]


def test_challengers_as_good_as_the_champion_are_hardly_ever_promoted() -> None:
    runs = [run(contest(), losses(np.random.default_rng(seed), 10_000, (0.02, 0.02))) for seed in range(60)]
    assert sum(map(len, runs)) <= 60 * 0.05 + 3 * np.sqrt(60 * 0.05 * 0.95)


def test_a_promotion_voids_the_evidence_about_the_old_champion() -> None:
    this = contest(3)
    raw = losses(np.random.default_rng(1), 20_000, (0.005, 0.05), (0.005, 0.03))
    assert run(this, raw) == [1]
    assert this.champion == 1
    assert this.running == {}
    assert [t.event for t in this.log][-2:] == ["promote", "void"]
    assert this.account.promotions == 1
    assert this.status[1] == "champion"
    assert this.status[0] == this.status[2] == "idle"


def test_only_what_promises_something_is_tested_unless_a_person_says_so() -> None:
    raw = losses(np.random.default_rng(2), 4_000, (0.02, 0.02))
    careful, told = contest(declared=False), contest()
    run(careful, raw)
    run(told, raw)
    assert (careful.account.started, told.account.started) == (0, 1)


def test_a_beaten_candidate_rests_before_it_may_challenge_again() -> None:
    this = contest()
    run(this, losses(np.random.default_rng(3), 3_000, (0.09, 0.0)))
    parked = this.log[-1].row
    assert this.status[1] == "rejected"
    assert this.candidates() == []
    left = parked + COOL_DOWN_ROWS - this.labels
    run(this, losses(np.random.default_rng(4), left + STEP, (0.02, 0.02)))
    assert this.account.started == 2


def test_every_start_takes_the_next_level() -> None:
    this = contest(4)
    run(this, losses(np.random.default_rng(5), MIN_BACKTEST_ROWS + STEP, (0.02, 0.02), (0.02, 0.02), (0.02, 0.02)))
    alphas = [t.numbers["alpha"] for t in this.log if t.event == "start"]
    assert alphas == pytest.approx([0.05 * 6 / (np.pi * j) ** 2 for j in (1, 2, 3)])
    assert len(this.running) == 3


def test_a_shut_gate_stops_a_winner() -> None:
    strict = msgspec.structs.replace(CLASSIFICATION, gates=(Gate(name="much data", min_labels=10**9),))
    this = contest(plan=strict)
    assert run(this, losses(np.random.default_rng(6), 20_000, (0.0, 0.05))) == []
    assert [t.event for t in this.log][:3] == ["start", "gate", "reject"]


def test_a_quarantined_candidate_is_never_tested_again() -> None:
    this = contest()
    run(this, losses(np.random.default_rng(7), 1_000, (0.0, 0.05)))
    this.quarantine(1, "it answers nonsense")
    assert run(this, losses(np.random.default_rng(8), 10_000, (0.0, 0.05))) == []
    assert this.running == {}


def test_answers_that_are_missing_count_for_nothing() -> None:
    raw = losses(np.random.default_rng(9), 6_000, (0.0, 0.05))
    raw[::2, 1] = np.nan
    this = contest()
    assert run(this, raw) == [1]
    assert this.log[1].numbers["labels"] <= 6_000 / 2


def test_a_saved_contest_goes_on_bit_for_bit() -> None:
    raw = losses(np.random.default_rng(10), 12_000, (0.02, 0.021), (0.018, 0.022))
    whole, first = contest(3), contest(3)
    run(whole, raw, stop=False)
    run(first, raw[: 40 * STEP], stop=False)
    second = contest(3)
    second.restore(first.tensors(), msgspec.json.decode(msgspec.json.encode(first.document())))
    run(second, raw[40 * STEP :], stop=False)
    assert second.document() == whole.document()
    np.testing.assert_array_equal(second.tensors()["recent"], whole.tensors()["recent"])


def test_evidence_in_the_format_of_another_release_is_void_and_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = losses(np.random.default_rng(10), 8_000, (0.0, 0.03))
    first, second = contest(), contest()
    run(first, raw[: 5 * STEP], stop=False)
    assert first.status[1] == RUNNING
    monkeypatch.setattr(contest_test, "KIND", b"TEST")
    document = first.document()
    monkeypatch.undo()
    second.restore(first.tensors(), document)
    assert (second.running, second.status[1], second.log[-1].event) == ({}, IDLE, "void")
    assert run(second, raw[5 * STEP :]) == [1]
    assert second.log[-1].numbers["index"] == 2


def test_errors_are_capped_by_what_is_usual() -> None:
    rng = np.random.default_rng(11)
    raw = np.abs(rng.standard_normal((2_000, 2)))
    raw[5] = 1e9
    plan = with_backtest(REGRESSION, raw)
    assert plan.cap == pytest.approx(4 * np.median(raw.min(1)))
    assert plan.block.length == 1
    assert 0 < plan.block.variance < 1
    assert with_backtest(REGRESSION, np.zeros((2_000, 2))).cap > 0  # type: ignore[operator]


def test_losses_that_hang_together_are_judged_in_blocks() -> None:
    rng = np.random.default_rng(12)
    slow = np.repeat(rng.random((40, 2)) < 0.3, 50, axis=0).astype(float)
    assert with_backtest(CLASSIFICATION, slow).block.length > 50
    fixed = msgspec.structs.replace(CLASSIFICATION, block=BlockRule(length=7))
    assert with_backtest(fixed, slow).block.length == 7


def test_plans_come_from_files(tmp_path: Any) -> None:
    toml = 'metric = "errors"\nloss = "brier"\nmde = 0.02\nequivalence = 0.01\nn_max = 5000\nchanged_by = ["owner"]\n'
    (tmp_path / "plan.toml").write_text(toml)
    (tmp_path / "plan.json").write_bytes(CLASSIFICATION.canonical())
    assert read_plan(tmp_path / "plan.toml", "classification").loss == "brier"
    assert read_plan(tmp_path / "plan.json", "classification") == default_plan("classification")
    with pytest.raises(UsageError, match="absolute, squared"):
        read_plan(tmp_path / "plan.toml", "regression")
    with pytest.raises(UsageError, match="cannot be read"):
        read_plan(tmp_path / "none.toml", "regression")
    (tmp_path / "odd.toml").write_bytes(b"\xff")
    with pytest.raises(PlanError, match="UTF-8"):
        read_plan(tmp_path / "odd.toml", "regression")
