"""The command that learns live: run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acclimate_device.cli_contest import names_of
from acclimate_device.cli_options import keeping_options, learning_of, learning_options, triggers_option
from acclimate_shared.errors import UsageError

if TYPE_CHECKING:  # what a run needs is loaded when it runs
    from acclimate_device.feeds import Feed

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
HOST, PIPE = "host", "-"


@click.command()
@click.option(
    "--source",
    default=HOST,
    show_default=True,
    metavar="host|-",
    help="Where events come from: this machine's telemetry, or JSON lines on standard input.",
)
@click.option("--label", metavar="FIELD", help="With -: the field that holds the label, where a row has one.")
@click.option("--labels", type=_FILE, help="With -: a rule by which later rows label earlier ones (TOML).")
@click.option(
    "--task", type=click.Choice(["classification", "regression"]), default="classification", show_default=True
)
@click.option("--key", metavar="FIELD", help="With -: groups rows (a device, a user); not an input.")
@click.option("--time", "time_field", metavar="FIELD", help="With -: event time, seconds since 1970; default: arrival.")
@click.option("--ignore", metavar="A,B", help="With -: fields that are not inputs.")
@click.option("--state", type=_FOLDER, help="Folder to keep what was learned in.")
@click.option(
    "--period", type=click.FloatRange(0.05, 3600), default=0.5, show_default=True, help="Seconds between two events."
)
@click.option("--events", type=click.IntRange(1), help="Stop after N events.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an event instead of a live table.")
@triggers_option
@keeping_options
@learning_options
def run(
    *,
    source: str,
    label: str | None,
    labels: Path | None,
    time_field: str | None,
    ignore: str | None,
    period: float,
    events: int | None,
    as_json: bool,
    **learning: Any,  # noqa: ANN401 (see ``learning_of``)
) -> None:
    """Predict and learn live until stopped.

    With --source - every line of standard input is a JSON object: a reading of a sensor, say. It is answered at once.
    Labels are in the rows (--label; rows without one are only predicted), or follow from later rows (--labels).

    \b
    Examples:
      acclimate run --source host --state ./state
      read-sensor | acclimate run --source - --labels ahead.toml --task regression --state ./state
      read-machine | acclimate run --source - --label fault --time at --json
    """  # noqa: D301
    from acclimate_device import daemon
    from acclimate_device.notify import Notifier

    feed = _feed(source, label, labels, learning["key"], time_field, names_of(ignore))
    if feed is None and learning["task"] == "regression":
        remedy = "use classification"
        raise UsageError("the machine's own label is a class", field="task", value=learning["task"], remedy=remedy)
    settings = daemon.Settings(period_s=period, events=events, as_json=as_json, **learning_of(learning))
    done = daemon.run(settings, feed)
    if done.rejects.count:
        click.echo(f"{done.rejects.count:,} rows or labels were not used", err=True)
        for told in done.rejects.first if not Notifier.from_environment().wanted else ():  # a log gets no names
            click.echo(f"  row {told['row']}: {told['reason']}; {told['remedy']}", err=True)


def _feed(
    source: str,
    label: str | None,
    labels: Path | None,
    key: str | None,
    time_field: str | None,
    ignore: tuple[str, ...],
) -> "Feed | None":
    """Return the feed that was asked for, None for the machine's own."""
    given = {"label": label, "labels": labels, "key": key, "time": time_field, "ignore": ignore}
    if source == HOST:
        named = [name for name, value in given.items() if value]
        if named:
            remedy = f"use --source -, or leave out --{named[0]}"
            raise UsageError("the machine's telemetry needs no such option", field=named[0], remedy=remedy)
        return None
    if source != PIPE:
        remedy = "use host or -; recorded files go to `acclimate replay`"
        raise UsageError("no such source", field="source", value=source, remedy=remedy)
    if bool(label) == bool(labels):
        remedy = "give --label FIELD if rows bring their labels, or --labels RULE.toml if later rows tell them"
        raise UsageError("where do the labels come from?", field="label", value=label, remedy=remedy)
    from acclimate_device.feeds import lines_feed
    from acclimate_device.natural import read_rule

    rule = read_rule(labels) if labels else None
    return lines_feed(
        sys.stdin.buffer, label=label, rule=rule, key=key, time_column=time_field, ignore=ignore
    )  # fmt: skip
