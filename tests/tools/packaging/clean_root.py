"""A Debian of its own below a folder: made by mmdebstrap, entered by chroot, without a network.

Only ``/proc`` is mounted. What a command leaves behind is told by a census of the tree: what each name is, its mode,
and the digest of its content.
"""

import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools.packaging.programs import needs

# What apt and dpkg write about themselves, and what is not on the disk.
_NOT_COUNTED = ("proc", "sys", "dev", "tmp", "var/cache/apt", "var/lib/apt", "var/lib/dpkg", "var/log")
SUITE = "bookworm"  # its Python is 3.11


class CleanRoot:
    """A root that is thrown away."""

    def __init__(self, folder: Path, include: str = "python3") -> None:
        """Make it; needs root, mmdebstrap and an archive of Debian."""
        self.folder = folder
        words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={include}", SUITE, str(folder)]
        subprocess.run(words, check=True, capture_output=True)

    def words(self, *command: str) -> list[str]:
        """Return the words that run a command inside, without a network."""
        return [
            "unshare",
            "--net",
            "chroot",
            str(self.folder),
            "/usr/bin/env",
            "-i",
            "PATH=/usr/sbin:/usr/bin",
            *command,
        ]

    def run(self, *command: str) -> str:
        """Run a command inside; return what it printed."""
        environment = ["LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "HOME=/root"]
        done = subprocess.run(self.words(*environment, *command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start a command inside."""
        quiet = subprocess.DEVNULL
        return subprocess.Popen(self.words("LC_ALL=C.UTF-8", "HOME=/root", *command), stdout=quiet, stderr=quiet)

    def census(self) -> dict[str, str]:
        """Return what every name of the tree is."""
        found = {}
        for folder, folders, files in os.walk(self.folder):
            here = Path(folder).relative_to(self.folder)
            folders[:] = [name for name in folders if str(here / name) not in _NOT_COUNTED]
            for name in [*folders, *files]:
                found[str(here / name)] = _what(self.folder / here / name)
        return found

    def holds(self, path: str) -> bool:
        """Return whether something is there, a link included."""
        return os.path.lexists(self.folder / path)


def _what(path: Path) -> str:
    info = path.lstat()
    mode = f"{info.st_mode:o} {info.st_uid}:{info.st_gid}"
    if stat.S_ISLNK(info.st_mode):
        return f"{mode} -> {path.readlink()}"
    return f"{mode} {hashlib.sha256(path.read_bytes()).hexdigest()}" if stat.S_ISREG(info.st_mode) else mode


def changed(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """Return names whose what is another: before and after."""
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


@contextmanager
def clean_root(folder: Path) -> Iterator[CleanRoot]:
    """Yield a root with ``/proc``, or skip where it cannot be made."""
    needs("mmdebstrap", "unshare", "chroot", "dpkg-deb")
    if os.geteuid() != 0:
        pytest.skip("only root may enter another root")
    root = CleanRoot(folder)
    subprocess.run(["mount", "-t", "proc", "proc", str(folder / "proc")], check=True)  # noqa: S607
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", str(folder / "proc")], check=True)  # noqa: S607


def options(command: Sequence[str]) -> list[str]:
    """Return the words of apt for one that asks nothing and recommends nothing."""
    return ["apt-get", "--yes", "--quiet", "--no-install-recommends", *command]
