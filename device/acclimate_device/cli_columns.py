"""``acclimate columns``: what a file becomes before a learner sees it."""

from contextlib import closing
from typing import Any, Literal

import click
from rich.console import Console
from rich.table import Table

from acclimate_device.cli_contest import names_of
from acclimate_device.inputs import Inputs
from acclimate_device.outputs import to_json
from acclimate_device.schema import Column


@click.command()
@click.argument("file")
@click.option("--label", required=True, metavar="COL", help="Column to predict.")
@click.option("--task", type=click.Choice(["auto", "classification", "regression"]), default="auto", show_default=True)
@click.option("--ignore", metavar="A,B", help="Columns that are not inputs (ids, times).")
@click.option("--key", metavar="COL", help="Groups the history of labels (a device, a user); not an input.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def columns(
    file: str,
    label: str,
    task: Literal["auto", "classification", "regression"],
    ignore: str | None,
    key: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Tell what FILE becomes before a learner sees it: kinds of columns, numbers a row, and what is left out.

    A learner of your own is authored for the number of features that this prints.

    \b
    Example:
      acclimate columns data.csv --label target
    """  # noqa: D301
    from acclimate_device.replay_file import Request, prepare

    prepared = prepare(Request(path=file, label=label, task=task, ignore=names_of(ignore), key=key))
    with closing(prepared.source):
        found = described(prepared.inputs) | {"warnings": prepared.warnings}
    if as_json:
        click.echo(to_json(found), nl=False)
    else:
        _show(found)


def described(inputs: Inputs) -> dict[str, Any]:
    """Return task, columns and sizes of what learners see, as JSON values."""
    layout = inputs.layout()
    return {
        "task": inputs.task,
        "columns": [
            {"name": column.name, "kind": column.kind, "features": _features(column), "means": _means(column)}
            for column in inputs.encoder.columns
        ],
        "features": layout.features,
        "with_history": layout.width,
    }


def _features(column: Column) -> int:
    return (column.kind == "number") + column.flag_missing + column.slots


def _means(column: Column) -> str:
    parts = ["the number"] if column.kind == "number" else []
    parts += ["whether it is missing"] if column.flag_missing else []
    parts += [f"{column.slots} slots, one for each value; rarer ones share"] if column.slots else []
    return "; ".join(parts)


def _show(found: dict[str, Any]) -> None:
    table = Table(title=f"{found['task']}: what a learner sees of a row")
    for name in ("column", "kind", "features", "what they are"):
        table.add_column(name, justify="right" if name == "features" else "left")
    for column in found["columns"]:
        table.add_row(column["name"], column["kind"], str(column["features"]), column["means"])
    console = Console()
    console.print(table)
    for warning in found["warnings"]:
        console.print(warning)
    history = found["with_history"] - found["features"]
    console.print(
        f"{found['features']} features; {found['with_history']} with the {history} of the history of labels.\n"
        f"Author a learner of your own for {found['features']} features, or for {found['with_history']}."
    )
