"""Commands about aliases, words for releases; each is one call of the API."""

from typing import Any

import click

from acclimate_hub.cli_access import Settings, as_json, columns, list_items, part, show


@click.group()
def alias() -> None:
    """Aliases: words for releases, such as stable, with all that they have meant.

    Devices do not follow an alias: a rollout brings a release to them.
    """


@alias.command("list")
@as_json
@click.pass_obj
def list_aliases(settings: Settings, *, as_json: bool) -> None:
    """List what every alias means now."""
    list_items(settings, "/aliases", "name", "release", "version", "time_s", "actor", json=as_json)


@alias.command("show")
@click.argument("name")
@as_json
@click.pass_obj
def show_alias(settings: Settings, name: str, *, as_json: bool) -> None:
    """Show what an alias means and has meant, newest first."""

    def lines(found: dict[str, Any]) -> list[str]:
        return columns("version", "release", "time_s", "actor")(found["moves"])

    with settings.client() as api:
        show(api.get(f"/aliases/{part(name)}"), lines, as_json=as_json)


@alias.command("point")
@click.argument("name")
@click.argument("release")
@click.option("--why", required=True, help="Why, for the record.")
@click.option("--version", type=int, help="Only if it is still the one that you saw (show --json); 0: it is new.")
@as_json
@click.pass_obj
def point(settings: Settings, name: str, release: str, why: str, version: int | None, *, as_json: bool) -> None:
    """Let NAME mean RELEASE: a digest of 12 digits or more, MODEL:VERSION, or another alias.

    \b
    Examples:
      acclimate-hub alias point stable pump:1.3 --why "a calm month"
      acclimate-hub alias roll-back stable --why "the new one is slow"
    """  # noqa: D301
    with settings.client() as api:
        body = {"release": release, "why": why, "version": version}
        show(api.send("PUT", f"/aliases/{part(name)}", body), _means, as_json=as_json)


@alias.command("roll-back")
@click.argument("name")
@click.option("--why", required=True, help="Why, for the record.")
@click.option("--version", type=int, help="Only if it is still the one that you saw (show --json).")
@as_json
@click.pass_obj
def roll_back(settings: Settings, name: str, why: str, version: int | None, *, as_json: bool) -> None:
    """Let NAME mean what it meant before its last advance; again, one further back.

    \b
    Example:
      acclimate-hub alias roll-back stable --why "the new one is slow"
    """  # noqa: D301
    with settings.client() as api:
        body = {"why": why, "version": version}
        show(api.send("POST", f"/aliases/{part(name)}/roll-back", body), _means, as_json=as_json)


def _means(answer: dict[str, Any]) -> list[str]:
    return [f"{answer['name']} means {answer['release']}"]
