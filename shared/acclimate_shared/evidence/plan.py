"""The plan of a contest: everything that is decided before the first label, and who may decide otherwise.

A plan is TOML or JSON. Its canonical form is JSON with sorted keys, no spaces and the defaults filled in; ``digest``
is the SHA-256 of it. Evidence is bound to the digest, so a changed plan starts at nothing.

Example:
    >>> text = '''
    ... metric = "wrong answers"
    ... loss = "zero_one"
    ... mde = 0.02
    ... equivalence = 0.01
    ... n_max = 20000
    ... changed_by = ["owner"]
    ... '''
    >>> plan = Plan.from_toml(text)
    >>> plan.alpha, Plan.from_json(plan.canonical()) == plan, len(plan.digest)
    (0.05, True, 64)
"""

import hashlib
import math
import re
from typing import Any, Literal

import msgspec

from acclimate_shared import toml_text
from acclimate_shared.errors import PlanError, UsageError
from acclimate_shared.evidence.design import Design
from acclimate_shared.evidence.losses import LOSSES

FORMAT = 1
MAX_BYTES = 1 << 16
_EXPECTED = re.compile(r"Expected `(?P<type>[^`]+)`")
_FIELD = re.compile(r"field `(?P<field>[^`]+)`")
_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`")


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A condition of a promotion beside the test: on a slice the mean difference is at least -``worse_by``."""

    name: str
    slice: str = ""  # all events
    worse_by: float = 0.0
    min_labels: int = 0  # with fewer the gate is shut: no data is no pass

    def passes(self, mean_difference: float, labels: int) -> bool:
        """Return whether so many labels of the slice with this mean difference open the gate."""
        return labels >= self.min_labels and mean_difference >= -self.worse_by


class BlockRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many labels make one observation: a fixed number, or what the backtest says (`backtest_length`)."""

    rule: Literal["fixed", "backtest"] = "fixed"
    length: int = 1  # of rule "backtest": what it said, written down before the test
    variance: float = 0.0  # of one observation in the backtest; 0: not known


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See the module; losses are in [0, 1] and margins in their units, `Design` says what each means."""

    format: int = FORMAT
    metric: str
    loss: str
    cap: float | None = None  # of a regression loss, in units of the target; None: the backtest says
    alpha: float = 0.05  # of the account, over the life of the model
    superiority: float = 0.0
    bad: float = 0.0
    equivalence: float
    mde: float  # the advantage that the plan is made for
    n_max: int
    slices: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()
    block: BlockRule = BlockRule()
    changed_by: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            PlanError: Naming field, value and remedy of the first that is wrong.
        """
        for field, good, remedy in _rules(self):
            if not good:
                raise PlanError("out of range", field=field, value=_at(msgspec.to_builtins(self), field), remedy=remedy)

    def canonical(self) -> bytes:
        """Return the canonical JSON."""
        return msgspec.json.encode(self, order="sorted")

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, 64 hex digits."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def design(self, alpha: float) -> Design:
        """Return the design of a test at a level of the account."""
        return Design(
            alpha=alpha,
            effect=self.mde,
            variance=self.block.variance,
            superiority=self.superiority,
            bad=self.bad,
            equivalence=self.equivalence,
            n_max=self.n_max,
            block=self.block.length,
        )

    @classmethod
    def from_toml(cls, text: str) -> "Plan":
        """Read a plan.

        Raises:
            PlanError: Naming field, value and remedy.
        """
        try:
            raw = toml_text.parse(text, "plan")
        except UsageError as exc:
            raise PlanError(exc.message, field=exc.field, value=exc.value, remedy=exc.remedy) from exc
        return _plan(raw)

    @classmethod
    def from_json(cls, data: bytes) -> "Plan":
        """Read a plan.

        Raises:
            PlanError: Naming field, value and remedy.
        """
        if len(data) > MAX_BYTES:
            remedy = f"give at most {MAX_BYTES} bytes"
            raise PlanError("plan is too large", field="bytes", value=len(data), remedy=remedy)
        try:
            raw = msgspec.json.decode(data)
        except msgspec.DecodeError as exc:
            raise PlanError(f"not JSON: {exc}", field="plan", remedy="correct the file") from exc
        return _plan(raw)


def _plan(raw: Any) -> Plan:  # noqa: ANN401 - what a decoder returned
    try:
        return msgspec.convert(raw, Plan)
    except msgspec.ValidationError as exc:
        raise _translated(str(exc), raw) from exc


def _rules(plan: Plan) -> list[tuple[str, bool, str]]:
    """Return field, whether it is right, and what to give instead."""
    loss = LOSSES.get(plan.loss)
    regression = loss is not None and loss.task == "regression"
    names = [gate.name for gate in plan.gates]
    known = all(gate.slice in ("", *plan.slices) and 0 <= gate.worse_by < math.inf for gate in plan.gates)
    return [
        ("format", plan.format == FORMAT, f"give {FORMAT}; a larger number needs a newer Acclimate"),
        ("metric", bool(plan.metric), "name what is measured"),
        ("loss", loss is not None, f"give one of {', '.join(LOSSES)}"),
        ("cap", plan.cap is None or regression, "give a cap for a loss of regression, and for no other"),
        ("cap", plan.cap is not None or not regression or plan.block.rule == "backtest", "give a cap, or a backtest"),
        ("cap", plan.cap is None or 0 < plan.cap < math.inf, "give a number > 0 in units of the target"),
        ("alpha", 0 < plan.alpha < 1, "give a number in (0, 1)"),
        ("superiority", 0 <= plan.superiority < 1, "give a number in [0, 1)"),
        ("bad", 0 <= plan.bad < 1, "give a number in [0, 1)"),
        ("mde", plan.superiority < plan.mde < 1, "give a number above superiority and below 1"),
        ("equivalence", 0 < plan.equivalence <= plan.mde, "give a number above 0, at most mde"),
        ("n_max", plan.n_max >= plan.block.length, "give a whole number, at least the length of a block"),
        ("block.length", plan.block.length > 0, "give a whole number > 0"),
        ("block.variance", 0 <= plan.block.variance <= 1, "give a number in [0, 1], 0 if not known"),
        ("slices", len(set(plan.slices)) == len(plan.slices), "name each slice once"),
        ("gates", len(set(names)) == len(names) and known, "name each gate once, its slice in slices, worse_by >= 0"),
        ("changed_by", bool(plan.changed_by) and all(plan.changed_by), "name who may change the plan"),
    ]


def _translated(message: str, raw: Any) -> PlanError:  # noqa: ANN401 - what a decoder returned
    """Return the error for a message of msgspec, which names a path and sometimes a field in it."""
    path = _PATH.search(message)
    named = _FIELD.search(message)
    field = ".".join(part for part in (path and path["path"], named and named["field"]) if part) or "plan"
    what = message[: path.start()] if path else message
    expected = _EXPECTED.search(message)
    remedy = f"give a value of type {expected['type']}" if expected else "give the fields that the plan has, no others"
    return PlanError(what, field=field, value=_at(raw, field), remedy=remedy)


def _at(raw: Any, field: str) -> Any:  # noqa: ANN401 - any value of JSON
    """Return the value at a dotted path, or None."""
    for name in field.split("."):
        key, _, index = name.partition("[")
        raw = raw.get(key) if isinstance(raw, dict) else None
        if index and isinstance(raw, list):
            raw = raw[int(index.rstrip("]"))] if index.rstrip("]").isdigit() else None
    return raw
