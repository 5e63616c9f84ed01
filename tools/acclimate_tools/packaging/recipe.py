"""The recipe of the Debian package: ``firmware_images/debian/package.toml``, typed, and the machine it is built for.

The package carries compiled libraries and bytecode, so it is for one minor version of Python: that of the interpreter
that builds it, which must be the one the lock file was made for.
"""

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

import acclimate_shared
from acclimate_shared.errors import UsageError

ROOT = Path(__file__).resolve().parents[3]
DEBIAN = ROOT / "firmware_images" / "debian"
HOME = Path("usr/lib/acclimate")  # of the interpreter and its libraries, below the root of a device

_PLATFORMS = {"amd64": "x86_64", "arm64": "aarch64"}
_GLIBC = ("2_28", "2_27", "2_17")  # manylinux tags, newest first; Debian 12 has glibc 2.36
_MACHINES = {"amd64": 62, "arm64": 183}  # e_machine of ELF: EM_X86_64, EM_AARCH64


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``package.toml`` says.

    Attributes:
        name: of the package.
        maintainer: name and address.
        section: of the archive.
        homepage: where its source is, empty for nowhere.
        summary: one line.
        description: paragraphs, separated by empty lines.
        depends: packages that it needs beside Python itself.
        most_bytes: the largest package that is accepted.
        drop: patterns of paths below the libraries that a device does not need.
        unused: distributions that others ask for and nobody calls.
    """

    name: str
    maintainer: str
    section: str
    homepage: str = ""
    summary: str
    description: str
    depends: tuple[str, ...]
    most_bytes: int
    drop: tuple[str, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of device: Debian's name of its processor, and the minor version of its Python (``3.11``)."""

    arch: str
    python: str = f"{sys.version_info[0]}.{sys.version_info[1]}"

    def __post_init__(self) -> None:
        """Check the processor.

        Raises:
            UsageError: there are no libraries for it.
        """
        if self.arch not in _PLATFORMS:
            raise UsageError("no such target", field="arch", value=self.arch, remedy=f"use {' or '.join(_PLATFORMS)}")

    @property
    def machine(self) -> int:
        """``e_machine`` of its programs (ELF specification, figure 4-3)."""
        return _MACHINES[self.arch]

    @property
    def site(self) -> Path:
        """Return the folder of libraries below the root of a device."""
        return HOME / "lib" / f"python{self.python}" / "site-packages"

    def pip(self) -> list[str]:
        """Return the options that make pip choose wheels for it, whatever this machine is."""
        tags = [f"manylinux_{glibc}_{_PLATFORMS[self.arch]}" for glibc in _GLIBC]
        platforms = [word for tag in (*tags, f"manylinux2014_{_PLATFORMS[self.arch]}") for word in ("--platform", tag)]
        version = ["--python-version", self.python, "--implementation", "cp"]
        return ["--only-binary=:all:", *version, *platforms]


def native() -> str:
    """Return Debian's name of this machine's processor."""
    names = {uname: debian for debian, uname in _PLATFORMS.items()}
    return names.get(os.uname().machine, os.uname().machine)


def read_recipe(folder: Path = DEBIAN) -> Recipe:
    """Return the recipe of a folder.

    Raises:
        UsageError: it cannot be read, or says something that is not understood.
    """
    path = folder / "package.toml"
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Recipe)
    except (OSError, ValueError, msgspec.ValidationError) as exc:
        raise UsageError(f"the recipe cannot be used: {exc}", field="package.toml", value=str(path)) from exc


def version_of(revision: int) -> str:
    """Return the version of the package: that of Acclimate, and a revision of the packaging from 1."""
    return f"{acclimate_shared.__version__}-{revision}"


def epoch(environment: Mapping[str, str] = os.environ, root: Path = ROOT) -> int:
    """Return the time that every file of the package bears: ``SOURCE_DATE_EPOCH``, or that of the last commit.

    Raises:
        UsageError: neither is known.
    """
    text = environment.get("SOURCE_DATE_EPOCH", "")
    if not text:
        words = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
        with suppress(FileNotFoundError):
            text = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    if not text.isdigit():
        remedy = "set it to seconds since 1970, or build from a clone"
        raise UsageError("no time for the files", field="SOURCE_DATE_EPOCH", value=text, remedy=remedy)
    return int(text)
