"""Record this machine's telemetry as a labelled CSV, through the same code that runs live.

    python -m acclimate_tools.record --out FILE.csv.gz --minutes 30

A row is written when its label has matured, so the last rows of a recording, whose future nobody saw, are left out.
Stopping with Ctrl-C keeps what has been written.
"""

import csv
import gzip
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import click
from rich.progress import track

from acclimate_device.sources import Event
from acclimate_device.sources.host import PERIOD_S, HostSource, Matured

LABEL = "cpu_ahead"
TIME = "timestamp"

Row = dict[str, object]


def labelled(rows: Iterable[tuple[Event, list[Matured]]], period_s: float) -> Iterator[Row]:
    """Yield a table row for each event whose label has matured: seconds since the start, features, label."""
    waiting: dict[int, Event] = {}
    for event, matured in rows:
        waiting[event.row] = event
        for item in matured:
            values = waiting.pop(item.row).values
            yield {TIME: round(item.row * period_s, 1), **values, LABEL: item.label}


def record(
    source: HostSource, path: Path, *, events: int, watch: Callable[[Iterable[Row]], Iterable[Row]] = iter
) -> int:
    """Write the labelled rows among the next ``events`` live ones to a gzipped CSV; return how many.

    Args:
        source: live rows.
        path: of the file, overwritten.
        events: live rows to take; the last ``source.horizon_rows`` get no label.
        watch: wraps the table rows to show progress.
    """
    rows = labelled(islice(source, events), source.period_s)
    written = 0
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file, suppress(KeyboardInterrupt):
        table: csv.DictWriter[str] | None = None
        for row in watch(rows):
            if table is None:  # the columns of the first row; a sensor that comes later is left out
                table = csv.DictWriter(file, list(row), restval="", extrasaction="ignore", lineterminator="\n")
                table.writeheader()
            table.writerow(row)
            written += 1
    return written


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File, ending in .csv.gz.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), required=True, help="How long to record.")
def main(out: Path, minutes: float) -> None:
    """Record a labelled CSV of this machine's telemetry."""
    source = HostSource(clock=time.monotonic, sleep=time.sleep)
    events = round(minutes * 60 / PERIOD_S) + source.horizon_rows
    total = events - source.horizon_rows
    written = record(source, out, events=events, watch=lambda rows: track(rows, "recording", total=total))
    click.echo(f"{written} rows in {out}")


if __name__ == "__main__":
    main()
