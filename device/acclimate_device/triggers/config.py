"""The configuration of a scheduler: which trigger, and what holds it back.

Unknown fields are refused, so that a misspelt one is not silently without effect.

Example:
    >>> policy = Policy.from_toml('''
    ... cool_down_s = 300
    ... quiet_hours = [[22, 6]]
    ... cpu_s_per_hour = 60
    ... [trigger]
    ... kind = "any"
    ... of = [{ kind = "time", every_s = 3600 }, { kind = "drift", detector = "adwin", on = "loss" }]
    ... [back_off]
    ... every_s = 3600
    ... ''')
    >>> policy.trigger.of[0].every_s
    3600.0
    >>> Policy.from_dict({"trigger": {"kind": "time", "every_s": -1}})
    Traceback (most recent call last):
        ...
    acclimate_shared.errors.UsageError: not a possible value [trigger.every_s = -1.0]; give a finite number >= 0
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from acclimate_device.drift import DETECTORS
from acclimate_shared import toml_text
from acclimate_shared.errors import UsageError

MAX_DEPTH = 8  # triggers within triggers
HOURS = 24.0


class Time(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="time"):
    """Due so long after the last firing (or the start).

    Attributes:
        every_s: Seconds of event time; 0 = does not count.
        every_rows: Rows; 0 = does not count. With both given, the first to pass makes it due.
    """

    every_s: float = 0.0
    every_rows: int = 0


class Volume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="volume"):
    """Due when enough labels have arrived since the last firing (or the start).

    Attributes:
        labelled: Fewest new labels.
        percent: New labels in percent of those known at the last firing; with both given, both must be met.
    """

    labelled: int = 0
    percent: float = 0.0


class Performance(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="performance"
):
    """Due while the mean of the last losses is worse than the reference.

    Attributes:
        margin: Worse by more than this, in units of the loss.
        window: Losses in the mean.
        reference: Loss to compare with; by default the mean of the first ``window`` losses since the last firing (or
            the start), which follows a model that gets worse by less than ``margin`` from firing to firing.
    """

    margin: float
    window: int = 200
    reference: float | None = None


class Drift(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="drift"):
    """Due from when a drift is detected until the next firing.

    Attributes:
        detector: Name in ``acclimate_device.drift.DETECTORS``.
        on: What the detector sees: ``drift`` or ``loss`` of each moment that has it.
        rises_only: Leave out drifts in which a mean fell: a loss that falls is no reason to learn.
    """

    detector: str = "adwin"
    on: Literal["drift", "loss"] = "drift"
    rises_only: bool = False


class AnyOf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="any"):
    """Due while one of its parts is."""

    of: list["Trigger"]


class All(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="all"):
    """Due while all of its parts are."""

    of: list["Trigger"]


Trigger = Time | Volume | Performance | Drift | AnyOf | All


class BackOff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Do not train where it brings nothing: wait longer after each update without gain.

    After n updates in a row without gain, n ≥ ``patience``, the next firing is at least 2^(n - patience + 1) times the
    interval after the last one. A gain ends the waiting.

    Attributes:
        every_s: Interval in seconds of event time; 0 = does not count.
        every_rows: Interval in rows; 0 = does not count. With both given, both must pass.
        min_gain: A gain of no more than this is none.
        patience: Updates without gain before waiting begins.
        most_doublings: The interval is not doubled more often.
        drift_ends: Whether a newly detected drift ends the waiting.
    """

    every_s: float = 0.0
    every_rows: int = 0
    min_gain: float = 0.0
    patience: int = 1
    most_doublings: int = 10
    drift_ends: bool = True


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to learn.

    Attributes:
        trigger: What makes learning due.
        cool_down_s: Fewest seconds of event time between two firings.
        cool_down_rows: Fewest rows between two firings.
        quiet_hours: (from, to) local hours without learning, ``to`` not included; from > to goes over midnight.
        cpu_s_per_hour: CPU seconds that learning may use in any hour of event time; None = no budget.
        back_off: When to wait because learning brings nothing; None = never.
        most_rows: Labelled rows that may wait to be learned; older ones are given up, unlearned. With ``back_off``
            this is what saves the work: a long pause ends with the newest rows alone.
    """

    trigger: Trigger
    cool_down_s: float = 0.0
    cool_down_rows: int = 0
    quiet_hours: list[tuple[float, float]] = []
    cpu_s_per_hour: float | None = None
    back_off: BackOff | None = None
    most_rows: int = 20_000

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Policy":
        """Read a policy from plain values.

        Raises:
            UsageError: Naming field, value and remedy.
        """
        try:
            policy = msgspec.convert(raw, cls)
        except msgspec.ValidationError as exc:
            raise _translated(str(exc), raw) from exc
        except RecursionError as exc:
            raise UsageError("too deep", field="trigger", remedy=f"nest at most {MAX_DEPTH} deep") from exc
        for field, value, right, remedy in _rules(policy):
            if not right:
                raise UsageError("not a possible value", field=field, value=value, remedy=remedy)
        return policy

    @classmethod
    def from_toml(cls, text: str) -> "Policy":
        """Read a policy from TOML.

        Raises:
            UsageError: Naming field, value and remedy.
        """
        return cls.from_dict(toml_text.parse(text, "triggers"))


Rule = tuple[str, object, bool, str]  # field, value, whether it is right, what to give instead


def _rules(policy: Policy) -> Iterator[Rule]:
    """Yield every rule that types alone do not state."""
    yield _at_least("cool_down_s", policy.cool_down_s)
    yield _at_least("cool_down_rows", policy.cool_down_rows)
    for i, hours in enumerate(policy.quiet_hours):
        right = all(0 <= hour <= HOURS for hour in hours) and hours[0] != hours[1]
        yield f"quiet_hours[{i}]", hours, right, "give two different hours from 0 to 24"
    yield _at_least("most_rows", policy.most_rows, 1)
    budget = policy.cpu_s_per_hour
    yield _at_least("cpu_s_per_hour", 0.0 if budget is None else budget)
    if policy.back_off is not None:
        yield from _back_off_rules(policy.back_off)
    yield from _trigger_rules(policy.trigger, "trigger", 1)


def _back_off_rules(back_off: BackOff) -> Iterator[Rule]:
    yield _at_least("back_off.every_s", back_off.every_s)
    yield _at_least("back_off.every_rows", back_off.every_rows)
    some = back_off.every_s > 0 or back_off.every_rows > 0
    yield "back_off", back_off, some, "give every_s or every_rows"
    yield "back_off.min_gain", back_off.min_gain, math.isfinite(back_off.min_gain), "give a finite number"
    yield _at_least("back_off.patience", back_off.patience, 1)
    yield "back_off.most_doublings", back_off.most_doublings, 1 <= back_off.most_doublings <= 60, "give 1 to 60"  # noqa: PLR2004


def _trigger_rules(trigger: Trigger, at: str, depth: int) -> Iterator[Rule]:
    yield at, depth, depth <= MAX_DEPTH, f"nest at most {MAX_DEPTH} deep"
    match trigger:
        case Time():
            yield _at_least(f"{at}.every_s", trigger.every_s)
            yield _at_least(f"{at}.every_rows", trigger.every_rows)
            yield at, trigger, trigger.every_s > 0 or trigger.every_rows > 0, "give every_s or every_rows"
        case Volume():
            yield _at_least(f"{at}.labelled", trigger.labelled)
            yield _at_least(f"{at}.percent", trigger.percent)
            yield at, trigger, trigger.labelled > 0 or trigger.percent > 0, "give labelled or percent"
        case Performance():
            yield _at_least(f"{at}.margin", trigger.margin)
            yield _at_least(f"{at}.window", trigger.window, 1)
            known = trigger.reference is None or math.isfinite(trigger.reference)
            yield f"{at}.reference", trigger.reference, known, "give a finite number"
        case Drift():
            names = ", ".join(DETECTORS)
            yield f"{at}.detector", trigger.detector, trigger.detector in DETECTORS, f"give one of {names}"
            fits = not (trigger.detector == "features" and trigger.rises_only)
            yield f"{at}.rises_only", trigger.rises_only, fits, "leave it out: distributions do not rise or fall"
        case AnyOf() | All():
            yield f"{at}.of", trigger.of, bool(trigger.of), "give at least one trigger"
            for i, part in enumerate(trigger.of):
                yield from _trigger_rules(part, f"{at}.of[{i}]", depth + 1)


def _at_least(field: str, value: float, least: int = 0) -> Rule:
    remedy = f"give at least {least}" if isinstance(value, int) and least else f"give a finite number >= {least}"
    return field, value, least <= value < math.inf, remedy


def _translated(text: str, raw: Any) -> UsageError:  # noqa: ANN401 - what a decoder returned
    """Return our error for what msgspec says, such as "Expected `int`, got `str` - at `$.trigger.every_rows`"."""
    message, _, path = text.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    value = raw
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
    unknown = re.search(r"unknown field `([^`]*)`", message)
    missing = re.search(r"missing required field `([^`]*)`", message)
    remedy = "correct it; the names of all fields are in the documentation"
    if unknown or missing:
        name = (unknown or missing).group(1)  # type: ignore[union-attr]
        path = f"{path}.{name}".lstrip(".")
        value = value.get(name) if isinstance(value, Mapping) else None
        remedy = "remove it or correct its name" if unknown else "give it"
    return UsageError(message, field=path or "triggers", value=value, remedy=remedy)
