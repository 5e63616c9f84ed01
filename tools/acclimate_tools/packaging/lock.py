"""Make the lock of the package's libraries: what the newest wheels are that fit, for both processors.

    python -m acclimate_tools.packaging.lock

It asks the package index once for each processor, so it is for a person who then reads what changed; a build only
uses what the lock says. Both processors must get the same versions.
"""

import hashlib
import re
import sys
import tempfile
import tomllib
from pathlib import Path

import click

from acclimate_shared.durable import write_file
from acclimate_shared.errors import AcclimateError, PackageError
from acclimate_tools.packaging.recipe import ROOT, Recipe, Target, read_recipe
from acclimate_tools.packaging.wheels import LOCK, normalised, run

ARCHES = ("amd64", "arm64")
_HEAD = """\
# The libraries of the Debian package, by hash; made by `python -m acclimate_tools.packaging.lock`.
# python {python}
"""


def requirements(root: Path = ROOT) -> list[str]:
    """Return what the agent needs, as the project says it: its own dependencies and those of ``device``."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["device"]]


def wheel_facts(path: Path) -> tuple[str, str]:
    """Return normalised name and version of a wheel, from its file name (PEP 427)."""
    name, version = path.name.split("-")[:2]
    return normalised(name), version


def lock_of(folders: dict[str, Path], recipe: Recipe, python: str) -> str:
    """Return the text of a lock for the wheels that lie in a folder for each processor.

    Raises:
        PackageError: the processors got different versions.
    """
    found: dict[str, dict[str, str]] = {}
    versions: dict[str, str] = {}
    for arch, folder in folders.items():
        for wheel in sorted(folder.glob("*.whl")):
            name, version = wheel_facts(wheel)
            if versions.setdefault(name, version) != version:
                raise PackageError("the processors got different versions", field=name, value=f"{arch} {version}")
            found.setdefault(name, {})[arch] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lines = []
    for name in sorted(found.keys() - {normalised(unused) for unused in recipe.unused}):
        if found[name].keys() != folders.keys():
            raise PackageError("a library is missing for a processor", field=name, value=sorted(found[name]))
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in sorted(set(found[name].values())))
        lines.append(f"{name}=={versions[name]} {hashes}")
    return _HEAD.format(python=python) + "\n".join(lines) + "\n"


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=LOCK, show_default=True)
def main(out: Path) -> None:
    """Write the lock for the Python that runs this."""
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folders = {arch: Path(scratch) / arch for arch in ARCHES}
            for arch, folder in folders.items():
                words = [sys.executable, "-m", "pip", "download", "--quiet", *Target(arch).pip(), "-d", str(folder)]
                run([*words, *requirements()])
            write_file(out, lock_of(folders, read_recipe(), Target(ARCHES[0]).python).encode())
    except AcclimateError as error:
        raise click.ClickException(str(error)) from error
    count = len(re.findall("==", out.read_text(encoding="utf-8")))
    click.echo(f"{count} libraries in {out}")


if __name__ == "__main__":
    main()
