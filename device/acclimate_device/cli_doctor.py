"""``acclimate doctor``: is all well on this machine, and what is to be done if not?"""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table


@click.command()
@click.argument("state", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--socket", "place", type=click.Path(path_type=Path), help="Of an agent that should be running.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(state: Path | None, place: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Check clock, disk, key, broker, certificate, libraries, limits; say what to do. Exit code 1: something is bad.

    A state is looked at while no agent uses it.

    \b
    Examples:
      acclimate doctor
      acclimate doctor ./state --json
      acclimate doctor --socket ./agent.sock
    """  # noqa: D301
    from acclimate_device.doctor import examine
    from acclimate_device.doctor_facts import gather
    from acclimate_device.outputs import to_json

    found = examine(gather(state, place))
    if as_json:
        click.echo(to_json([item.document() for item in found]), nl=False)
    else:
        table = Table(show_header=False)
        for item in found:
            what = item.found + (f"\nTo do: {item.remedy}" if item.remedy else "")
            table.add_row(item.check, item.verdict, what)
        Console().print(table, markup=False)
    sys.exit(int(any(item.verdict == "bad" for item in found)))
