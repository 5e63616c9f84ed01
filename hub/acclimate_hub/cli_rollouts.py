"""Commands about releases and rollouts; but for the keys of this hub, each is one call of the API, or a few."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from acclimate_hub.cli_access import Settings, as_json, columns, list_items, part, show
from acclimate_shared.errors import MissingError, PlanError
from acclimate_shared.waves import NO_BASE

if TYPE_CHECKING:
    from acclimate_hub.client import Client
    from acclimate_hub.rollout import Explanation


@click.group()
def release() -> None:
    """Releases: what an author has signed, and what this hub serves of it."""


@release.command()
@click.pass_obj
def keys(settings: Settings) -> None:
    """Print the files of this hub's public keys, for `acclimate-author release init`.

    \b
    Example:
      acclimate-author release init ./fleet --snapshot $(acclimate-hub release keys | head -1) ...
    """  # noqa: D301
    hub = settings.hub()
    shelf = hub.shelf(settings.own, settings.folder)
    for role in ("snapshot", "timestamp"):
        click.echo(shelf.keys / f"{role}.pub.json")
    hub.close()


@release.command()
@click.argument("fleet", type=click.Path(exists=True, file_okay=False, path_type=Path))
@as_json
@click.pass_obj
def publish(settings: Settings, fleet: Path, *, as_json: bool) -> None:
    """Hand over what an author has signed in FLEET; the hub verifies it and serves it to the devices.

    \b
    Examples:
      acclimate-hub release publish ./fleet
      acclimate-hub --hub https://hub.example --token-file releaser.token release publish ./fleet
    """  # noqa: D301
    from acclimate_hub.releases.author_files import read_fleet

    files, bundles = read_fleet(fleet)
    texts = {name: data.decode("utf-8", "replace") for name, data in files.items()}  # signed: a change is refused
    with settings.client() as api:
        for digest, data in bundles.items():
            if not _has(api, digest):
                api.send("PUT", f"/bundles/{digest}", data, keyed=False)
        found = api.send("POST", "/releases", {"files": texts})["items"]
        show(found, columns("name", "version", "digest"), as_json=as_json)


def _has(api: "Client", digest: str) -> bool:
    try:
        api.get(f"/bundles/{digest}")
    except MissingError:
        return False
    return True


@release.command("list")
@as_json
@click.pass_obj
def list_releases(settings: Settings, *, as_json: bool) -> None:
    """List what was published: name, version, digest, when, and since when it is withdrawn."""
    list_items(settings, "/releases", "name", "version", "digest", "created_s", "withdrawn_s", json=as_json)


@click.group()
def rollout() -> None:
    """Rollouts: a released base goes to the fleet in waves, each of which must earn the next by evidence."""


@rollout.command()
@click.argument("name")
@click.option("--digest", required=True, help="Of the released base, 64 hex digits.")
@click.option("--previous", default=NO_BASE, help="Of the base to return to; default: what came with the agent.")
@click.option("--cohort", "cohorts", multiple=True, default=["default"], show_default=True, help="May be repeated.")
@click.option("--plan", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON; default: built in.")
@click.option("--salt", help="Decides who goes first; default: a random one.")
@as_json
@click.pass_obj
def draft(settings: Settings, /, name: str, plan: Path | None, *, as_json: bool, **facts: Any) -> None:  # noqa: ANN401 - click's
    """Draft a rollout NAME; another person approves it.

    \b
    Examples:
      acclimate-hub rollout draft pump-1.3 --digest 3f...9a --cohort default
      acclimate-hub rollout approve pump-1.3 --why "the trial was good"
      acclimate-hub rollout start pump-1.3 --why "calm week"
    """  # noqa: D301
    body = {"id": name, "plan": _plan(plan) if plan else {}, **facts}
    with settings.client() as api:
        made = api.send("POST", "/rollouts", body)
        show(made, lambda answer: [f"{answer['id']} is drafted: {answer['waves']} waves"], as_json=as_json)


def _plan(file: Path) -> Any:  # noqa: ANN401 - JSON; the hub checks it
    try:
        return msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.MsgspecError) as exc:
        raise PlanError(f"not a plan: {exc}", field="plan", value=str(file), remedy="write it as JSON") from exc


def _action(name: str, words: str) -> None:
    @rollout.command(name, help=f"{words}\n\n\b\nExample:\n  acclimate-hub rollout {name} pump-1.3 --why WORDS")
    @click.argument("rollout_name", metavar="NAME")
    @click.option("--why", required=True, help="Why, for the record.")
    @click.option("--version", type=int, help="Only if it is still the one that you saw (show --json).")
    @as_json
    @click.pass_obj
    def act(settings: Settings, rollout_name: str, why: str, version: int | None, *, as_json: bool) -> None:
        with settings.client() as api:
            found = api.send("POST", f"/rollouts/{part(rollout_name)}/{name}", {"why": why, "version": version})
            show(found, lambda answer: [f"{answer['id']}: {answer['phase']}"], as_json=as_json)


_action("approve", "Approve a draft.")
_action("start", "Open the first wave.")
_action("pause", "Let no further device begin.")
_action("resume", "Go on with the wave, whose evidence begins anew.")
_action("abort", "Stop: whoever has the base returns to the one before.")
_action("roll-back", "Undo a rollout that is done.")
_action("retry", "Let the devices that failed try again.")


@rollout.command("list")
@as_json
@click.pass_obj
def list_rollouts(settings: Settings, *, as_json: bool) -> None:
    """List all rollouts."""

    def lines(found: list[dict[str, Any]]) -> list[str]:
        return [f"{o['id']}  {o['phase']}  wave {o['wave'] + 1} of {o['waves']}  {o['digest'][:12]}" for o in found]

    with settings.client() as api:
        show(list(api.items("/rollouts")), lines, as_json=as_json)


@rollout.command("show")
@click.argument("name")
@as_json
@click.pass_obj
def show_rollout(settings: Settings, name: str, *, as_json: bool) -> None:
    """Tell where a rollout stands: what it waits for, and what would stop it."""
    from acclimate_hub.rollout import Explanation

    with settings.client() as api:
        found = api.get(f"/rollouts/{part(name)}")
        show(found, lambda answer: told(msgspec.convert(answer["explanation"], Explanation)), as_json=as_json)


def told(explanation: "Explanation") -> list[str]:
    """Return an explanation as lines."""
    devices = ", ".join(f"{count} {state}" for state, count in explanation.devices.items()) or "none yet"
    waits = [f"  [{'x' if item.met else ' '}] {item.sentence}" for item in explanation.waits_for]
    stops = [f"  [{'!' if item.met else ' '}] {item.sentence}" for item in explanation.stops_if]
    return [explanation.headline, f"devices: {devices}", *waits, *stops, *([explanation.last] * bool(explanation.last))]
