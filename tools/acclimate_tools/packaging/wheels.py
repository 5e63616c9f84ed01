"""Third-party libraries of the package: locked by hash, fetched once, installed without a network, trimmed.

The lock names, for every library, the one version and the hashes of the wheels for each processor. ``fetch`` asks pip
for exactly these; everything after it is offline. A library for another processor can be installed here because
nothing of it is run: a wheel is only unpacked (``pip install --target --platform``).
"""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from acclimate_shared.errors import PackageError, UsageError
from acclimate_tools.packaging.recipe import DEBIAN, Recipe, Target

LOCK = DEBIAN / "requirements.lock"
_ELF = b"\x7fELF"
_LEFT_BY_PIP = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "WHEEL")
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s\\]+)(?P<hashes>(?:\s+--hash=sha256:[0-9a-f]{64})+)\Z")
Run = Callable[[Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class Locked:
    """A library of the lock: name as pip normalises it, version, SHA-256 of its wheels."""

    name: str
    version: str
    hashes: tuple[str, ...]


def normalised(name: str) -> str:
    """Return a name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path = LOCK) -> tuple[str, list[Locked]]:
    """Return the minor version of Python that a lock is for, and its libraries.

    Raises:
        UsageError: it cannot be read.
    """
    remedy = "make it anew: python -m acclimate_tools.packaging.lock"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as exc:
        raise UsageError(f"the lock cannot be read: {exc}", field="lock", value=str(path), remedy=remedy) from exc
    python = next((line.split()[-1] for line in lines if line.startswith("# python ")), "")
    found = []
    for line in lines:
        if line and not line.startswith("#"):
            match = _LINE.match(line)
            if match is None:
                raise UsageError("not a line of a lock", field="lock", value=line, remedy=remedy)
            hashes = tuple(re.findall(r"sha256:([0-9a-f]{64})", match["hashes"]))
            found.append(Locked(match["name"], match["version"], hashes))
    return python, found


def run(words: Sequence[str]) -> None:
    """Run a program.

    Raises:
        UsageError: it is not there, or fails; with the end of what it said.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=_environment())  # noqa: S603
    except OSError as exc:
        raise UsageError(f"a program is missing: {exc}", field="program", value=words[0]) from exc
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-800:]
        raise UsageError(f"{' '.join(words[:4])} failed: {said}", field="exit code", value=done.returncode)


def _environment() -> dict[str, str]:
    return {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}


def fetch(target: Target, into: Path, lock: Path = LOCK, call: Run = run) -> None:
    """Bring the locked wheels for a target into a folder; those that are there are not fetched again.

    Raises:
        UsageError: the lock is for another Python, or pip does not get what it names.
    """
    python, _ = read_lock(lock)
    if python != target.python:
        remedy = f"build with Python {python}, or make the lock anew with this one"
        raise UsageError("the lock is for another Python", field="python", value=target.python, remedy=remedy)
    into.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "-r", str(lock)]
    call([*words, *target.pip(), "--find-links", str(into), "-d", str(into)])


def install(wheels: Path, target: Target, into: Path, recipe: Recipe, lock: Path = LOCK, call: Run = run) -> None:
    """Unpack the locked libraries into a folder, without a network, and take away what a device does not need.

    Raises:
        PackageError: a library is for another processor.
        UsageError: pip fails.
    """
    into.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    words += ["--require-hashes", "-r", str(lock), "--find-links", str(wheels), "--target", str(into)]
    call([*words, *target.pip(), "--no-warn-conflicts"])
    trim(into, recipe)
    check_machine(into, target)


def trim(site: Path, recipe: Recipe) -> None:
    """Remove what no device needs: programs, tests, headers, what pip noted about the installation."""
    shutil.rmtree(site / "bin", ignore_errors=True)
    for pattern in recipe.drop:
        for path in sorted(site.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in _files(site):
        if path.parent.name.endswith(".dist-info") and path.name in _LEFT_BY_PIP:
            path.unlink()


def check_machine(site: Path, target: Target) -> None:
    """Check that every program and library below a folder is for the target.

    Raises:
        PackageError: naming the first that is not.
    """
    for path in _files(site):
        with path.open("rb") as file:
            head = file.read(20)
        if head[:4] == _ELF and int.from_bytes(head[18:20], "little") != target.machine:
            raise PackageError("a library is for another processor", field=target.arch, value=str(path))


def ours(root: Path, into: Path) -> None:
    """Copy the packages of the agent into a folder: what Python reads, without anything it has left there."""
    for package in ("shared/acclimate_shared", "device/acclimate_device"):
        source = root / package
        for path in _files(source):
            if not any(fnmatch.fnmatch(part, "__pycache__") for part in path.parts):
                copy = into / path.relative_to(source.parent)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
