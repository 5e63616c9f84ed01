"""The command that takes a released bundle from a file."""

from pathlib import Path

import click

from acclimate_shared.errors import PackageError


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--state", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the agent.")
@click.option(
    "--root",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The first 1.root.json of your releases; needed once, and trusted from then on.",
)
@click.option("--retry", is_flag=True, help="Try a base again that has failed on this device.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def update(file: Path, state: Path, root: Path | None, retry: bool, as_json: bool) -> None:  # noqa: FBT001
    """Verify the update FILE and put its base model into the slot that is not current.

    FILE carries signed metadata and a bundle (acclimate-author release export). It is verified as if it had come over
    the network: signatures, versions, expiry, the hash of every chunk; then the bundle's sanity set is answered in a
    process of its own. An agent that runs takes the base up within seconds, as a challenger in a process of its own;
    what serves is decided by evidence. A base that crashes the agent, or fails its gates, three times is left out.

    \b
    Examples:
      acclimate update pump-1.3.update --state ./state --root 1.root.json
      acclimate update pump-1.4.update --state ./state
    """  # noqa: D301
    from acclimate_device.outputs import to_json
    from acclimate_device.slots import Bases
    from acclimate_device.sync.trial import run_trial
    from acclimate_device.sync.update import Places, facts_of_machine, receive_file, trust_root

    places = Places.under(state)
    if root is not None:
        trust_root(places, root)
    found = receive_file(file, places=places, facts=facts_of_machine())
    trial = run_trial(found.path, found.listed.digest)
    if not trial.passed:
        found.path.unlink()
        raise PackageError("the bundle fails its sanity set here", field="sanity", value=trial.reason)
    release, digest = found.listed.release, found.listed.digest
    slot = Bases(state).install(
        digest,
        found.bundle.package,
        model=release.model,
        version=release.version,
        needs=release.constraints,
        again=retry,
    )
    shown = {"model": release.model, "version": release.version, "digest": digest, "file": str(found.path)}
    shown["state"] = slot.state
    if as_json:
        click.echo(to_json(shown), nl=False)
    else:
        click.echo(f"{release.model} {release.version} is verified and takes part: {slot.state} ({digest[:12]})")
