"""The command for other programs on the device: serve."""

from pathlib import Path
from typing import Any

import click

from acclimate_device.cli_options import (
    broker_of,
    broker_options,
    keeping_options,
    learning_of,
    learning_options,
    triggers_option,
)
from acclimate_shared.errors import UsageError

_FOLDER = click.Path(file_okay=False, path_type=Path)
_PLACE = click.Path(path_type=Path, readable=False)  # one that a service manager made is not ours to read
MODES = (0o600, 0o660, 0o666)  # of a socket


@click.command()
@click.option("--socket", "place", required=True, type=_PLACE, help="Where to answer; its folder must be there.")
@click.option("--task", required=True, type=click.Choice(["classification", "regression"]))
@click.option("--state", type=_FOLDER, help="Folder to keep what was learned in.")
@click.option("--mode", default="660", show_default=True, metavar="OCTAL", help="Who may use the socket.")
@click.option("--group", metavar="NAME", help="Group of the socket.")
@click.option("--connections", type=click.IntRange(1, 10_000), default=64, show_default=True, help="At the same time.")
@click.option("--key", metavar="FEATURE", help="Groups the history of labels (a device, a user); not an input.")
@broker_options
@triggers_option
@keeping_options
@learning_options
def serve(
    *,
    place: Path,
    mode: str,
    group: str | None,
    connections: int,
    **learning: Any,  # noqa: ANN401 (see ``learning_of``)
) -> None:
    """Predict and learn for other programs on this device, over a Unix socket with JSON lines, or topics of a broker.

    The protocol is in docs/local-protocol.md. Options that `acclimate run` has too mean the same.

    \b
    Examples:
      acclimate serve --socket ./agent.sock --task classification --state ./state
      echo '{"op": "predict", "features": {"load": 0.7}}' | nc -U ./agent.sock
      acclimate serve --socket ./agent.sock --task regression --broker 127.0.0.1:1883
    """  # noqa: D301
    from acclimate_device.local.limits import Limits
    from acclimate_device.local.serve import ServeSettings
    from acclimate_device.local.serve import serve as serve_until_stopped

    limits, broker = Limits(connections=connections), broker_of(learning)
    settings = ServeSettings(
        socket=place, mode=_mode(mode), group=group, limits=limits, broker=broker, **learning_of(learning)
    )
    serve_until_stopped(settings, ready=lambda: click.echo(f"answering at {place}", err=True))


def _mode(text: str) -> int:
    """Return the permissions that octal digits mean."""
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if mode not in MODES:
        remedy = "use 600, 660 or 666"
        raise UsageError("not the permissions of a socket", field="mode", value=text, remedy=remedy)
    return mode
