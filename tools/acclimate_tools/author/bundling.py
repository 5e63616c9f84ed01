"""From a package folder to a bundle: a plan, constraints, and a sanity set made from rows if there is none yet."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from acclimate_device.sync.trial import answers
from acclimate_shared.bundle import Bundle
from acclimate_shared.constraints import Constraints
from acclimate_shared.errors import PackageError, UsageError
from acclimate_shared.evidence import Plan
from acclimate_shared.learner import LearnerPackage, read_tensors
from acclimate_shared.sanity import LABEL, MAX_ROWS, Sanity, SanityRule, X

MAX_SANITY_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Rows to make a sanity set from: (rows, features) float64, and perhaps (rows,) labels."""

    x: NDArray[np.float64]
    label: NDArray[Any] | None


def make_bundle(package: LearnerPackage, plan: Plan, inputs: Inputs, rule: SanityRule, needs: Constraints) -> Bundle:
    """Return a bundle whose sanity set was answered here and passes here.

    Raises:
        PackageError: If the package does not run, or does not pass (labels).
    """
    dims = {"features": inputs.x.shape[1]} if inputs.x.ndim > 1 and "features" in package.manifest.x.shape else {}
    rule = msgspec.structs.replace(rule, dims=dims | rule.dims)
    expected = answers(package, rule, inputs.x)
    sanity = Sanity(x=inputs.x, expected=expected, label=inputs.label, rule=rule)
    found = sanity.judge(answers(package, rule, inputs.x))
    if not found.passed:
        remedy = "release a better package, or ask for less"
        raise PackageError("the package fails its sanity set", field="sanity", value=found.reason, remedy=remedy)
    return Bundle(package=package, plan=plan, sanity=sanity, constraints=needs)


def read_plan(path: Path) -> Plan:
    """Return a plan from TOML or JSON.

    Raises:
        PlanError: If it is not one.
        UsageError: If the file cannot be read.
    """
    try:
        data = path.read_bytes()
        return Plan.from_json(data) if path.suffix == ".json" else Plan.from_toml(data.decode())
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"the plan cannot be read: {exc}", field="plan", value=str(path)) from exc


def read_inputs(path: Path, label: str | None, *, whole: bool) -> Inputs:
    """Return rows from a CSV file with a header, or x (and label) from a safetensors file.

    Args:
        path: Ending in .safetensors, or CSV with one column an input of the learner; empty cells are missing values.
        label: Column of the labels, or None.
        whole: Whether labels are class indices.

    Raises:
        UsageError: If the file does not hold such rows.
    """
    try:
        if path.suffix == ".safetensors":
            return _from_tensors(path)
        with path.open(encoding="utf-8", newline="") as file:
            return _from_rows(csv.DictReader(file, strict=True), label, whole=whole)
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise UsageError(f"rows cannot be read: {exc}", field="rows", value=str(path)) from exc


def _from_tensors(path: Path) -> Inputs:
    if path.stat().st_size > MAX_SANITY_BYTES:
        raise UsageError("too large for a sanity set", field="sanity", value=str(path), remedy="give fewer rows")
    found = read_tensors(path.read_bytes(), path.name)
    if X not in found:
        raise UsageError("no tensor x", field="sanity", value=sorted(found), remedy="give x (rows, features) float64")
    return Inputs(x=found[X], label=found.get(LABEL))


def _from_rows(reader: "csv.DictReader[str]", label: str | None, *, whole: bool) -> Inputs:
    names = list(reader.fieldnames or [])
    if label is not None and label not in names:
        raise UsageError("no such column", field="label", value=label, remedy=f"name one of {', '.join(names)}")
    rows, labels = [], []
    for number, row in enumerate(reader, 1):
        if number > MAX_ROWS:
            raise UsageError("too many rows", field="rows", remedy=f"give at most {MAX_ROWS}")
        rows.append([_number(row, name, number) for name in names if name != label])
        if label is not None:
            labels.append(_number(row, label, number))
    if not rows:
        raise UsageError("no rows", field="rows", remedy="give a header and at least one row")
    kept = None if label is None else np.array(labels, np.int64 if whole else np.float64)
    return Inputs(x=np.array(rows, np.float64), label=kept)


def _number(row: Mapping[str, str | None], name: str, number: int) -> float:
    text = row.get(name)
    try:
        return math.nan if text == "" else float(text or "none")
    except ValueError:
        remedy = "give numbers, as the learner sees them"
        raise UsageError("not a number", field=name, value=text, row=number, remedy=remedy) from None
