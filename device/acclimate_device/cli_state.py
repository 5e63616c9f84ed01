"""Commands about a whole state: what is in it of whom, and how it moves."""

import os
from pathlib import Path

import click

from acclimate_shared.errors import UsageError

PASSPHRASE = "ACCLIMATE_PASSPHRASE"  # noqa: S105 (the name of a variable)

_state = click.argument("state", type=click.Path(exists=True, file_okay=False, path_type=Path))
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_secret = click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File with the passphrase; default: the variable {PASSPHRASE}, or a question.",
)


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    if file is not None:
        try:
            return file.read_text("utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as exc:
            raise UsageError(f"the passphrase cannot be read: {exc}", field="passphrase-file", value=str(file)) from exc
    found = os.environ.get(PASSPHRASE)
    return found or str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm))


@click.command()
@_state
@_as_json
def privacy(state: Path, as_json: bool) -> None:  # noqa: FBT001
    """Tell what a state holds, for how long, under which key, and what would leave the device.

    \b
    Example:
      acclimate privacy ./state
    """  # noqa: D301
    from acclimate_device.outputs import to_json
    from acclimate_device.privacy import describe

    found = describe(state)
    if as_json:
        click.echo(to_json(found), nl=False)
        return
    click.echo(f"encrypted: {found['encrypted']}; the wrapping key protects against {found['key_protects_against']}")
    click.echo(f"retention: {found['retention']}; journal: {found['journal']}, {found['journal_bytes']:,} bytes")
    click.echo("rows of data:")
    for row in found["rows"]:
        click.echo(f"{row['bytes']:>12,}  {row['what']}, {row['until']}")
    if found["learners_that_hold_rows"]:
        click.echo(f"learners whose state holds rows: {', '.join(found['learners_that_hold_rows'])}")
    click.echo(f"decisions: {found['decisions']}")
    click.echo(f"sent to: {found['sent_to']}")
    for kind, fields in found["would_be_sent"].items():
        click.echo(f"{kind:>16}  {', '.join(fields)}")
    click.echo(f"never sent: {found['never_sent']}")


@click.command("export")
@_state
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_secret
@_as_json
def export_state(state: Path, file: Path, passphrase_file: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Write a whole state to FILE, encrypted under a passphrase and signed.

    \b
    Examples:
      acclimate export ./state model.acclimate
      acclimate export ./state model.acclimate --passphrase-file secret.txt
    """  # noqa: D301
    from acclimate_device.export import export
    from acclimate_device.outputs import to_json

    found = export(state, file, _passphrase(passphrase_file, confirm=True))
    if as_json:
        click.echo(to_json(found), nl=False)
        return
    click.echo(f"{found['file']}: {found['bytes']:,} bytes, signed by {found['signer']}")
    click.echo(f"import it with: acclimate import {file} STATE --signer {found['signer']}")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("state", type=click.Path(file_okay=False, path_type=Path))
@_secret
@click.option("--signer", metavar="HEX", help="Fingerprint that the file must be signed by; default: any.")
@_as_json
def import_state(file: Path, state: Path, passphrase_file: Path | None, signer: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Make the folder STATE from an exported FILE; there must be no state in it yet.

    \b
    Example:
      acclimate import model.acclimate ./state --signer 0f1e2d3c...
    """  # noqa: D301
    from acclimate_device.export import import_state as take
    from acclimate_device.outputs import to_json

    found = take(file, state, _passphrase(passphrase_file, confirm=False), signer=signer)
    if as_json:
        click.echo(to_json(found), nl=False)
        return
    click.echo(f"version {found['version']}, {found['learned']:,} labels learned, signed by {found['signer']}")
