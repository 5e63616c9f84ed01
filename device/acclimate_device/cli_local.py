"""The command for other programs on the device: serve."""

from pathlib import Path
from typing import Literal

import click

from acclimate_device.cli_contest import names_of
from acclimate_shared.errors import UsageError

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PLACE = click.Path(path_type=Path)
MODES = (0o600, 0o660, 0o666)  # of a socket


@click.command()
@click.option("--socket", "place", required=True, type=_PLACE, help="Where to answer; its folder must be there.")
@click.option("--task", required=True, type=click.Choice(["classification", "regression"]))
@click.option("--state", type=_FOLDER, help="Folder to keep what was learned in.")
@click.option("--mode", default="660", show_default=True, metavar="OCTAL", help="Who may use the socket.")
@click.option("--group", metavar="NAME", help="Group of the socket.")
@click.option("--connections", type=click.IntRange(1, 10_000), default=64, show_default=True, help="At the same time.")
@click.option("--key", metavar="FEATURE", help="Groups the history of labels (a device, a user); not an input.")
@click.option("--learners", metavar="A,B", help="Standard learners to use; default: the whole committee.")
@click.option("--policy", type=click.Choice(["continual", "superiority"]), default="continual", show_default=True)
@click.option("--challengers", metavar="A,B", help="Candidates to be tested, or none; default: those of promise.")
@click.option("--plan", type=_FILE, help="Plan of the contest, TOML or JSON.")
@click.option("--triggers", metavar="FILE", help="When to learn (TOML), or the word recommended; default: at once.")
@click.option("--admission", type=_FILE, help="What each source of labels may do (TOML).")
@click.option("--retention", type=click.Choice(["journal", "none"]), default="journal", show_default=True)
@click.option("--profile", type=click.Choice(["default", "thrifty"]), default="default", show_default=True)
@click.option("--micro-batch", type=click.IntRange(1, 1_000_000), default=512, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
def serve(  # noqa: PLR0913, PLR0917 (click passes every option)
    place: Path,
    task: Literal["classification", "regression"],
    state: Path | None,
    mode: str,
    group: str | None,
    connections: int,
    key: str | None,
    learners: str | None,
    policy: Literal["continual", "superiority"],
    challengers: str | None,
    plan: Path | None,
    triggers: str | None,
    admission: Path | None,
    retention: Literal["journal", "none"],
    profile: Literal["default", "thrifty"],
    micro_batch: int,
    seed: int,
) -> None:
    """Predict and learn for other programs on this device, over a Unix socket with JSON lines.

    The protocol is in docs/local-protocol.md. Options that `acclimate run` has too mean the same.

    \b
    Examples:
      acclimate serve --socket ./agent.sock --task classification --state ./state
      echo '{"op": "predict", "features": {"load": 0.7}}' | nc -U ./agent.sock
    """  # noqa: D301
    from acclimate_device.durability import Durability
    from acclimate_device.local.limits import Limits
    from acclimate_device.local.serve import ServeSettings
    from acclimate_device.local.serve import serve as serve_until_stopped

    settings = ServeSettings(
        socket=place, task=task, state=state, mode=_mode(mode), group=group, limits=Limits(connections=connections),
        key=key, learners=names_of(learners) or None, policy=policy, challengers=names_of(challengers) or None,
        plan=plan, triggers=triggers, admission=admission, micro_batch=micro_batch, seed=seed,
        durability=Durability(retention=retention, profile=profile),
    )  # fmt: skip
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
