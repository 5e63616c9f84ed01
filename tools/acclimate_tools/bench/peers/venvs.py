"""A virtual environment for each family of peers, made by the benchmark and measured on the disk.

They lie under ``build/bench-venvs``, hold exactly the packages of the catalogue and what these need, and no pip, so
that their size is that of an installation. Nothing of them is a dependency of the product.
"""

import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

from acclimate_tools.bench.peers.catalogue import OURS, Family
from acclimate_tools.bench.replay import ROOT

FOLDER = ROOT / "build" / "bench-venvs"
PROTOCOL_NUMPY = "numpy==2.4.6"
_VERSIONS = (
    "import importlib.metadata as m,json;print(json.dumps({d.name.lower():d.version for d in m.distributions()}))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a family lives.

    Attributes:
        python: its interpreter.
        path: folders that are added to its import path: this checkout's tools, and numpy where the family has none.
        versions: of every package in it.
        install_bytes: of all files of its packages.
        runtime_bytes: of the Java runtime that it needs besides, 0 for none.
    """

    python: Path
    path: tuple[Path, ...]
    versions: dict[str, str] = field(default_factory=dict)
    install_bytes: int = 0
    runtime_bytes: int = 0


class AbsentError(Exception):
    """A family cannot be had on this machine; the text says why."""


def environment(family: Family) -> Environment:
    """Return the environment of a family, made the first time; ours is brought up to date every time.

    Raises:
        AbsentError: it cannot be had here.
    """
    runtime = _java_bytes() if family.java else 0
    folder = FOLDER / family.name
    python = folder / "bin" / "python"
    wanted = [f"{ROOT}[device]"] if family.name == OURS else list(family.packages)
    done = folder / "packages.json"
    if not done.exists() or json.loads(done.read_text(encoding="utf-8")) != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=False, symlinks=True)
        _pip("--python", str(python), "install", *wanted)
        done.write_text(json.dumps(wanted), encoding="utf-8")
    elif family.name == OURS:
        _pip("--python", str(python), "install", "--force-reinstall", "--no-deps", str(ROOT))
    path = (ROOT / "tools",) if family.brings_numpy else (ROOT / "tools", _numpy_alone())
    said = _run([str(python), "-c", _VERSIONS])
    packages = next(folder.glob("lib/python*/site-packages"))
    return Environment(
        python=python,
        path=path,
        versions=dict(sorted(json.loads(said).items())),
        install_bytes=size_of(packages),
        runtime_bytes=runtime,
    )


def size_of(folder: Path) -> int:
    """Return the bytes of all files under a folder; links count for nothing."""
    found = (Path(root) / name for root, _, names in os.walk(folder) for name in names)
    return sum(path.lstat().st_size for path in found if not path.is_symlink())


def _java_bytes() -> int:
    java = shutil.which("java")
    if java is None:
        raise AbsentError("there is no Java runtime on this machine")
    return size_of(Path(java).resolve().parents[1])


def _numpy_alone() -> Path:
    """Return a folder with numpy in it, for the protocol beside a family that has none."""
    folder = FOLDER / "protocol-numpy"
    if not (folder / ".done").exists():
        _pip("install", "--target", str(folder), PROTOCOL_NUMPY)
        (folder / ".done").touch()
    return folder


def _pip(*arguments: str) -> None:
    _run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet"])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own commands)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason was given"]
        raise AbsentError(f"it could not be installed: {lines[-1]}")
    return done.stdout
