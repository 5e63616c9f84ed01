"""Commands about releases and rollouts, on the hub's own machine."""

import getpass
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from acclimate_shared.errors import UsageError
from acclimate_shared.waves import NO_BASE

if TYPE_CHECKING:
    from acclimate_hub.hub import Hub
    from acclimate_hub.rollout import Explanation, Rollout

TENANT = "main"
_tenant = click.option("--tenant", default=TENANT, show_default=True)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_who = click.option("--who", default=getpass.getuser, help="Who does it, for the record; default: you.")
_why = click.option("--why", required=True, help="Why, for the record.")


def _note(hub: "Hub", tenant: str, who: str, action: str, name: str, why: str) -> None:
    """Write an act into the audit log."""
    from acclimate_hub.store import audit

    act = audit.Act(actor=f"cli:{who}", action=f"rollout.{action}", object=name, detail={"why": why})
    with hub.database.write() as connection:
        audit.record(connection, tenant, act, hub.now())


def _json(found: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(found)))


@click.group()
def release() -> None:
    """Releases: what an author has signed, and what this hub serves of it."""


@release.command()
@_tenant
@click.pass_obj
def keys(settings: Any, tenant: str) -> None:  # noqa: ANN401 (the settings of the group)
    """Print the files of this hub's public keys, for `acclimate-author release init`.

    \b
    Example:
      acclimate-author release init ./fleet --snapshot $(acclimate-hub release keys | head -1) ...
    """  # noqa: D301
    hub = settings.hub()
    shelf = hub.shelf(tenant, settings.folder)
    for role in ("snapshot", "timestamp"):
        click.echo(shelf.keys / f"{role}.pub.json")
    hub.close()


