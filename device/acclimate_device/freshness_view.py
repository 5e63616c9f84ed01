"""The value of fresh data as a person reads it: a curve with its intervals, and one sentence."""

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from acclimate_device.freshness import Age, Freshness
from acclimate_device.whiskers import Scale

DRAWN = 25  # characters of an interval


def sentence(found: Freshness) -> str:
    """Return what follows from the curve, in one sentence."""
    limit = _amount(found, found.tolerance)
    if found.recommended_rows is None:
        oldest = found.ages[-1].rows
        return (
            f"No value of freshness was found: up to an age of {oldest:,} rows, nothing is lost that is both more than "
            f"{limit} and beyond chance."
        )
    return f"Learn at least every {found.recommended_rows:,} rows: older models lose more than {limit}, beyond chance."


def print_freshness(console: Console, found: Freshness) -> None:
    """Print the curve and the sentence; it fits into 80 columns."""
    unit = "target units" if found.metric == "mae" else "points"
    title = f"models trained on {found.window_rows:,} rows; what they lose by age, in {unit}"
    table = Table(title=title, box=SIMPLE)
    for name in ("age, rows", "loss", "lost", "99 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    scale = Scale.of(((age.low, age.high) for age in found.ages), width=DRAWN)
    for age in found.ages:
        if not age.rows:
            table.add_row("0", _amount(found, age.loss), "", "", "")
            continue
        drawn = scale.drawn(age.low, age.excess, age.high)
        interval = f"{_signed(found, age.low)} to {_signed(found, age.high)}"
        cells = f"{age.rows:,}", _amount(found, age.loss), _signed(found, age.excess), interval
        table.add_row(*cells, f"[red]{drawn}[/red]" if _bad(found, age) else drawn)
    console.print(table)
    console.print(sentence(found))


def _bad(found: Freshness, age: Age) -> bool:
    return age.low > 0 and age.excess > found.tolerance


def _amount(found: Freshness, loss: float) -> str:
    return f"{loss:.4g}" if found.metric == "mae" else f"{100 * loss:.2f} %"


def _signed(found: Freshness, loss: float) -> str:
    return f"{loss:+.3g}" if found.metric == "mae" else f"{100 * loss:+.2f}"
