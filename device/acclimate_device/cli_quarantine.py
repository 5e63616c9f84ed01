"""Commands about labels that are held for a person to look at."""

import getpass
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_state = click.argument("state", type=click.Path(exists=True, file_okay=False, path_type=Path))
_MOST_LINES = 50  # printed; all of them with --json


@click.group()
def quarantine() -> None:
    """Look at labels that were held instead of learned; release or discard them.

    Held are labels that contradict the model where no other source of labels does; nothing is lost.

    \b
    Examples:
      acclimate quarantine list ./state
      acclimate quarantine release ./state --source station-7 --why "its sensor was right"
      acclimate quarantine discard ./state --number 12 --number 13 --why "typing errors"
    """  # noqa: D301


@quarantine.command("list")
@_state
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_held(state: Path, as_json: bool) -> None:  # noqa: FBT001
    """List the labels that are held, the oldest first."""
    from acclimate_device.control import held_in
    from acclimate_device.outputs import to_json

    found = held_in(state)
    if as_json:
        click.echo(to_json({"held": found}), nl=False)
        return
    for source, count in Counter(item["source"] for item in found).most_common():
        click.echo(f"{count:>8,}  from {source or '(no source)'}")
    for item in found[-_MOST_LINES:]:
        told = f"{item['label']!r} where {item['answer']!r} was answered"
        click.echo(f"{item['number']:>8}  {item['source']}: {told}; {item['reason']}")
    if not found:
        click.echo("nothing is held")


def _settling(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of what settles held labels."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--why", required=True, help="The reason, for the record."),
        click.option("--who", default=getpass.getuser, show_default="your login", help="Who decides, for the record."),
        click.option("--number", "numbers", type=int, multiple=True, help="One label, as the list numbers it."),
        click.option("--source", help="All labels of this source."),
        _state,
    ):
        command = option(command)
    return command


@quarantine.command()
@_settling
def release(**options: Any) -> None:  # noqa: ANN401 (click passes every option)
    """Learn held labels after all."""
    _settle("released", **options)


@quarantine.command()
@_settling
def discard(**options: Any) -> None:  # noqa: ANN401 (click passes every option)
    """Give held labels up."""
    _settle("discarded", **options)


def _settle(how: str, *, state: Path, as_json: bool, **options: Any) -> None:  # noqa: ANN401
    from acclimate_device.control import settle
    from acclimate_device.outputs import to_json

    done = settle(state, options.pop("numbers"), options.pop("source"), learn=how == "released", **options)
    click.echo(to_json({how: done}) if as_json else f"{done} labels {how}")
