"""The columns of a stream and how one row becomes numbers, without any history.

A column is a *number* or a *category*, decided once from a sample (or declared) and then fixed, so the width of the
input never changes under a learner. Categories are encoded online: the first ``slots - 1`` values that were learned
get a slot of their own, later ones share them by a stable hash. A value is registered when its event is learned, not
when it is predicted, so predicting never changes anything. Missing numbers are NaN and become the running mean inside
the learner; a column that had gaps in the sample also gets a 0/1 flag.
"""

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from acclimate_shared.errors import InputError

Vector = npt.NDArray[np.float64]

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"})
MAX_ABS = 1e30  # larger numbers are refused: their squares would leave float64 after merging
MAX_SLOTS = 32  # categories of one column that can be told apart
NUMBER_SHARE = 0.9  # of a column's values must be numbers for it to be a number column
MIN_LEVELS = 3
MIN_ID_ROWS = 50  # rows before text with nearly all different values is taken for an id
MAX_LEVELS = 32  # whole numbers with at most this many different values are categories too
SAMPLE_ROWS = 1000  # rows that decide the kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One input column: how many 0/1 slots its values get (0 for none) and whether a gap is flagged."""

    name: str
    kind: Literal["number", "category"]
    slots: int = 0
    flag_missing: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """One row after parsing: the number of each number column and the text of each column with slots."""

    numbers: list[float]
    texts: list[str | None]


def is_missing(value: object) -> bool:
    """Return whether a value stands for a gap."""
    return value is None or (isinstance(value, str) and value.strip() in MISSING)


