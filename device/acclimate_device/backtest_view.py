"""A backtest as a person reads it: one line a candidate, and what follows."""

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from acclimate_device.backtest import Backtest, Forecast, Pair


def print_backtest(console: Console, found: Backtest, per_day: float | None) -> None:
    """Print the table and a sentence; ``per_day`` labels a day tell how long that is, None leaves time out."""
    title = f"beside {found.champion}, over {found.labels:,} labels; loss: {found.loss.replace('_', '/')}"
    table = Table(title=title, box=SIMPLE)
    table.add_column("candidate", no_wrap=True)
    for name in ("better by", "interval", "differs", "block", "rho", "expected decision"):
        table.add_column(name, justify="right", no_wrap=name.startswith("expected"))
    for pair in found.pairs:
        table.add_row(*_cells(pair, per_day, found.delay))
    console.print(table)
    console.print(_sentence(found))
    console.print(
        f"Intervals hold for all looks at once, at the level {found.alpha:.2g} of the next test; rho: autocorrelation.",
        style="dim",
    )


def _cells(pair: Pair, per_day: float | None, delay: int) -> tuple[str, ...]:
    interval = f"{pair.low:+.3f} {pair.high:+.3f}"
    share, rho = f"{100 * pair.disagreement:.1f} %", f"{pair.autocorrelation:.2f}"
    told = _told(pair.forecast, per_day, delay)
    return pair.candidate, f"{pair.difference:+.4f}", interval, share, str(pair.block), rho, told


def _told(forecast: Forecast, per_day: float | None, delay: int) -> str:
    text = f"{forecast.decision} at {forecast.labels:,}"
    if per_day:
        text += f", {(forecast.labels + delay) / per_day:,.1f} days"
    return text if forecast.in_time else f"none{text.removeprefix('equivalent')}"


def _sentence(found: Backtest) -> str:
    """Return what follows for the contest, in one sentence."""
    winners = [pair for pair in found.pairs if pair.forecast.decision == "promote"]
    if not winners:
        return f"Nobody is expected to take over from {found.champion}, if the stream goes on as it was."
    first = min(winners, key=lambda pair: pair.forecast.labels)
    sure = "beyond doubt" if first.low > 0 else "though that may be chance"
    return f"{first.candidate} is expected to take over after {first.forecast.labels:,} labels: it was better, {sure}."
