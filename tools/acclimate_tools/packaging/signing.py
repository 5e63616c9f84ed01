"""Signing of bundles, by the commands that a person would type: ``acclimate-author keys`` and ``release``."""

import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from acclimate_shared.bundle import digest_of
from acclimate_shared.durable import write_file
from acclimate_shared.errors import UsageError
from acclimate_tools.author.cli import main as author_main

ROOTS = ("root-1", "root-2", "root-3")
NAMES = (*ROOTS, "targets", "snapshot", "timestamp")


@dataclass(frozen=True, slots=True)
class Keys:
    """A folder with ``NAME.pem`` and ``NAME.pub.json`` for each of NAMES, and a file with their passphrase."""

    folder: Path
    passphrase_file: Path

    def __post_init__(self) -> None:
        """Check that all are there.

        Raises:
            UsageError: naming the first that is not.
        """
        for name in NAMES:
            for path in (self.public(name), self.secret(name)):
                if not path.is_file():
                    remedy = f"make it: acclimate-author keys new {self.folder / name}"
                    raise UsageError("a key is missing", field="keys", value=str(path), remedy=remedy)

    @classmethod
    def for_tests(cls, folder: Path) -> "Keys":
        """Return new keys that lie in a folder, with their passphrase beside them: they protect nothing."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        phrase = folder / "passphrase"
        write_file(phrase, secrets.token_hex(16).encode())
        for name in NAMES:
            author(["keys", "new", str(folder / name), "--passphrase-file", str(phrase)])
        return cls(folder, phrase)

    def public(self, name: str) -> Path:
        """Return the file of a public key."""
        return self.folder / f"{name}.pub.json"

    def secret(self, name: str) -> Path:
        """Return the file of a secret key."""
        return self.folder / f"{name}.pem"


def author(words: Sequence[str]) -> str:
    """Run a command of acclimate-author in this process; return what it printed.

    Raises:
        UsageError: it refused; with what it said.
    """
    out, said = StringIO(), StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(said):
            author_main.main(list(words), standalone_mode=False)
    except SystemExit as exc:
        if exc.code:
            raise UsageError(f"acclimate-author {words[0]}: {said.getvalue().strip()}", field="command") from exc
    return out.getvalue()


def release(fleet: Path, bundles: Mapping[str, Path], keys: Keys) -> None:
    """Release bundles in the author's repository, and export an update file beside each.

    A repository that is there goes on: bundles that it lists already are only exported again.

    Args:
        fleet: folder of the repository.
        bundles: file of each, by name.
        keys: that sign.

    Raises:
        UsageError: a command refused.
    """
    phrase = ["--passphrase-file", str(keys.passphrase_file)]
    if not (fleet / "metadata" / "1.root.json").is_file():
        words = [word for name in ROOTS for word in ("--root", str(keys.public(name)))]
        for role in ("targets", "snapshot", "timestamp"):
            words += [f"--{role}", str(keys.public(role))]
        author(["release", "init", str(fleet), *words])
        for name in (*ROOTS[:2], "targets"):
            author(["release", "sign", str(fleet), "--key", str(keys.secret(name)), *phrase])
    listed = author(["release", "list", str(fleet)])
    for path in bundles.values():
        if digest_of(path.read_bytes()) not in listed:
            author(["release", "add", str(fleet), str(path)])
            author(["release", "sign", str(fleet), "--key", str(keys.secret("targets")), *phrase])
    hub = ["--snapshot", str(keys.secret("snapshot")), "--timestamp", str(keys.secret("timestamp"))]
    for path in bundles.values():
        out = ["--out", str(path.with_suffix(".update"))]
        author(["release", "export", str(fleet), digest_of(path.read_bytes()), *hub, *out, *phrase])
