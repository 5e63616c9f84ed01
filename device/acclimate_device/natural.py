r"""Labels that nature supplies: what later events of the same key tell about earlier ones, by a declared rule.

A rule names a column and a span of event time. ``value``: the column, so long after the event. ``mean``: its mean over
the span, up to the first event at its end. ``within``: whether it reaches a threshold within the span. ``crossing``:
whether it goes from below the threshold to it, or above, within the span. Values may be turned into classes by levels.
A label is given when it is known and not before: ``no`` only when an event after the end of the span has come.

Pure: events and times come in, labels of earlier events come out. Events of a key come in the order of their times;
one that is older than its predecessor tells nothing.

Example:
    >>> rule = from_toml('kind = "within"\ncolumn = "load"\nspan_s = 10\nthreshold = 0.9')
    >>> labels = NaturalLabels(rule)
    >>> labels.see("a", "", 0.0, {"load": 0.1}), labels.see("b", "", 4.0, {"load": 0.95})
    ([], [('a', 'yes')])
    >>> labels.see("c", "", 15.0, {"load": 0.2})
    [('b', 'no')]
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from acclimate_shared import toml_text
from acclimate_shared.errors import UsageError

MOST_WAITING = 10_000  # events whose label is not known yet; the oldest of the busiest key leaves
YES, NO = "yes", "no"
SAME_S = 1e-6  # seconds since 1970 are exact to less than this, and to not much less


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How later events label earlier ones.

    Attributes:
        kind: see the module.
        column: whose later values tell; a feature of the events.
        span_s: seconds of event time.
        threshold: of ``within`` and ``crossing``.
        levels: upper bounds, increasing, and the class below each; empty leaves the value as it is.
        highest: class from the last bound on.
        tolerance_s: of ``value`` and ``mean``: how much later than the span the event at its end may come.
    """

    kind: Literal["value", "mean", "within", "crossing"]
    column: str
    span_s: float
    threshold: float | None = None
    levels: tuple[tuple[float, str], ...] = ()
    highest: str = ""
    tolerance_s: float = math.inf

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            UsageError: they do not.
        """
        asks = self.kind in {"within", "crossing"}
        bounds = [bound for bound, _ in self.levels]
        _require(self.span_s > 0 and math.isfinite(self.span_s), "span_s", self.span_s, "give seconds, more than 0")
        _require(
            asks == (self.threshold is not None), "threshold", self.threshold, f"{self.kind} asks for one, or none"
        )
        _require(not (asks and self.levels), "levels", self.levels, "leave them out: the label is yes or no")
        _require(bounds == sorted(set(bounds)), "levels", bounds, "give increasing bounds")
        _require(bool(self.levels) == bool(self.highest), "highest", self.highest, "name the class above all levels")

    def told(self, value: float) -> str | float:
        """Return the label of a value."""
        if not self.levels:
            return value
        return next((name for bound, name in self.levels if value < bound), self.highest)


def _require(good: bool, field: str, value: object, remedy: str) -> None:  # noqa: FBT001
    if not good:
        raise UsageError("the rule for labels cannot be", field=field, value=value, remedy=remedy)


def from_toml(text: str) -> Rule:
    """Return the rule of a TOML text.

    Raises:
        UsageError: it is none.
    """
    try:
        return msgspec.convert(toml_text.parse(text, "labels"), Rule)
    except msgspec.ValidationError as exc:
        remedy = "give kind, column and span_s; see the documentation"
        raise UsageError(f"not a rule for labels: {exc}", field="labels", remedy=remedy) from exc


def read_rule(path: Path) -> Rule:
    """Return the rule of a TOML file.

    Raises:
        UsageError: the file cannot be read, or is no rule.
    """
    return from_toml(toml_text.text_of(path, "labels"))


@dataclass(slots=True)
class _Waiting:
    """An event whose label is not known yet."""

    id: str
    time_s: float
    value: float  # of the last event of its span, its own at first
    total: float = 0.0
    count: int = 0


class NaturalLabels:
    """Events that wait for what comes after them."""

    def __init__(self, rule: Rule) -> None:
        """Start with nothing waiting."""
        self.rule = rule
        self.dropped = 0  # events that were let go unlabelled: too many, or nothing came in time
        self._keys: dict[str, deque[_Waiting]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return how many events wait."""
        return self._count

    def see(
        self, event_id: str, key: str, time_s: float, features: Mapping[str, object]
    ) -> list[tuple[str, str | float]]:
        """Take an event; return the labels that are known now, of earlier events of its key.

        Args:
            event_id: of the event, which waits for its own label from now on.
            key: whose events tell about each other (a device, a user).
            time_s: event time in seconds.
            features: of the event; without a number in the column it waits, but tells nothing.
        """
        waiting = self._keys.setdefault(key, deque())
        value = _number(features.get(self.rule.column))
        if waiting and time_s < waiting[-1].time_s:
            self.dropped += 1
            return []
        known = self._mature(waiting, time_s, value)
        waiting.append(_Waiting(event_id, time_s, value))
        self._count += 1
        if self._count > MOST_WAITING:
            self._drop()
        return known

    def _mature(self, waiting: deque[_Waiting], time_s: float, value: float) -> list[tuple[str, str | float]]:
        known: list[tuple[str, str | float]] = []
        kept: list[_Waiting] = []
        for item in waiting:
            label, over = self._ask(item, time_s, value)
            if label is not None:
                known.append((item.id, label))
            elif over:
                self.dropped += 1
            else:
                kept.append(item)
        self._count -= len(waiting) - len(kept)
        waiting.clear()
        waiting.extend(kept)
        return known

    def _ask(self, item: _Waiting, time_s: float, value: float) -> tuple[str | float | None, bool]:
        """Return the label of an event, if it is known, and whether its span is over."""
        rule, age_s = self.rule, time_s - item.time_s
        inside, over = 0.0 < age_s <= rule.span_s + SAME_S, age_s >= rule.span_s - SAME_S
        if rule.kind == "value":
            late = age_s > rule.span_s + rule.tolerance_s + SAME_S
            return (None, late) if not over or late or math.isnan(value) else (rule.told(value), True)
        if inside and not math.isnan(value):
            before, item.value = item.value, value
            item.total, item.count = item.total + value, item.count + 1
            reached = rule.threshold is not None and value >= rule.threshold
            if reached and (rule.kind == "within" or before < (rule.threshold or 0.0)):
                return YES, True
        if rule.kind == "mean":
            known = over and item.count and age_s <= rule.span_s + rule.tolerance_s + SAME_S
            return (rule.told(item.total / item.count), True) if known else (None, over)
        return (NO, True) if age_s > rule.span_s + SAME_S else (None, False)

    def _drop(self) -> None:
        busiest = max(self._keys.values(), key=len)
        busiest.popleft()
        self._count -= 1
        self.dropped += 1


def _number(value: object) -> float:
    try:
        found = float(value)  # type: ignore[arg-type]  # what is no number tells nothing
    except (TypeError, ValueError):
        return math.nan
    return found if math.isfinite(found) else math.nan
