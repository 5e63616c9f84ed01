"""Commands about claim tokens, API tokens and certificates; each is one call of the API."""

import time
from typing import Any

import click

from acclimate_hub.cli_access import Settings, as_json, list_items, part, post, show
from acclimate_hub.limits import DAY_S

HOUR_S = 3600.0


@click.group()
def claim() -> None:
    """Claim tokens, with which devices enrol."""


@claim.command("create")
@click.option("--cohort", default="default", show_default=True)
@click.option("--uses", type=int, default=1, show_default=True, help="How many devices may enrol with it.")
@click.option("--hours", type=float, default=24.0, show_default=True, help="How long it is valid.")
@click.option("--device", "devices", multiple=True, help="Only this device; may be repeated.")
@as_json
@click.pass_obj
def create_claim(
    settings: Settings, cohort: str, uses: int, hours: float, devices: tuple[str, ...], *, as_json: bool
) -> None:
    """Make a claim token and print it, once.

    \b
    Example:
      acclimate-hub claim create --device gw-1
    """  # noqa: D301
    wish = {"cohort": cohort, "max_uses": uses, "expires_s": time.time() + hours * HOUR_S, "allowed": devices}
    with settings.client() as api:
        show(api.send("POST", "/claims", wish), _secret, as_json=as_json)


@claim.command("list")
@as_json
@click.pass_obj
def list_claims(settings: Settings, *, as_json: bool) -> None:
    """List claim tokens, without their secrets."""
    list_items(settings, "/claims", "claim", "cohort", "uses", "max_uses", "expires_s", "revoked_s", json=as_json)


@claim.command("revoke")
@click.argument("claim_id", metavar="ID")
@as_json
@click.pass_obj
def revoke_claim(settings: Settings, claim_id: str, *, as_json: bool) -> None:
    """Let a claim token enrol no more; devices that it has enrolled stay."""
    post(settings, f"/claims/{part(claim_id)}/revoke", json=as_json)


@click.group()
def token() -> None:
    """API tokens: who may call the hub, and what for."""


@token.command("create")
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--scope", type=click.Choice(["viewer", "operator", "releaser", "admin"]), default="viewer", show_default=True
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True), default=90.0, show_default=True)
@as_json
@click.pass_obj
def create_token(settings: Settings, name: str, scope: str, days: float, *, as_json: bool) -> None:
    """Make an API token and print it, once.

    \b
    Example:
      (umask 077; acclimate-hub token create --name ann --scope operator > ann.token)
    """  # noqa: D301
    wish = {"name": name, "scope": scope, "expires_s": time.time() + days * DAY_S}
    with settings.client() as api:
        show(api.send("POST", "/tokens", wish), _secret, as_json=as_json)


@token.command("list")
@as_json
@click.pass_obj
def list_tokens(settings: Settings, *, as_json: bool) -> None:
    """List API tokens, without their secrets."""
    list_items(settings, "/tokens", "token", "name", "scope", "expires_s", "revoked_s", json=as_json)


@token.command("revoke")
@click.argument("token_id", metavar="ID")
@as_json
@click.pass_obj
def revoke_token(settings: Settings, token_id: str, *, as_json: bool) -> None:
    """Let an API token open nothing more."""
    post(settings, f"/tokens/{part(token_id)}/revoke", json=as_json)


@click.group()
def certificate() -> None:
    """Certificates of devices."""


@certificate.command("list")
@as_json
@click.pass_obj
def list_certificates(settings: Settings, *, as_json: bool) -> None:
    """List certificates of devices; with --json as PEM, too."""
    list_items(settings, "/certificates", "serial", "name", "expires_s", "revoked_s", json=as_json)


@certificate.command("revoked")
@click.pass_obj
def revocationlist_items(settings: Settings) -> None:
    """Sign a new list of revoked certificates and print it as PEM, for a broker."""
    with settings.client() as api:
        click.echo(api.send("POST", "/revocation-list", keyed=False), nl=False)


def _secret(answer: dict[str, Any]) -> list[str]:
    return [answer["token"]]
