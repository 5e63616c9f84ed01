"""Commands about what is kept on the disk: destroy it, or change its keys."""

from pathlib import Path

import click

_state = click.argument("state", type=click.Path(exists=True, file_okay=False, path_type=Path))


@click.command()
@_state
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def wipe(state: Path, yes: bool, as_json: bool) -> None:  # noqa: FBT001
    """Destroy a state for ever: its key first, then every file of it.

    \b
    Example:
      acclimate wipe ./state --yes
    """  # noqa: D301
    from acclimate_device.outputs import to_json
    from acclimate_device.wipe import wipe as destroy

    if not yes:
        click.confirm(f"Destroy everything that was learned in {state}, for ever?", abort=True)
    found = destroy(state)
    if as_json:
        click.echo(to_json(found), nl=False)
        return
    click.echo(f"destroyed: {', '.join(found['destroyed'])}")
    click.echo("proven: nothing here opens any more" if found["proven_shut"] else "not proven: something still opens")
    click.echo(f"not promised: {found['not_promised']}")


@click.command()
@_state
@click.option("--wrapping", is_flag=True, help="Replace the key file (or move to a credential), not the data key.")
def rotate(state: Path, wrapping: bool) -> None:  # noqa: FBT001
    """Encrypt a state under a new key; nothing is lost, whenever this is interrupted.

    \b
    Example:
      acclimate rotate ./state
    """  # noqa: D301
    from acclimate_device.wipe import rewrap
    from acclimate_device.wipe import rotate as renew

    if wrapping:
        click.echo(f"the data key is wrapped anew; this protects against {rewrap(state)}")
        return
    renew(state)
    click.echo("everything is encrypted under a new data key")
