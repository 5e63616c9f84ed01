"""A folder as an author hands it over, made by the commands that people type."""

from pathlib import Path

from click.testing import CliRunner

from acclimate_tools.author.cli import main


def author(*words: str | Path) -> None:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output


def signed(place: Path, snapshot: str | Path, timestamp: str | Path, data: bytes) -> Path:
    """Sign one bundle as a release, for a hub with these public keys; return the folder to publish."""
    keys, phrase, bundle, folder = (place / name for name in ("keys", "phrase", "pump.bundle", "fleet"))
    phrase.write_text("a long passphrase")
    bundle.write_bytes(data)
    for name in ("r1", "r2", "r3", "t"):
        author("keys", "new", keys / name, "--passphrase-file", phrase)
    roots = [word for at in (1, 2, 3) for word in ("--root", keys / f"r{at}.pub.json")]
    author("release", "init", folder, *roots, "--targets", keys / "t.pub.json", "--snapshot", snapshot, "--timestamp",
           timestamp)  # fmt: skip
    for name in ("r1", "r2", "t"):
        author("release", "sign", folder, "--key", keys / f"{name}.pem", "--passphrase-file", phrase)
    author("release", "add", folder, bundle)
    author("release", "sign", folder, "--key", keys / "t.pem", "--passphrase-file", phrase)
    return folder