@release.command()
@click.argument("fleet", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_tenant
@click.pass_obj
def publish(settings: Any, fleet: Path, tenant: str) -> None:  # noqa: ANN401
    """Verify what an author has signed in FLEET, and serve it to the devices.

    \b
    Example:
      acclimate-hub release publish ./fleet
    """  # noqa: D301
    from acclimate_hub.releases.author_files import read_fleet
    from acclimate_hub.releases.record import note

    hub = settings.hub()
    listed = hub.shelf(tenant, settings.folder).publish(*read_fleet(fleet))
    note(hub, tenant, listed, actor="cli")
    hub.close()
    for one in listed:
        click.echo(f"{one.release.model} {one.release.version}  {one.digest}")


@release.command("list")
@_tenant
@_as_json
@click.pass_obj
def list_releases(settings: Any, tenant: str, *, as_json: bool) -> None:  # noqa: ANN401
    """List what signed metadata list now."""
    hub = settings.hub()
    listed = hub.shelf(tenant, settings.folder).listed()
    hub.close()
    if as_json:
        _json([{"model": o.release.model, "version": o.release.version, "digest": o.digest} for o in listed])
        return
    for one in listed:
        click.echo(f"{one.release.model} {one.release.version}  {one.digest}  {one.length:,} bytes")


@click.group()
def rollout() -> None:
    """Rollouts: a released base goes to the fleet in waves, each of which must earn the next by evidence."""


@rollout.command()
@click.argument("name")
@click.option("--digest", required=True, help="Of the released base, 64 hex digits.")
@click.option("--previous", default=NO_BASE, help="Of the base to return to; default: what came with the agent.")
@click.option("--cohort", "cohorts", multiple=True, default=["default"], show_default=True, help="May be repeated.")
@click.option("--plan", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON; default: built in.")
@click.option("--salt", default="", help="Decides who goes first; default: a random one.")
@_tenant
@_who
@click.pass_obj
def draft(settings: Any, /, name: str, plan: Path | None, tenant: str, **facts: Any) -> None:  # noqa: ANN401
    """Draft a rollout NAME; another person approves it.

    \b
    Examples:
      acclimate-hub rollout draft pump-1.3 --digest 3f...9a --cohort default
      acclimate-hub rollout approve pump-1.3 --why "the trial was good"
      acclimate-hub rollout start pump-1.3 --why "calm week"
    """  # noqa: D301
    from acclimate_hub.rollout import RolloutPlan

    hub = settings.hub()
    if facts["digest"] not in {one.digest for one in hub.shelf(tenant, settings.folder).listed()}:
        remedy = "publish it first: acclimate-hub release publish"
        raise UsageError("no such release is signed", field="digest", value=facts["digest"], remedy=remedy)
    chosen = RolloutPlan.from_json(plan.read_bytes()) if plan else RolloutPlan()
    salt = facts.pop("salt") or secrets.token_hex(8)
    who = facts.pop("who")
    hub.rollouts(tenant).create(name, chosen, author=who, salt=salt, **facts)
    _note(hub, tenant, who, "draft", name, "drafted")
    hub.close()
    click.echo(f"{name} is drafted: {len(chosen.waves)} waves")


def _action(name: str, words: str, does: "Callable[[Any, str, str, str], Rollout]") -> None:
    @rollout.command(name, help=words)
    @click.argument("rollout_name", metavar="NAME")
    @_tenant
    @_who
    @_why
    @click.pass_obj
    def act(settings: Any, rollout_name: str, tenant: str, who: str, why: str) -> None:  # noqa: ANN401
        hub = settings.hub()
        found = does(hub.rollouts(tenant), rollout_name, who, why)
        _note(hub, tenant, who, name, rollout_name, why)
        hub.close()
        click.echo(f"{found.id}: {found.phase}")


_action("approve", "Approve a draft.", lambda all_, *words: all_.approve(*words))
_action("start", "Open the first wave.", lambda all_, *words: all_.start(*words))
_action("pause", "Let no further device begin.", lambda all_, *words: all_.pause(*words))
_action("resume", "Go on with the wave, whose evidence begins anew.", lambda all_, *words: all_.resume(*words))
_action("abort", "Stop: whoever has the base returns to the one before.", lambda all_, *words: all_.abort(*words))
_action("roll-back", "Undo a rollout that is done.", lambda all_, *words: all_.roll_back(*words))
_action("retry", "Let the devices that failed try again.", lambda all_, *words: all_.retry(*words))


@rollout.command("list")
@_tenant
@_as_json
@click.pass_obj
def list_rollouts(settings: Any, tenant: str, *, as_json: bool) -> None:  # noqa: ANN401
    """List all rollouts."""
    hub = settings.hub()
    found = hub.rollouts(tenant).all()
    hub.close()
    if as_json:
        _json([{"name": one.id, "phase": one.phase, "wave": one.wave, "digest": one.digest} for one in found])
        return
    for one in found:
        click.echo(f"{one.id}  {one.phase}  wave {one.wave + 1} of {len(one.plan.waves)}  {one.digest[:12]}")


@rollout.command()
@click.argument("name")
@_tenant
@_as_json
@click.pass_obj
def show(settings: Any, name: str, tenant: str, *, as_json: bool) -> None:  # noqa: ANN401
    """Tell where a rollout stands: what it waits for, and what would stop it."""
    from acclimate_hub.serve import desks_of

    hub = settings.hub()
    desk = desks_of(hub)(tenant)
    explanation = desk.explanation(desk.get(name))
    hub.close()
    if as_json:
        _json(explanation)
        return
    for line in told(explanation):
        click.echo(line)


def told(explanation: "Explanation") -> list[str]:
    """Return an explanation as lines."""
    devices = ", ".join(f"{count} {state}" for state, count in explanation.devices.items()) or "none yet"
    waits = [f"  [{'x' if item.met else ' '}] {item.sentence}" for item in explanation.waits_for]
    stops = [f"  [{'!' if item.met else ' '}] {item.sentence}" for item in explanation.stops_if]
    return [explanation.headline, f"devices: {devices}", *waits, *stops, *([explanation.last] * bool(explanation.last))]
