"""``acclimate watch``: see the contest while it goes on."""

from pathlib import Path

import click

from acclimate_shared.errors import UsageError


@click.command()
@click.argument("state", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--socket", "place", type=click.Path(path_type=Path), help="Of an agent that runs (acclimate serve).")
@click.option("--every", "every_s", type=click.FloatRange(0.2, 3600), default=1.0, show_default=True, metavar="SECONDS")
@click.option("--once", is_flag=True, help="Show it once.")
@click.option("--json", "as_json", is_flag=True, help="Print the status once, as JSON.")
def watch(state: Path | None, place: Path | None, every_s: float, once: bool, as_json: bool) -> None:  # noqa: FBT001
    """Watch the contest: who serves, who challenges with how much evidence, scores, drift, rates.

    A STATE is looked at once, while no agent uses it.

    \b
    Examples:
      acclimate watch --socket ./agent.sock
      acclimate watch ./state
    """  # noqa: D301
    from acclimate_device.local.watch import of_socket, of_state, show
    from acclimate_device.outputs import to_json

    if place is not None and state is None:
        look = of_socket(place)
    elif state is not None and place is None:
        look = of_state(state)
    else:
        raise UsageError("name one thing to watch", field="state", remedy="a state folder, or --socket PATH")
    if as_json:
        click.echo(to_json(look()), nl=False)
        return
    show(look, every_s, once=once or state is not None)
