"""Commands about the lineage of the fleet and the audit log; each is one call of the API."""

from typing import Any

import click

from acclimate_hub.cli_access import DEVICES, Settings, as_json, columns, list_items, part, show


@click.group()
def lineage() -> None:
    """The lineage of the fleet: what came from what, and who runs it."""


@lineage.command("list")
@click.option("--device", "name", help='Versions of this device; "": releases; default: of all.')
@as_json
@click.pass_obj
def list_versions(settings: Settings, name: str | None, *, as_json: bool) -> None:
    """List versions."""
    list_items(settings, "/lineage", "digest", "device", "kind", "version", "time_s", json=as_json, device=name)


@lineage.command("show")
@click.argument("digest")
@as_json
@click.pass_obj
def family(settings: Settings, digest: str, *, as_json: bool) -> None:
    """Show what a version or a release came from, and what came of it."""

    def lines(found: dict[str, Any]) -> list[str]:
        return [f"{kin[:-1]}  {one}" for kin in ("ancestors", "descendants") for one in found[kin]]

    with settings.client() as api:
        show(api.get(f"/lineage/{part(digest)}"), lines, as_json=as_json)


@lineage.command("devices")
@click.argument("digest")
@as_json
@click.pass_obj
def running(settings: Settings, digest: str, *, as_json: bool) -> None:
    """List the devices that run a descendant of a release.

    \b
    Example:
      acclimate-hub lineage devices 3f...9a
    """  # noqa: D301
    with settings.client() as api:
        show(list(api.items(f"/lineage/{part(digest)}/devices")), DEVICES, as_json=as_json)


@click.group()
def audit() -> None:
    """The log of who did what."""


@audit.command("list")
@click.option("--after", type=click.IntRange(min=0), default=0, show_default=True, help="From the place behind it on.")
@as_json
@click.pass_obj
def list_acts(settings: Settings, after: int, *, as_json: bool) -> None:
    """List who did what, oldest first.

    \b
    Example:
      acclimate-hub audit list --after 1200
    """  # noqa: D301
    with settings.client() as api:
        found = list(api.items("/audit", after=str(after)))
        show(found, columns("place", "time_s", "actor", "action", "object", "detail"), as_json=as_json)


@audit.command("verify")
@click.option("--head", default="", help="A head that was kept elsewhere.")
@as_json
@click.pass_obj
def verify(settings: Settings, head: str, *, as_json: bool) -> None:
    """Check the whole chain; print how long it is, and its head."""
    with settings.client() as api:
        found = api.get("/audit/verification", head=head or None)
        show(found, lambda answer: [f"{answer['entries']} entries, head {answer['head']}"], as_json=as_json)
