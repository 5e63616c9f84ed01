"""The command that learns live: run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acclimate_device.cli_contest import names_of
from acclimate_device.cli_options import (
    broker_of,
    broker_options,
    keeping_options,
    learning_of,
    learning_options,
    triggers_option,
)
from acclimate_shared.errors import UsageError

if TYPE_CHECKING:  # what a run needs is loaded when it runs
    from acclimate_device.feeds import Feed

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
HOST, PIPE, MQTT = "host", "-", "mqtt"


@click.command()
@click.option(
    "--source",
    default=HOST,
    show_default=True,
    metavar="host|-|mqtt",
    help="Where events come from: this machine's telemetry, JSON lines on standard input, or topics of a broker.",
)
@click.option("--label", metavar="FIELD", help="With - or mqtt: the field that holds the label, where a row has one.")
@click.option("--labels", type=_FILE, help="With - or mqtt: a rule by which later rows label earlier ones (TOML).")
@click.option(
    "--task", type=click.Choice(["classification", "regression"]), default="classification", show_default=True
)
@click.option("--key", metavar="FIELD", help="With - or mqtt: groups rows (a device, a user); not an input.")
@click.option("--time", "time_field", metavar="FIELD", help="With - or mqtt: event time, seconds since 1970.")
@click.option("--ignore", metavar="A,B", help="With - or mqtt: fields that are not inputs.")
@click.option("--topics", metavar="A,B", help="With mqtt: topics of the readings; + is any word, # all the rest.")
@click.option("--topic-field", metavar="FIELD", help="With mqtt: field that takes the topic, to be the --key, say.")
@broker_options
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
    period: float,
    events: int | None,
    as_json: bool,
    **others: Any,  # noqa: ANN401 (of the rows, of the broker; the rest see ``learning_of``)
) -> None:
    """Predict and learn live until stopped.

    With --source - every line of standard input is a JSON object: a reading of a sensor, say. It is answered at once.
    With --source mqtt every message on --topics of a --broker is one, and predictions are told on other topics.
    Labels are in the rows (--label; rows without one are only predicted), or follow from later rows (--labels).

    \b
    Examples:
      acclimate run --source host --state ./state
      read-sensor | acclimate run --source - --labels ahead.toml --task regression --state ./state
      read-machine | acclimate run --source - --label fault --time at --json
      acclimate run --source mqtt --broker 127.0.0.1:1883 --topics sensors/+/reading --topic-field topic --key topic \
        --labels ahead.toml --task regression --state ./state
    """  # noqa: D301
    from acclimate_device import daemon
    from acclimate_device.notify import Notifier

    feed = _feed(source, _of_rows(others), _at_broker(others))
    if feed is None and others["task"] == "regression":
        remedy = "use classification"
        raise UsageError("the machine's own label is a class", field="task", value=others["task"], remedy=remedy)
    settings = daemon.Settings(period_s=period, events=events, as_json=as_json, **learning_of(others))
    done = daemon.run(settings, feed)
    if done.rejects.count:
        click.echo(f"{done.rejects.count:,} rows or labels were not used", err=True)
        for told in done.rejects.first if not Notifier.from_environment().wanted else ():  # a log gets no names
            click.echo(f"  row {told['row']}: {told['reason']}; {told['remedy']}", err=True)


def _of_rows(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options about the fields of rows, by their names on the command line; they are taken out."""
    found = {"label": options.pop("label"), "labels": options.pop("labels"), "key": options["key"]}
    return {**found, "time": options.pop("time_field"), "ignore": names_of(options.pop("ignore"))}


def _at_broker(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options about topics likewise."""
    topics, topic_field = names_of(options.pop("topics")), options.pop("topic_field")
    return {"topics": topics, "topic-field": topic_field, "broker": broker_of(options)}


def _feed(source: str, given: dict[str, Any], at_broker: dict[str, Any]) -> "Feed | None":
    """Return the feed that was asked for, None for the machine's own."""
    if source not in {HOST, PIPE, MQTT}:
        remedy = "use host, - or mqtt; recorded files go to `acclimate replay`"
        raise UsageError("no such source", field="source", value=source, remedy=remedy)
    if source == HOST:
        _refuse("the machine's telemetry needs no such option", given | at_broker, "use another --source")
        return None
    if source == PIPE:
        _refuse("standard input needs no such option", at_broker, "use --source mqtt")
    label, labels = given["label"], given["labels"]
    if bool(label) == bool(labels):
        remedy = "give --label FIELD if rows bring their labels, or --labels RULE.toml if later rows tell them"
        raise UsageError("where do the labels come from?", field="label", value=label, remedy=remedy)
    from acclimate_device.feeds import Fields, lines_feed, topics_feed
    from acclimate_device.natural import read_rule

    rule = read_rule(labels) if labels else None
    fields = Fields(label=label, rule=rule, key=given["key"], time_column=given["time"], ignore=given["ignore"])
    if source == PIPE:
        return lines_feed(sys.stdin.buffer, fields)
    if at_broker["broker"] is None:
        raise UsageError("which broker?", field="broker", remedy="add --broker HOST:PORT, such as 127.0.0.1:1883")
    return topics_feed(at_broker["broker"], at_broker["topics"], fields, at_broker["topic-field"])


def _refuse(what: str, options: dict[str, Any], otherwise: str) -> None:
    """Refuse options that mean nothing here."""
    named = [name for name, value in options.items() if value]
    if named:
        raise UsageError(what, field=named[0], remedy=f"{otherwise}, or leave out --{named[0]}")
