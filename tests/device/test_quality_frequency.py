"""How often a corrupted last hour decides a contest, and how often the gate stands in the way of a better candidate.

A run is a contest of two whose answers are drawn: each is wrong at its rate, and in the corrupted hour the champion,
which uses its inputs, is wrong half the time, while the useless challenger, which does not, goes on as before. Inputs
and answers go through the jury as those of an agent do.
"""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from acclimate_device.contest import Contest
from acclimate_device.jury import Jury
from acclimate_device.plans import CLASSIFICATION

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "gates.json"
ALPHA = CLASSIFICATION.alpha
STEP, FEATURES = 128, 4
PAST, HOUR = 40 * STEP, 4 * STEP  # labels before the corrupted hour, and in it
WRONG, APART = 0.10, 0.04  # error rate of both; share of events on which they disagree
HOWS = ("gone", "scaled", "stuck", "noise")


def inputs(rng: np.random.Generator) -> Any:
    x = rng.standard_normal((STEP, FEATURES)) + 3.0
    x[rng.random(STEP) < 0.2, 3] = np.nan
    return x


def corrupted(x: Any, how: str) -> Any:
    x = x.copy()
    if how == "gone":
        x[:, :2] = np.nan
    elif how == "scaled":
        x[:, 0] *= 100
    elif how == "stuck":
        x[:, 0] = x[0, 0]
    return x


def answers(rng: np.random.Generator, y: Any, breaks: float, mends: float) -> tuple[Any, Any]:
    """Return whether champion and challenger are wrong about each label; the second breaks and mends at given rates."""
    champion = rng.random(len(y)) < WRONG
    flip = rng.random(len(y)) < np.where(champion, mends / WRONG, breaks / (1 - WRONG))
    return champion, champion ^ flip


def run(seed: int, how: str, *, gain: float = 0.0, steps: int = (PAST + HOUR) // STEP, gate: bool = True) -> Contest:
    """Return a contest after a clean past and, unless ``how`` is clean, a corrupted hour at its end."""
    rng = np.random.default_rng(seed)
    contest = Contest(CLASSIFICATION, ["champion", "challenger"], champion=0, challengers=[0, 1], declared=True)
    roster: Any = SimpleNamespace(committee=SimpleNamespace(layout=SimpleNamespace(features=FEATURES)), slots=())
    jury = Jury(roster, CLASSIFICATION.loss, contest.note)
    if not gate:
        jury.quality.suspects = lambda x: []  # type: ignore[method-assign]  # noqa: ARG005 (the name is part of the signature)
    for step in range(steps):
        bad = how != "clean" and step * STEP >= PAST
        x, y = inputs(rng), rng.integers(0, 2, STEP)
        wrong = answers(rng, y, APART / 2 - gain / 2, APART / 2 + gain / 2)
        if bad and how != "noise":
            wrong = rng.random(STEP) < 0.5, wrong[1]
        said = np.stack([y ^ w for w in wrong], 1)
        seen = y ^ (rng.random(STEP) < 0.3) if bad and how == "noise" else y
        jury.add(corrupted(x, how) if bad else x, seen, np.ones(STEP, np.float32), np.eye(2)[said], [()] * STEP)
        losses = jury.take()
        if losses is None:
            raise RuntimeError("labels were given, none were judged")
        for promotion in contest.observe(losses):
            contest.promoted(promotion.column, promotion.column)
            return contest
        for column in contest.candidates():
            contest.start(column)
    return contest


def promoted(runs: int, how: str, **options: Any) -> float:
    return sum(run(seed, how, **options).account.promotions > 0 for seed in range(runs)) / runs


def blocked(runs: int) -> float:
    """Return the share of runs in which a better challenger wins without the gate and not with it."""
    better = partial(run, how="clean", gain=0.03, steps=120)
    stopped = 0
    for seed in range(runs):
        without, with_gate = better(seed, gate=False), better(seed)
        stopped += without.account.promotions > with_gate.account.promotions
    return stopped / runs


def keep(name: str, value: object) -> None:
    """Write a figure of a long run, with commit and machine."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    facts: dict[str, object] = {"commit": commit.stdout.strip(), "date": datetime.now(UTC).date().isoformat()}
    facts |= {"machine": platform.machine(), "python": platform.python_version(), "cores": os.cpu_count()}
    figures = json.loads(RESULTS.read_text(encoding="utf-8"))["figures"] if RESULTS.exists() else {}
    figures[name] = value
    text = json.dumps({**facts, "figures": dict(sorted(figures.items()))}, indent=2)
    RESULTS.write_text(text + "\n", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("how", HOWS)
def test_nobody_useless_wins_by_a_corrupted_hour(how: str) -> None:
    assert promoted(6, how) <= 1 / 6


@pytest.mark.slow
def test_without_the_gate_a_corrupted_hour_decides() -> None:
    assert promoted(6, "gone", gate=False) >= 0.8  # the negative control


@pytest.mark.slow
def test_a_better_one_on_clean_data_is_not_blocked() -> None:
    assert blocked(3) == 0.0
    assert promoted(3, "clean", gain=0.03, steps=120) == 1.0


@pytest.mark.long
@pytest.mark.parametrize("how", HOWS)
def test_nobody_useless_wins_by_a_corrupted_hour_in_200_runs(how: str) -> None:
    share, control = promoted(200, how), promoted(200, how, gate=False)
    keep(f"useless, {how}", {"runs": 200, "promoted": share, "promoted_without_the_gate": control})
    assert share <= ALPHA
    assert how == "noise" or control > 0.8


@pytest.mark.long
def test_a_better_one_on_clean_data_is_blocked_in_one_per_cent_of_200_runs_at_most() -> None:
    share, won = blocked(200), promoted(200, "clean", gain=0.03, steps=120)
    keep("better, clean", {"runs": 200, "blocked": share, "promoted": won})
    assert share <= 0.01
