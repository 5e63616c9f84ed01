"""The value of fresh data as a person reads it: a curve of bars with intervals, and one sentence."""

from rich.console import Console
from rich.table import Table

from acclimate_device.freshness import Age, Freshness

BAR = 30  # characters of the longest bar


def sentence(found: Freshness) -> str:
    """Return what follows from the curve, in one sentence."""
    limit = _amount(found, found.tolerance)
    if found.recommended_rows is None:
        oldest = found.ages[-1].rows
        return f"No value of freshness was found: even {oldest:,} rows of age cost no more than {limit} beyond doubt."
    return f"Learn at least every {found.recommended_rows:,} rows: older models lose more than {limit}, beyond doubt."


def print_freshness(console: Console, found: Freshness) -> None:
    """Print the curve and the sentence."""
    table = Table(title=f"trained on {found.window_rows:,} rows that end earlier and earlier before those answered")
    for name in ("age, rows", "loss", "beyond the freshest", "99 % interval"):
        table.add_column(name, justify="right")
    table.add_column("")
    most = max(1e-12, *(age.excess for age in found.ages))
    for age in found.ages:
        interval = f"{_amount(found, age.low)} to {_amount(found, age.high)}" if age.rows else ""
        bar = "█" * round(BAR * max(age.excess, 0.0) / most)
        cells = [f"{age.rows:,}", _amount(found, age.loss), _amount(found, age.excess) if age.rows else ""]
        table.add_row(*cells, interval, f"[red]{bar}[/red]" if _bad(found, age) else bar)
    console.print(table)
    console.print(sentence(found))


def _bad(found: Freshness, age: Age) -> bool:
    return age.low > 0 and age.excess > found.tolerance


def _amount(found: Freshness, loss: float) -> str:
    return f"{loss:.4g}" if found.metric == "mae" else f"{100 * loss:.2f} %"
