"""The commands of the offline side: keys, and what they sign.

A passphrase is asked for, or read from a file; never from an option, where other users of the machine could see it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from acclimate_shared.errors import UsageError

if TYPE_CHECKING:
    from acclimate_tools.author.release.repository import AuthorRepository

ROLES = ("root", "targets", "snapshot", "timestamp")
_FOLDER = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
_PHRASE = click.option(
    "--passphrase-file", type=click.Path(path_type=Path), help="Its first line; default: you are asked."
)


def _phrase(file: Path | None, *, confirm: bool = False) -> str:
    if file is None:
        return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))
    try:
        return file.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError):
        raise UsageError("the passphrase cannot be read", field="--passphrase-file", value=str(file)) from None


def _repository(folder: Path) -> "AuthorRepository":
    from acclimate_tools.author.release.repository import AuthorRepository

    return AuthorRepository(folder)


def _now() -> datetime:
    return datetime.now(UTC)


@click.group()
def keys() -> None:
    """Signing keys: Ed25519 in files, encrypted with a passphrase."""


@keys.command("new")
@click.argument("path", type=click.Path(path_type=Path))
@_PHRASE
def new_key(path: Path, passphrase_file: Path | None) -> None:
    """Make the key pair PATH.pem (secret) and PATH.pub.json (for anybody).

    \b
    Example:
      acclimate-author keys new /media/stick/root-1
    """  # noqa: D301
    from acclimate_hub.releases import keys as files

    click.echo(files.new_key(path, _phrase(passphrase_file, confirm=True)).keyid)


@keys.command("show")
@click.argument("path", type=click.Path(path_type=Path))
def show_key(path: Path) -> None:
    """Print the id of a public key."""
    from acclimate_hub.releases import keys as files

    click.echo(files.load_public(path).keyid)


@click.group()
def release() -> None:
    """What a fleet may take: signed with keys that never leave you.

    \b
    A first release, keys on sticks of three people:
      acclimate-author release init ./fleet --root r1.pub.json --root r2.pub.json --root r3.pub.json \\
        --targets t.pub.json --snapshot hub-s.pub.json --timestamp hub-t.pub.json
      acclimate-author release sign ./fleet --key r1.pem        (and r2.pem, t.pem)
      acclimate-author release add ./fleet pump.bundle
      acclimate-author release sign ./fleet --key t.pem
    Then hand ./fleet/metadata and ./fleet/bundles to the hub.
    """  # noqa: D301


@release.command()
@_FOLDER
@click.option("--root", multiple=True, type=click.Path(path_type=Path), help="Public keys of root, three or more.")
@click.option("--targets", multiple=True, type=click.Path(path_type=Path), help="Public keys that sign releases.")
@click.option("--snapshot", required=True, type=click.Path(path_type=Path), help="Public key of the hub.")
@click.option("--timestamp", required=True, type=click.Path(path_type=Path), help="Public key of the hub.")
@click.option("--threshold", type=click.IntRange(1), default=2, show_default=True, help="Root keys that must sign.")
def init(
    folder: Path, root: tuple[Path, ...], targets: tuple[Path, ...], snapshot: Path, timestamp: Path, threshold: int
) -> None:
    """Stage the first root of trust in FOLDER."""
    from acclimate_hub.releases.keys import load_public
    from acclimate_tools.author.release.repository import AuthorRepository, Terms

    chosen = {"root": root, "targets": targets, "snapshot": (snapshot,), "timestamp": (timestamp,)}
    public = {role: [load_public(path) for path in paths] for role, paths in chosen.items()}
    AuthorRepository(folder, Terms(root_threshold=threshold)).init(public, _now())
    click.echo("staged: root 1 and targets 1; now sign them")


@release.command()
@_FOLDER
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def add(folder: Path, bundle: Path) -> None:
    """Stage the release of BUNDLE; its version follows from what was released before."""
    item = _repository(folder).add(bundle.read_bytes(), _now())
    click.echo(f"staged: {item.release.model} {item.release.version}  {item.digest}; now sign it with a key of targets")


@release.command()
@_FOLDER
@click.argument("digest")
def withdraw(folder: Path, digest: str) -> None:
    """Stage the withdrawal of the bundle with DIGEST: no device takes it from then on."""
    _repository(folder).withdraw(digest, _now())
    click.echo("staged; now sign it with a key of targets")


@release.command()
@_FOLDER
@click.argument("role", type=click.Choice(ROLES[:2]))
def renew(folder: Path, role: str) -> None:
    """Stage the next version of ROLE, unchanged but for its end."""
    _repository(folder).renew(role, _now())
    click.echo(f"staged; now sign it with keys of {role}")


@release.command()
@_FOLDER
@click.argument("role", type=click.Choice(ROLES))
@click.option("--add", "added", multiple=True, type=click.Path(path_type=Path), help="Public key to add.")
@click.option("--remove", multiple=True, metavar="KEYID", help="Id of a key to revoke.")
def rotate(folder: Path, role: str, added: tuple[Path, ...], remove: tuple[str, ...]) -> None:
    """Stage a root with other keys for ROLE; it needs enough old and enough new root keys."""
    from acclimate_hub.releases.keys import load_public

    if not added and not remove:
        raise UsageError("nothing to change", field="--add, --remove", remedy="name a key")
    _repository(folder).rotate(role, _now(), add=[load_public(path) for path in added], remove=remove)
    click.echo("staged; now sign it")


@release.command()
@_FOLDER
@click.option("--key", required=True, type=click.Path(path_type=Path), help="Secret key, PATH.pem.")
@_PHRASE
def sign(folder: Path, key: Path, passphrase_file: Path | None) -> None:
    """Sign whatever is staged in FOLDER and waits for this key."""
    from acclimate_hub.releases.keys import load_key

    for words in _repository(folder).sign(load_key(key, _phrase(passphrase_file))):
        click.echo(words)


@release.command()
@_FOLDER
def status(folder: Path) -> None:
    """Print what is signed, what is staged, and which keys count."""
    for name, words in _repository(folder).status().items():
        click.echo(f"{name:>18}  {words}")


@release.command("list")
@_FOLDER
def list_releases(folder: Path) -> None:
    """Print the signed releases."""
    for item in _repository(folder).listed():
        click.echo(f"{item.release.model} {item.release.version}  {item.digest}  {item.length:,} bytes")


@release.command()
@_FOLDER
@click.argument("digest")
@click.option("--snapshot", required=True, type=click.Path(path_type=Path), help="Secret key of the hub.")
@click.option("--timestamp", required=True, type=click.Path(path_type=Path), help="Secret key of the hub.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The update file.")
@_PHRASE
def export(folder: Path, digest: str, snapshot: Path, timestamp: Path, out: Path, passphrase_file: Path | None) -> None:
    """Write an update file with the release DIGEST, for devices that no hub reaches (acclimate update FILE).

    It is as good as its timestamp: seven days. Both keys are taken to have the same passphrase. Who runs a hub exports
    there: two places that sign with the same keys would count versions apart, and devices refuse the lower.
    """
    from acclimate_hub.releases.keys import load_key
    from acclimate_hub.releases.repository import Repository
    from acclimate_shared.durable import write_file
    from acclimate_shared.update_file import write_update

    author, phrase = _repository(folder), _phrase(passphrase_file)
    signers = load_key(snapshot, phrase), load_key(timestamp, phrase)
    hub = Repository(folder / "hub", snapshot=signers[0], timestamp=signers[1], clock=_now)
    listed = hub.accept(author.signed(), lambda known, size: author.bundle_path(known).stat().st_size == size)
    if digest not in [item.digest for item in listed]:
        raise UsageError("no such release", field="digest", value=digest, remedy="see: release list")
    write_file(out, write_update(hub.served(), author.bundle_path(digest).read_bytes()))
    click.echo(str(out))