def parse_number(value: object, *, field: str, row: int | None = None) -> float:
    """Return ``value`` as a float, NaN where it is missing.

    Raises:
        InputError: it is text that is no number, infinite, or beyond 1e30.
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        if is_missing(value):
            return math.nan
        raise InputError(
            "not a number", field=field, value=value, row=row, remedy="mend the row, or name the column in --ignore"
        ) from None
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if abs(number) > MAX_ABS:  # infinities too; NaN stands for missing
        raise InputError("number out of range", field=field, value=value, row=row, remedy="keep |x| <= 1e30")
    return number


def _is_number(text: object) -> bool:
    try:
        parse_number(text, field="")
    except InputError:
        return isinstance(text, str) and text.strip().lower().lstrip("+-") in {"inf", "infinity"}
    return True


def _slots_for(distinct: int) -> int:
    return min(MAX_SLOTS, max(4, 1 << distinct.bit_length()))


def _column(name: str, values: Sequence[object], *, levels_too: bool) -> Column | None:
    """Decide one column from its sample; None for text that looks like an id or a time (nearly all different)."""
    present = [v for v in values if not is_missing(v)]
    gaps = len(present) < len(values)
    numbers = [v for v in present if _is_number(v)]
    if len(numbers) >= NUMBER_SHARE * len(present):  # the few others are errors, and their rows are refused
        levels = {float(v) for v in numbers}  # type: ignore[arg-type]
        whole = all(v.is_integer() for v in levels)
        coded = levels_too and whole and MIN_LEVELS <= len(levels) <= MAX_LEVELS and len(present) >= 10 * len(levels)
        return Column(name=name, kind="number", slots=_slots_for(len(levels)) if coded else 0, flag_missing=gaps)
    distinct = len({str(v) for v in present})
    if len(values) >= MIN_ID_ROWS and distinct > len(values) // 2:
        return None
    return Column(name=name, kind="category", slots=_slots_for(distinct))


def infer_columns(
    names: Sequence[str], sample: Iterable[Sequence[object]], *, levels_too: bool = False
) -> tuple[tuple[Column, ...], list[str]]:
    """Decide the kind of every column from a sample of rows.

    Args:
        names: of the input columns.
        sample: rows of values in the order of ``names``; SAMPLE_ROWS of them are plenty.
        levels_too: whether whole numbers with few different values (hours, weekdays) get slots as well. It helps
            regression, where an hour is rarely linear; it was measured to harm classification.

    Returns:
        The columns, and the names left out because their text is nearly all different (ids, times).
    """
    rows = list(sample)
    columns, dropped = [], []
    for i, name in enumerate(names):
        column = _column(name, [row[i] for row in rows], levels_too=levels_too)
        if column is None:
            dropped.append(name)
        else:
            columns.append(column)
    return tuple(columns), dropped


class Encoder:
    """Turns parsed rows into float64 vectors: numbers, flags of missing numbers, then 0/1 slots.

    The only state is the list of values seen per column, registered by ``learn``.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        """Lay out the vector for ``columns``."""
        self.columns = tuple(columns)
        self._numbers = [c.name for c in columns if c.kind == "number"]
        self._coded = [c for c in columns if c.slots]
        numbers = [c for c in columns if c.kind == "number"]
        self._flagged = [i for i, c in enumerate(numbers) if c.flag_missing]
        self.numbers = len(numbers)
        self.width = self.numbers + len(self._flagged) + sum(c.slots for c in self._coded)
        self._seen: list[dict[str, int]] = [{} for _ in self._coded]

    def place(self, name: str) -> int | None:
        """Return where in the vector the number of a column is, None if it has none."""
        return self._numbers.index(name) if name in self._numbers else None

    def parse(self, values: Mapping[str, object], *, row: int | None = None) -> Parsed:
        """Check one row; absent columns are missing, unknown ones are ignored.

        Raises:
            InputError: a value that cannot be used, with its field.
        """
        return Parsed(self._parse_numbers(values, row), [self._text(values.get(c.name), c) for c in self._coded])

    def _parse_numbers(self, values: Mapping[str, object], row: int | None) -> list[float]:
        try:  # most rows are whole: all numbers at once, and one look at their sum
            numbers = [float(values[name]) for name in self._numbers]  # type: ignore[arg-type]
            if sum(map(abs, numbers)) <= MAX_ABS:
                return numbers
        except (KeyError, TypeError, ValueError, OverflowError):
            pass  # one after the other, they say what is wrong
        return [parse_number(values.get(name), field=name, row=row) for name in self._numbers]

    @staticmethod
    def _text(value: object, column: Column) -> str | None:
        if is_missing(value):
            return None
        return repr(float(value)) if column.kind == "number" else str(value)  # type: ignore[arg-type]

    def encode(self, parsed: Parsed, out: Vector | None = None) -> Vector:
        """Return (width,) float64. Pure: an unknown category has no slot set until it is learned.

        Args:
            parsed: the row.
            out: zeros, (width,) or longer, that are filled in and returned; None for new ones.
        """
        out = np.zeros(self.width) if out is None else out
        out[: self.numbers] = parsed.numbers
        if not (self._flagged or self._coded):
            return out
        at = self.numbers
        for i in self._flagged:
            out[at] = math.isnan(parsed.numbers[i])
            at += 1
        for column, seen, text in zip(self._coded, self._seen, parsed.texts, strict=True):
            if text is not None:
                slot = seen.get(text)
                if slot is None and len(seen) >= column.slots - 1:
                    slot = zlib.crc32(text.encode()) % column.slots
                if slot is not None:
                    out[at + slot] = 1.0
            at += column.slots
        return out

    def learn(self, parsed: Parsed) -> None:
        """Register the categories of a learned row, up to the bound of each column."""
        if not self._coded:
            return
        for column, seen, text in zip(self._coded, self._seen, parsed.texts, strict=True):
            if text is not None and text not in seen and len(seen) < column.slots - 1:
                seen[text] = len(seen)

    def document(self) -> list[list[str]]:
        """Return the values seen, per column with slots, in order of their slot."""
        return [list(seen) for seen in self._seen]

    def restore(self, document: list[list[str]]) -> None:
        """Take back what ``document`` returned."""
        self._seen = [{text: i for i, text in enumerate(seen)} for seen in document]
