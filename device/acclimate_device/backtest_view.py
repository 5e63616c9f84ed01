"""A backtest as a person reads it: one line a candidate, and what follows."""

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from acclimate_device.backtest import Backtest, Forecast, Pair
from acclimate_device.whiskers import Scale

WIDE = 120  # columns from which there is room for everything
DRAWN, DRAWN_WITH_DAYS = 19, 14  # characters of an interval


def print_backtest(console: Console, found: Backtest, per_day: float | None) -> None:
    """Print the table and a sentence; ``per_day`` labels a day tell how long that is, None leaves time out.

    What everybody needs fits into 80 columns; where there is room for them, numbers follow.
    """
    title = f"beside {found.champion}, over {found.labels:,} labels; loss: {found.loss.replace('_', '/')}"
    table = Table(title=title, box=SIMPLE)
    table.add_column("candidate", no_wrap=True)
    table.add_column("lead", justify="right", no_wrap=True)
    table.add_column("worse ┊ better", no_wrap=True)
    table.add_column("expected decision", justify="right", no_wrap=True)
    if per_day:
        table.add_column("days", justify="right", no_wrap=True)
    if wide := console.width >= WIDE:
        for name in ("interval", "differs", "block", "rho"):
            table.add_column(name, justify="right", no_wrap=True)
    scale = Scale.of(((pair.low, pair.high) for pair in found.pairs), width=DRAWN_WITH_DAYS if per_day else DRAWN)
    for pair in found.pairs:
        days = (f"{(pair.forecast.labels + found.delay) / per_day:,.1f}",) if per_day else ()
        drawn = scale.drawn(pair.low, pair.difference, pair.high)
        cells = pair.candidate, f"{pair.difference:+.4f}", drawn, _told(pair.forecast), *days
        table.add_row(*cells, *(_numbers(pair) if wide else ()))
    console.print(table)
    console.print(_sentence(found))
    last = "; rho: autocorrelation" if wide else ""
    text = f"Intervals hold for all looks at once, at the level {found.alpha:.2g} of the next test{last}."
    console.print(text, style="dim")


def _numbers(pair: Pair) -> tuple[str, ...]:
    share, rho = f"{100 * pair.disagreement:.1f} %", f"{pair.autocorrelation:.2f}"
    return f"{pair.low:+.3f} {pair.high:+.3f}", share, str(pair.block), rho


def _told(forecast: Forecast) -> str:
    text = f"{forecast.decision} at {forecast.labels:,}"
    return text if forecast.in_time else f"none{text.removeprefix('equivalent')}"


def _sentence(found: Backtest) -> str:
    """Return what follows for the contest, in one sentence."""
    winners = [pair for pair in found.pairs if pair.forecast.decision == "promote"]
    if not winners:
        return f"Nobody is expected to take over from {found.champion}, if the stream goes on as it was."
    first = min(winners, key=lambda pair: pair.forecast.labels)
    sure = "beyond doubt" if first.low > 0 else "though that may be chance"
    return f"{first.candidate} is expected to take over after {first.forecast.labels:,} labels: it was better, {sure}."
