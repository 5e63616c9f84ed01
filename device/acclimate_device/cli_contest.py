"""Commands about the contest and what learning is worth: look, decide, measure."""

import getpass
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console
from rich.progress import Progress


def names_of(text: str | None) -> tuple[str, ...]:
    """Return the names in a comma-separated list."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


@click.command()
@click.argument("file")
@click.option("--label", required=True, metavar="COL", help="Column to predict.")
@click.option("--task", type=click.Choice(["auto", "classification", "regression"]), default="auto", show_default=True)
@click.option("--ignore", metavar="A,B", help="Columns that are not inputs (ids, times).")
@click.option("--rows", type=click.IntRange(1), help="Only the first N data rows.")
@click.option("--tolerance", type=click.FloatRange(0.0), help="Excess loss that does not matter; default: see above.")
@click.option("--json", "json_path", metavar="OUT", help="Write the result as JSON; - for standard output.")
def freshness(
    file: str,
    label: str,
    task: Literal["auto", "classification", "regression"],
    ignore: str | None,
    rows: int | None,
    tolerance: float | None,
    json_path: str | None,
) -> None:
    """Tell what fresh data are worth: how much is lost by learning less often?

    Models are trained on windows of FILE that end earlier and earlier before the rows that they answer. The loss beyond
    the freshest, with its 99 % interval, says how old a model may become. Half a point of accuracy, or 1 % of the mean
    absolute error, does not matter unless --tolerance says otherwise.

    \b
    Example:
      acclimate freshness air.csv --label pm25 --ignore time
    """  # noqa: D301
    from acclimate_device.freshness import freshness as measure
    from acclimate_device.freshness_view import print_freshness
    from acclimate_device.outputs import to_json, write_text
    from acclimate_device.replay_file import Request, checked, prepare

    notes = Console(stderr=True)
    request = Request(path=file, label=label, task=task, ignore=names_of(ignore), rows=rows)
    prepared = prepare(request)
    inputs = prepared.inputs
    with closing(prepared.source), Progress(console=notes, transient=True) as bar:
        job = bar.add_task("read, train, answer", total=1.0)
        found = measure(
            inputs, list(checked(prepared)), tolerance=tolerance, progress=lambda done: bar.update(job, completed=done)
        )
    print_freshness(notes if json_path == "-" else Console(), found)
    if json_path == "-":
        click.echo(to_json(found.document()), nl=False)
    elif json_path:
        write_text(Path(json_path), to_json(found.document()))


_who = click.option("--who", default=getpass.getuser, show_default="your login", help="Who decides, for the record.")
_why = click.option("--why", required=True, help="The reason, for the record.")
_state = click.argument("state", type=click.Path(exists=True, file_okay=False, path_type=Path))
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@_state
@_as_json
def contest(state: Path, as_json: bool) -> None:  # noqa: FBT001
    """Tell who serves, who is tested and what has happened, from an agent's state folder.

    \b
    Example:
      acclimate contest ./state
    """  # noqa: D301
    from acclimate_device.control import contest_of

    _tell(contest_of(state), as_json=as_json)


@click.command()
@click.argument("candidate")
@_state
@_who
@_why
@_as_json
def promote(candidate: str, state: Path, who: str, why: str, as_json: bool) -> None:  # noqa: FBT001
    """Let CANDIDATE serve because you say so; recorded as an override, it is no evidence.

    \b
    Example:
      acclimate promote naive-bayes ./state --why "it explains itself to the auditors"
    """  # noqa: D301
    from acclimate_device.control import promote as promote_in

    _tell(promote_in(state, candidate, who=who, why=why), as_json=as_json)


@click.command()
@_state
@click.option("--base", is_flag=True, help="Take the newest base model out of service; the one before it returns.")
@_who
@_why
@_as_json
def rollback(state: Path, base: bool, who: str, why: str, as_json: bool) -> None:  # noqa: FBT001
    """Let the last proven state serve; the lineage learns on and returns when it is proven no worse.

    \b
    Examples:
      acclimate rollback ./state --why "the sensor was replaced yesterday"
      acclimate rollback ./state --base --why "the new model is odd at night"
    """  # noqa: D301
    from acclimate_device.control import roll_back, roll_back_base
    from acclimate_device.outputs import to_json

    if base:
        gone = roll_back_base(state, who=who, why=why)
        click.echo(
            f"{gone['model']} {gone['version']} is out of service" if not as_json else to_json(gone), nl=not as_json
        )
        return
    _tell(roll_back(state, who=who, why=why), as_json=as_json)


@click.command()
@_state
@click.option("--source", required=True, help="Who gave the labels.")
@click.option("--revoke", is_flag=True, help="Refuse what it says from now on.")
@_who
@_why
@_as_json
def forget(state: Path, source: str, revoke: bool, who: str, why: str, as_json: bool) -> None:  # noqa: FBT001
    """Forget what a source of labels has taught: back to the last state before it, then learn what others taught since.

    \b
    Example:
      acclimate forget ./state --source crowd-17 --revoke --why "its labels were made up"
    """  # noqa: D301
    from acclimate_device.forget import forget as forget_in

    _tell(forget_in(state, source, who=who, why=why, revoke=revoke), as_json=as_json)


@click.command()
@_state
@click.option("--add-input", "inputs", multiple=True, required=True, metavar="NAME[:KIND]", help="Number or category.")
@_who
@_why
@_as_json
def surgery(state: Path, inputs: tuple[str, ...], who: str, why: str, as_json: bool) -> None:  # noqa: FBT001
    """Let a model take up more inputs; it keeps what it has learned and answers as before until it learns on.

    \b
    Example:
      acclimate surgery ./state --add-input humidity --add-input room:category --why "a sensor was added"
    """  # noqa: D301
    from acclimate_device.control import add_inputs

    _tell(add_inputs(state, inputs, who=who, why=why), as_json=as_json)


def _tell(found: dict[str, Any], *, as_json: bool) -> None:
    """Print a contest."""
    from acclimate_device.outputs import to_json
    from acclimate_device.run_words import gain_lines

    if as_json:
        click.echo(to_json(found), nl=False)
        return
    for name in ("champion", "version", "policy", "tests_started"):
        click.echo(f"{name:>16}  {found.get(name)}")
    for name, (log_e, threshold) in found.get("running", {}).items():
        click.echo(f"{'challenger':>16}  {name}: log evidence {log_e:.2f} of {threshold:.2f}")
    for name, text in gain_lines(found.get("gains") or {}):
        click.echo(f"{name:>16}  {text}")
    for event in found.get("transitions", [])[-20:]:
        click.echo(f"{event['row']:>16,}  {event['candidate']}: {event['event']}, {event['reason']}")


@click.command()
@_state
@click.argument("version", required=False)
@_as_json
def lineage(state: Path, version: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Tell where the versions of a model come from, after checking every byte of the record.

    \b
    Examples:
      acclimate lineage ./state            all versions, newest last
      acclimate lineage ./state 2.0        one: parents, data, evidence, gates, cost
    """  # noqa: D301
    from acclimate_device import lineage_view as view
    from acclimate_device.control import lineage_of
    from acclimate_device.outputs import to_json

    found = lineage_of(state)
    if as_json:
        click.echo(to_json(view.overview(found) if version is None else view.detail(found, version)), nl=False)
    else:
        click.echo(view.overview_text(found) if version is None else view.detail_text(found, version), nl=False)
