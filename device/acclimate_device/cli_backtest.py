"""``acclimate backtest``: how long would it take to decide?"""

from contextlib import closing
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.progress import Progress

from acclimate_device.cli_contest import names_of


@click.command()
@click.argument("file")
@click.option("--label", required=True, metavar="COL", help="Column to predict.")
@click.option("--task", type=click.Choice(["auto", "classification", "regression"]), default="auto", show_default=True)
@click.option("--ignore", metavar="A,B", help="Columns that are not inputs (ids, times).")
@click.option("--key", metavar="COL", help="Groups the history of labels (a device, a user); not an input.")
@click.option(
    "--delay", type=click.IntRange(0, 10_000_000), default=0, show_default=True, help="Rows until a label arrives."
)
@click.option("--rows", type=click.IntRange(1), help="Only the first N data rows.")
@click.option("--learners", metavar="A,B", help="Standard learners to use; default: the whole committee.")
@click.option("--challengers", metavar="A,B", help="Candidates to compare with the champion; default: all.")
@click.option(
    "--plan", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Plan of the contest, TOML or JSON."
)
@click.option("--per-day", type=click.FloatRange(0.0, min_open=True), help="Labels a day, to tell the time it takes.")
@click.option("--json", "json_path", metavar="OUT", help="Write the result as JSON; - for standard output.")
def backtest(  # noqa: PLR0913, PLR0917 (click passes every option)
    file: str,
    label: str,
    task: Literal["auto", "classification", "regression"],
    ignore: str | None,
    key: str | None,
    delay: int,
    rows: int | None,
    learners: str | None,
    challengers: str | None,
    plan: Path | None,
    per_day: float | None,
    json_path: str | None,
) -> None:
    """Tell how far candidates are from the champion of FILE, and how many labels a test would take.

    FILE is replayed in memory; over its second half every candidate is paired with the one that serves at the end.

    \b
    Example:
      acclimate backtest elec2.csv.gz --label label --delay 48 --per-day 48
    """  # noqa: D301
    from acclimate_device.backtest import backtest as measure
    from acclimate_device.backtest_view import print_backtest
    from acclimate_device.outputs import to_json, write_text
    from acclimate_device.replay import Options
    from acclimate_device.replay_file import Request, checked, prepare

    notes = Console(stderr=True)
    prepared = prepare(
        Request(
            path=file, label=label, task=task, ignore=names_of(ignore), key=key, rows=rows, plan=plan,
            challengers=names_of(challengers) or None,
        )
    )  # fmt: skip
    chosen = names_of(learners) or None
    options = Options(task=prepared.task, delay=delay, learners=chosen, rules=prepared.rules)
    with closing(prepared.source), Progress(console=notes, transient=True) as bar:
        job = bar.add_task("predict, then learn", total=1.0)
        known = list(checked(prepared))
        found = measure(prepared.inputs, options, known, progress=lambda done: bar.update(job, completed=done))
    print_backtest(notes if json_path == "-" else Console(), found, per_day)
    if json_path == "-":
        click.echo(to_json(found.document()), nl=False)
    elif json_path:
        write_text(Path(json_path), to_json(found.document()))
