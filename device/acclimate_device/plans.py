"""Plans of contests: the defaults, how a file is read, and what a backtest fills in before a test begins."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from acclimate_device.procedures import Task
from acclimate_shared.errors import PlanError, UsageError
from acclimate_shared.evidence import LOSSES, BlockRule, Gate, Plan, backtest_length

Array = npt.NDArray[Any]

CAP_ERRORS = 4.0  # usual errors (of the better candidate) that cap a regression loss, where the plan has no cap
MIN_DIFFERENCES = 100  # that a backtest needs
SMALLEST_VARIANCE = 1e-6

CLASSIFICATION = Plan(
    metric="wrong answers",
    loss="zero_one",
    mde=0.01,
    equivalence=0.005,
    n_max=20_000,
    gates=(Gate(name="backtest", min_labels=256),),
    block=BlockRule(rule="backtest"),
    changed_by=("owner",),
)
REGRESSION = msgspec.structs.replace(CLASSIFICATION, metric="absolute error, capped", loss="absolute")


def default_plan(task: Task) -> Plan:
    """Return the plan of a contest for which none was given."""
    return CLASSIFICATION if task == "classification" else REGRESSION


def read_plan(path: Path, task: Task) -> Plan:
    """Read a plan, TOML or JSON by its ending.

    Raises:
        UsageError: the file cannot be read, or is a plan for another task.
        PlanError: it is not a plan.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise UsageError(f"the plan cannot be read: {exc.strerror}", field="plan", value=str(path)) from exc
    try:
        plan = Plan.from_json(data) if path.suffix == ".json" else Plan.from_toml(data.decode())
    except UnicodeDecodeError as exc:
        raise PlanError("the plan is not UTF-8", field="plan", value=str(path), remedy="save it as UTF-8") from exc
    if LOSSES[plan.loss].task != task:
        losses = ", ".join(sorted(name for name, loss in LOSSES.items() if loss.task == task))
        raise UsageError(f"the plan's loss is not for {task}", field="loss", value=plan.loss, remedy=f"use {losses}")
    return plan


def with_backtest(plan: Plan, raw: Array) -> Plan:
    """Return the plan of one test: what the rule leaves to the backtest is written down.

    Args:
        plan: as given.
        raw: (labels, 2) losses or absolute errors of champion and challenger from before the test, without NaN.
    """
    if plan.cap is None and LOSSES[plan.loss].task == "regression":
        usual = float(np.median(raw.min(1))) if len(raw) else 1.0
        largest = float(raw.max()) if len(raw) else 1.0
        plan = msgspec.structs.replace(plan, cap=max(CAP_ERRORS * usual, 1e-9 * largest, 1e-300))
    if plan.block.rule != "backtest" or len(raw) < MIN_DIFFERENCES:
        return plan
    share = np.minimum(raw, plan.cap) / plan.cap if plan.cap is not None else raw
    share = share * share if plan.loss == "squared" else share
    differences = share[:, 0] - share[:, 1]
    length = min(backtest_length(differences), max(1, plan.n_max // 20))
    blocks = len(differences) // length
    means = differences[: blocks * length].reshape(blocks, length).mean(1) if blocks > 1 else differences / length
    variance = max(float(means.var()), SMALLEST_VARIANCE)
    return msgspec.structs.replace(plan, block=BlockRule(rule="backtest", length=length, variance=variance))
