"""``acclimate-hub``: sets a hub up, serves it, writes the broker's configuration, copies the database, asks the API.

Exit codes: 0 done, 1 refused, 2 wrong options, 3 the hub, its database or the broker does not answer.
"""

import contextlib
import json
import logging
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import click

from acclimate_hub.cli_access import Settings, options
from acclimate_hub.cli_aliases import alias
from acclimate_hub.cli_devices import cohort, device
from acclimate_hub.cli_identity import certificate, claim, token
from acclimate_hub.cli_records import audit, lineage
from acclimate_hub.cli_rollouts import release, rollout
from acclimate_hub.identity.broker_config import CONFIG, HUB_PORT, LISTEN, PORT, Broker
from acclimate_hub.limits import DAY_S
from acclimate_shared.errors import AcclimateError, LinkError, UsageError

MANY = 20  # devices of a cohort that hide each single one


class _Group(click.Group):
    """Turns our errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 (click's signature)
        try:
            return super().invoke(ctx)
        except AcclimateError as exc:
            click.echo(f"acclimate-hub: {exc}", err=True)
            sys.exit(2 if isinstance(exc, UsageError) else 3 if isinstance(exc, LinkError) else 1)


@click.group(cls=_Group)
@options
@click.option("--verbose", is_flag=True, help="Say what happens.")
@click.pass_context
def main(context: click.Context, /, *, verbose: bool, **given: Any) -> None:  # noqa: ANN401 - click's
    """The hub of a fleet: enrol devices, observe them, release to them.

    Commands about the fleet work on the hub of this machine, or with --hub on one elsewhere, over its API.

    \b
    Examples:
      acclimate-hub device list
      acclimate-hub --hub https://hub.example:8080 --ca ca.crt --token-file ann.token rollout show pump-1.3
    """  # noqa: D301
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(message)s")
    context.obj = Settings(**given)


@main.command()
@click.pass_obj
def init(settings: Settings) -> None:
    """Make the database, the secret and a tenant with its authority; print an admin's API token.

    \b
    Example:
      (umask 077; acclimate-hub init > admin-token)
    """  # noqa: D301
    from acclimate_hub.hub import Hub
    from acclimate_hub.identity import api_tokens

    url, tenant = settings.url, settings.own
    settings.folder.mkdir(parents=True, exist_ok=True)
    hub = Hub.create(url, settings.secret, time.time)
    hub.create_tenant(tenant, settings.actor)
    with hub.database.write() as connection:
        wish = api_tokens.Wish(name="first", scope="admin", expires_s=hub.now() + 365 * DAY_S)
        made = api_tokens.create(connection, tenant, wish, settings.actor, hub.now())
    hub.close()
    click.echo(f"tenant {tenant} is ready; keep {settings.secret} apart from copies of the database", err=True)
    click.echo(made.text)


@main.command("broker-config")
@click.argument("kind", type=click.Choice(["mosquitto"]))
@click.option("--out", type=click.Path(path_type=Path), default=Path("broker"), show_default=True, help="To write to.")
@click.option("--host", "hosts", multiple=True, required=True, help="Name that devices connect to; may be repeated.")
@click.option("--listen", default=LISTEN, show_default=True, help="Address that the broker listens at.")
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True)
@click.option("--hub-port", type=click.IntRange(0, 65535), default=HUB_PORT, show_default=True, help="0: none.")
@click.pass_obj
def broker_config(settings: Settings, /, kind: str, out: Path, **options: Any) -> None:  # noqa: ANN401 - click's
    """Write the configuration of a broker: access rules, certificates, revoked ones; repeat it after a revocation."""
    hub = settings.hub()
    place = PurePosixPath(out.resolve().as_posix())
    ports = {"host": options["listen"], "port": options["port"], "hub_port": options["hub_port"]}
    broker = Broker(tenant=settings.own, folder=place, **ports)
    for path in hub.write_broker(broker, out, options["hosts"], settings.actor):
        click.echo(path)
    hub.close()
    click.echo(f"start it with: {kind} -c {place}/{CONFIG}; after a change send it SIGHUP", err=True)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the API.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--broker", default="", help="HOST:PORT of the broker's listener for the hub; empty: the API alone.")
@click.option("--certificates", type=click.Path(path_type=Path), default=Path("broker"), show_default=True,
              help="Folder that broker-config has written.")  # fmt: skip
@click.option(
    "--blobs", default="", help="URL of the bundles, such as s3://BUCKET/PATH; default: the folder of --data."
)
@click.option("--reload", default="", help="Command by which the broker reads revoked.crl again.")
@click.option("--certificate", type=click.Path(path_type=Path), help="Of API and pages (PEM), with --key: TLS.")
@click.option("--key", type=click.Path(path_type=Path), help="Of that certificate.")
@click.option("--least-devices", type=click.IntRange(min=1), default=20, show_default=True, help="A cohort view needs.")
@click.pass_obj
def serve(settings: Settings, /, host: str, port: int, **options: Any) -> None:  # noqa: ANN401 - click's
    """Serve the API, and the devices at a broker.

    Without --certificate there is no TLS: for this machine alone, or behind what ends TLS.

    \b
    Example:
      acclimate-hub serve --host 0.0.0.0 --certificate broker/broker.crt --key broker/broker.key --broker localhost:8884
    """  # noqa: D301
    from acclimate_hub.serve import Plan, serve_forever

    if options["least_devices"] < MANY:
        click.echo(f"views of cohorts of {options['least_devices']} devices may show single ones", err=True)
    plan = Plan(host=host, port=port, tenant=settings.own, data=settings.folder, **options)
    serve_forever(settings.hub(), plan)


@main.command()
@click.option(
    "--folder", type=click.Path(path_type=Path), help="For everything, new or empty; default: a scratch folder."
)
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Of pages and API.")
@click.option("--broker-port", type=click.IntRange(1, 65535), default=18883, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0), default=0.0, help="End so long after the rollout; 0: never.")
def demo(folder: Path | None, port: int, broker_port: int, seconds: float) -> None:
    """Start a broker, a hub and five devices on this machine, and roll a second base model out to them.

    \b
    Example:
      acclimate-hub demo
    """  # noqa: D301
    from acclimate_hub.demo import run

    with ExitStack() as scratch:
        place = folder or Path(scratch.enter_context(TemporaryDirectory(prefix="acclimate-demo-"))) / "site"
        with contextlib.suppress(KeyboardInterrupt):
            run(place, port=port, broker_port=broker_port, seconds=seconds, say=click.echo)


@main.command()
@click.option("--devices", type=click.IntRange(2, 10_000), default=50, show_default=True)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="For everything, new or empty; default: a scratch folder."
)
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Of pages and API.")
@click.option("--broker-port", type=click.IntRange(1, 65534), default=18883, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def simulate(devices: int, folder: Path | None, port: int, broker_port: int, *, as_json: bool) -> None:
    """Let simulated devices join a hub on this machine, roll a base out to them, and roll it back.

    Broker, hub and connections are real; Mosquitto is used where it is installed. Fails if a device does not follow,
    or if one of its messages is lost or taken twice.

    \b
    Example:
      acclimate-hub simulate --devices 300
    """  # noqa: D301
    from acclimate_hub.one_machine import Site
    from acclimate_hub.simulate import report, run

    with ExitStack() as scratch:
        place = folder or Path(scratch.enter_context(TemporaryDirectory(prefix="acclimate-simulate-"))) / "site"

        def say(text: str) -> None:
            click.echo(text, err=True)

        outcome = run(Site(folder=place.resolve(), port=port, broker_port=broker_port, devices=devices, say=say))
        click.echo(json.dumps(asdict(outcome)) if as_json else report(outcome))
    sys.exit(0 if outcome.good else 1)


for group in (device, cohort, claim, token, certificate, release, alias, rollout, lineage, audit):
    main.add_command(group)


@main.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def backup_command(settings: Settings, file: Path) -> None:
    """Copy the database to a file while it is used; the secret is not in it."""
    from acclimate_hub.store.backup import backup
    from acclimate_hub.store.database import Database

    database = Database.open(settings.url)
    click.echo(f"{backup(database, file, time.time())} rows")
    database.close()


@main.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def restore_command(settings: Settings, file: Path) -> None:
    """Fill a new, empty database from a copy."""
    from acclimate_hub.store.backup import restore
    from acclimate_hub.store.database import Database

    url = settings.url
    settings.folder.mkdir(parents=True, exist_ok=True)
    database = Database.open(url)
    click.echo(f"{restore(database, file)} rows")
    database.close()


if __name__ == "__main__":
    main()
