"""The command that joins a device to a fleet."""

import time
from contextlib import closing
from pathlib import Path

import click

from acclimate_shared.errors import UsageError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--hub", required=True, metavar="HOST:PORT", help="Where the hub's broker listens for devices.")
@click.option("--token-file", required=True, type=_FILE, help="File with the claim token.")
@click.option("--ca", type=_FILE, help="The hub's ca.crt; default: in the token file.")
@click.option("--credential", type=_FILE, help="The hub's claim.crt and claim.key in one file; default: likewise.")
@click.option("--state", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the agent.")
@click.option("--device", metavar="ID", help="Id to ask for, of a-z, 0-9 and -; default: the name of this machine.")
@click.option("--root", type=_FILE, help="The first 1.root.json of your releases; trusted from then on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def enrol(
    hub: str,
    token_file: Path,
    ca: Path | None,
    credential: Path | None,
    state: Path,
    device: str | None,
    root: Path | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Join a hub: a key is made here, and the hub gives a certificate for it. Then `acclimate run` keeps in touch.

    \b
    Examples:
      cat ca.crt claim.crt claim.key token > claim.txt
      acclimate enrol --hub hub.example:8883 --token-file claim.txt --state ./state --device pump-7
    """  # noqa: D301
    from acclimate_device.fleet_rows import FleetRows
    from acclimate_device.outputs import to_json
    from acclimate_device.store import Store
    from acclimate_device.sync import enrol as joining
    from acclimate_device.sync.identity import context
    from acclimate_device.sync.link import mqtt_link
    from acclimate_device.sync.update import Places, trust_root
    from acclimate_device.sync.wire import Address

    host, _, port = hub.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UsageError("a hub is HOST:PORT", field="hub", value=hub)
    if root is not None:
        trust_root(Places.under(state), root)
    files = (token_file, ca or token_file, credential or token_file)
    token, authority, shown = (path.read_text(encoding="utf-8", errors="replace") for path in files)
    claim = joining.claim_of(token, authority, shown)
    with closing(Store(state)) as store:
        rows = FleetRows(store)
        fresh = joining.begin(rows, claim, host, int(port), device or joining.name_of_machine(), time.time())
        tls = context(claim.ca, claim.certificate, claim.key)
        address = Address(host=host, port=int(port), client=f"claim-{fresh.device}"[:60], lasting=False)
        with closing(mqtt_link(address, credentials=lambda: tls)) as link:
            done = joining.enrol(rows, fresh, claim, link)
    told = {"device": done.device, "tenant": done.tenant, "cohort": done.cohort, "hub": hub}
    if as_json:
        click.echo(to_json(told), nl=False)
    else:
        click.echo(f"{done.device} is enrolled in cohort {done.cohort}; `acclimate run --state {state}` keeps in touch")
