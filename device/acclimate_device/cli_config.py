"""The option that names a file in place of options, and the commands about it: config check, config show."""

from pathlib import Path
from typing import Any

import click

from acclimate_device import config as files
from acclimate_device.cli_local import serve
from acclimate_device.cli_run import run

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
COMMANDS = {"run": run, "serve": serve}
VARIABLE = "ACCLIMATE_CONFIG"


def _apply(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    """Let the file speak before the options are looked at."""
    if path is not None:
        found = files.read(path, COMMANDS).get(str(context.command.name), {})
        context.default_map = {**(context.default_map or {}), **found}


def _with_config(command: click.Command) -> None:
    option = click.Option(
        ["--config"],
        type=_FILE,
        is_eager=True,
        expose_value=False,
        envvar=VARIABLE,
        callback=_apply,
        help=f"File with a table [{command.name}] in place of options (TOML), see docs/configuration.md.",
    )
    command.params.insert(0, option)


for _command in COMMANDS.values():
    _with_config(_command)


@click.group()
def config() -> None:
    """Look at a configuration file."""


@config.command()
@click.argument("file", type=_FILE)
def check(file: Path) -> None:
    """Check every key and value of FILE.

    \b
    Example:
      acclimate config check /etc/acclimate/acclimate.toml
    """  # noqa: D301
    found = files.read(file, COMMANDS)
    count = sum(len(table) for table in found.values())
    click.echo(f"{file}: {count} keys in {len(found)} tables, all right")


@config.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(file: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Show every key with the value that holds, and whether it comes from FILE or is the default.

    \b
    Example:
      acclimate config show /etc/acclimate/acclimate.toml
    """  # noqa: D301
    from acclimate_device.outputs import to_json

    tables = files.read(file, COMMANDS) if file else {}
    shown: dict[str, dict[str, Any]] = {}
    for name, command in COMMANDS.items():
        rows = files.effective(command, tables.get(name, {}))
        shown[name] = {key.name: {"value": _plain(value), "from": origin} for key, value, origin in rows}
    if as_json:
        click.echo(to_json(shown), nl=False)
        return
    for name, keys in shown.items():
        click.echo(f"[{name}]")
        for key, told in keys.items():
            value = "(none)" if told["value"] is None else told["value"]
            click.echo(f"{key:>20}  {value}  ({told['from']})")


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
