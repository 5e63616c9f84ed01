"""What is measured: the columns of every table, how their values are written, and which way is better."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NONE = "–"


def share(value: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * value:.2f} %"


def plain(value: float) -> str:
    """Return a number with the digits that count."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"  # noqa: PLR2004


def fixed(value: float) -> str:
    """Return a number with three decimals."""
    return f"{value:.3f}"


def seconds(value: float) -> str:
    """Return seconds."""
    return f"{value:.2f} s"


def size(value: float) -> str:
    """Return bytes in the unit that suits them.

    Example:
        >>> size(950), size(12_345), size(231_000_000)
        ('950 B', '12.3 kB', '231 MB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One thing that is measured.

    Attributes:
        key: in a row of the result.
        title: of the column.
        show: its value as text.
        higher: whether more is better.
        quality: whether it is a score, which is compared on the rows that both did.
        same_rows: whether it says something only about two that did the same number of rows.
    """

    key: str
    title: str
    show: Callable[[float], str]
    higher: bool = False
    quality: bool = False
    same_rows: bool = False


CLASS_COLUMNS = (
    Column(key="accuracy", title="accuracy", show=share, higher=True, quality=True),
    Column(key="kappa_temporal", title="kappa-temporal", show=fixed, higher=True, quality=True),
    Column(key="balanced_accuracy", title="balanced accuracy", show=share, higher=True, quality=True),
)
VALUE_COLUMNS = (Column(key="mae", title="mean absolute error", show=plain, quality=True),)
COST_COLUMNS = (
    Column(key="events_per_cpu_s", title="events/s per core", show=plain, higher=True),
    Column(key="cpu_s", title="CPU-seconds", show=seconds, same_rows=True),
    Column(key="peak_rss_bytes", title="peak memory", show=size),
    Column(key="install_bytes", title="installation", show=size),
    Column(key="first_answer_s", title="time to first prediction", show=seconds),
    Column(key="state_bytes", title="state", show=size),
)


def columns(task: str) -> tuple[Column, ...]:
    """Return the columns of a task's tables."""
    return (*(CLASS_COLUMNS if task == "classification" else VALUE_COLUMNS), *COST_COLUMNS)


def cell(row: Mapping[str, Any], column: Column) -> str:
    """Return what stands in a table."""
    value = row.get(column.key)
    return NONE if value is None else column.show(value)
