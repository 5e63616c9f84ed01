"""The command that makes a bundle."""

from pathlib import Path

import click

import acclimate_shared
from acclimate_shared.errors import UsageError

_KINDS = ("number", "category")


def _pairs(texts: tuple[str, ...], mark: str, option: str) -> list[tuple[str, str]]:
    found = []
    for text in texts:
        name, split, value = text.rpartition(mark)
        if not split or not name:
            raise UsageError("not a pair", field=option, value=text, remedy=f"write it as NAME{mark}VALUE")
        found.append((name, value))
    return found


def _sizes(texts: tuple[str, ...]) -> dict[str, int]:
    sizes = {}
    for name, value in _pairs(texts, "=", "--dim"):
        if not value.isascii() or not value.isdigit():
            raise UsageError("not a size", field="--dim", value=value, remedy="give a whole number")
        sizes[name] = int(value)
    return sizes


def _edges(texts: tuple[str, ...]) -> dict[str, tuple[float, ...]]:
    found = {}
    for name, value in _pairs(texts, "=", "--edges"):
        try:
            found[name] = tuple(float(edge) for edge in value.split(","))
        except ValueError as exc:
            remedy = "give numbers with commas between them, such as load=0,10,20"
            raise UsageError("not edges", field="--edges", value=value, remedy=remedy) from exc
    return found


@click.command()
@click.argument("package", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--plan", required=True, type=click.Path(path_type=Path), help="Plan of the contest, TOML or JSON.")
@click.option(
    "--rows",
    required=True,
    type=click.Path(path_type=Path),
    help="Inputs of the sanity set: CSV, one column an input of the learner, or safetensors with x (and label).",
)
@click.option("--label", metavar="COL", help="Column of the rows with class indices or targets.")
@click.option("--min-right", type=click.FloatRange(0, 1), help="Least share of right answers (classification).")
@click.option("--max-error", type=click.FloatRange(0), help="Largest mean absolute error (regression).")
@click.option("--dim", "dims", multiple=True, metavar="NAME=SIZE", help="Size of a named dim, such as classes=3.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of what the first state draws.")
@click.option("--feature", "features", multiple=True, metavar="NAME:KIND", help="A column that devices must have.")
@click.option(
    "--edges",
    multiple=True,
    metavar="NAME=A,B,...",
    help="Rising numbers between bins: devices count how many values of the column fall into each and tell their hub.",
)
@click.option("--memory", type=click.IntRange(1), required=True, help="MiB that a device must have free.")
@click.option("--agent", default=acclimate_shared.__version__, show_default=True, help="Oldest agent that may take it.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File of the bundle.")
def bundle(  # noqa: PLR0913, PLR0917 - options of a command
    package: Path,
    plan: Path,
    rows: Path,
    label: str | None,
    min_right: float | None,
    max_error: float | None,
    dims: tuple[str, ...],
    seed: int,
    features: tuple[str, ...],
    edges: tuple[str, ...],
    memory: int,
    agent: str,
    out: Path,
) -> None:
    """Put PACKAGE, a plan, a sanity set and constraints into one file that can be released.

    The rows are answered here by the first state of the package; devices must answer the same. The same content gives
    the same file, byte for byte.

    \b
    Examples:
      acclimate-author bundle ./pump --plan plan.toml --rows check.csv --memory 64 --out pump.bundle
      acclimate-author bundle ./pump --plan plan.toml --rows check.csv --label state --min-right 0.8 \\
        --dim classes=3 --feature load:number --feature shift:category \\
        --edges load=0,0.5,0.9 --memory 64 --out pump.bundle
    """  # noqa: D301
    from acclimate_shared.bundle import digest_of, write_bundle
    from acclimate_shared.constraints import Constraints, Feature, Kind, edges_of
    from acclimate_shared.durable import write_file
    from acclimate_shared.learner import load_package
    from acclimate_shared.sanity import SanityRule
    from acclimate_tools.author.bundling import make_bundle, read_inputs, read_plan

    columns, bins = [], _edges(edges)
    for name, kind in _pairs(features, ":", "--feature"):
        if kind not in _KINDS:
            raise UsageError("not a kind", field="--feature", value=kind, remedy="give number or category")
        found_kind: Kind = "number" if kind == "number" else "category"
        columns.append(Feature(name=name, kind=found_kind, edges=edges_of(bins.pop(name, ()))))
    if bins:
        remedy = "name the column with --feature too"
        raise UsageError(
            "edges of a column that devices need not have", field="--edges", value=min(bins), remedy=remedy
        )
    needs = Constraints(features=tuple(columns), memory_mib=memory, agent=agent)
    found = load_package(package)
    inputs = read_inputs(rows, label, whole=found.manifest.task == "classification")
    rule = SanityRule(dims=_sizes(dims), seed=seed, min_right=min_right, max_error=max_error)
    data = write_bundle(make_bundle(found, read_plan(plan), inputs, rule, needs))
    write_file(out, data)
    click.echo(f"{digest_of(data)}  {len(data):,} bytes  {out}")
