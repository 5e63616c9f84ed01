"""A Debian of its own below a folder, with Python and make and nothing else, in which a user without rights works.

What this machine tells pip (its configuration, its certificates) is told inside too, or nothing could be installed.
"""

import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from acclimate_shared.errors import MissingError, UsageError

SUITE = "bookworm"  # its Python is the oldest that is supported
PACKAGES = "python3,python3-venv,make,ca-certificates"
USER, HOME = "newcomer", "/home/newcomer"
CHECKOUT = f"{HOME}/acclimate"
PROGRAMS = ("mmdebstrap", "chroot", "mount", "umount", "git")
TOLD = ("PIP_", "SSL_CERT_", "REQUESTS_CA_")  # variables of the environment that are handed on
CONFIGURED = ("/etc/pip.conf", "/etc/xdg/pip", "/etc/ssl/certs/ca-certificates.crt")
OUTPUT_BYTES = 4000  # of what a step printed that are kept, from its end


class Room:
    """A clean root with the checkout in a user's home."""

    def __init__(self, folder: Path) -> None:
        """Enter one that ``room`` has made."""
        self.folder = folder

    def run(self, script: str, within_s: float) -> tuple[int, float, str]:
        """Run a script of sh as the user, in the checkout.

        Args:
            script: it ends at the first command that fails.
            within_s: seconds after which it is ended.

        Returns:
            How it ended (124: too slow), the seconds that it took, and the last of what it printed.
        """
        told = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(TOLD)]
        inside = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", f"HOME={HOME}", "LC_ALL=C.UTF-8", "COLUMNS=100", *told]
        words = ["timeout", str(within_s), "chroot", f"--userspec={USER}", str(self.folder), *inside]
        begun = time.monotonic()
        done = subprocess.run(  # noqa: S603 (our own steps)
            [*words, "sh", "-ec", f"cd {CHECKOUT}\n{script}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        said = done.stdout[-OUTPUT_BYTES:].decode("utf-8", "replace")
        return done.returncode, time.monotonic() - begun, said


@contextmanager
def room(folder: Path, checkout: Path, lent: Sequence[Path] = ()) -> Iterator[Room]:
    """Make a root with what is committed in a checkout; unmount everything at the end.

    Args:
        folder: new.
        checkout: of git; its HEAD is taken.
        lent: folders of this machine that can be read inside under the same name, such as one of wheels.

    Raises:
        MissingError: a program that this needs is not there.
        UsageError: not root, or the root cannot be made.
    """
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise MissingError("programs are missing", field="PATH", value=missing, remedy="install them")
    if os.geteuid() != 0:
        raise UsageError("only root may make another root", field="user", value=os.geteuid(), remedy="run as root")
    _call("mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(folder))
    for path in map(Path, CONFIGURED):
        if path.exists():
            _copy(path, folder / path.relative_to("/"))
    (folder / "etc" / "hosts").write_text("127.0.0.1 localhost\n", encoding="ascii")
    own = Path.home() / ".config" / "pip"
    if own.exists():
        _copy(own, folder / HOME[1:] / ".config" / "pip")
    _call("chroot", str(folder), "useradd", "--home-dir", HOME, "--shell", "/bin/sh", USER)
    with (folder / "checkout.tar").open("w+b") as packed:
        subprocess.run(["git", "archive", "HEAD"], cwd=checkout, stdout=packed, check=True)  # noqa: S607
        packed.seek(0)
        with tarfile.open(fileobj=packed) as archive:
            archive.extractall(folder / CHECKOUT[1:], filter="data")
    (folder / "checkout.tar").unlink()
    _call("chroot", str(folder), "chown", "-R", f"{USER}:", HOME)
    with ExitStack() as stack:
        _mount(stack, folder / "proc", "-t", "proc", "proc")
        _mount(stack, folder / "dev" / "shm", "-t", "tmpfs", "-o", "mode=1777", "tmpfs")  # as every machine has it
        for path in lent:
            _mount(stack, folder / path.resolve().relative_to("/"), "--bind", "-o", "ro", str(path))
        yield Room(folder)


def _mount(stack: ExitStack, at: Path, *what: str) -> None:
    at.mkdir(parents=True, exist_ok=True)
    _call("mount", *what, str(at))
    stack.callback(_call, "umount", "--lazy", str(at))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def _call(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 (names of our own)
    if done.returncode:
        raise UsageError(f"{words[0]} failed: {done.stderr.strip()[-500:]}", field=words[0], value=done.returncode)
