"""Build the Debian package: the tree of files, what dpkg is told about it, and ``dpkg-deb``.

    python -m acclimate_tools.packaging.deb --arch arm64 --out dist

``--check`` builds it twice, in two folders, and compares the bytes. The compressor runs in one thread: with more, the
bytes would depend on the machine.
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from acclimate_shared.errors import AcclimateError, PackageError
from acclimate_tools.packaging.recipe import DEBIAN, ROOT, Recipe, Target, epoch, native, read_recipe, version_of
from acclimate_tools.packaging.tree import CONFFILES, empty, lay_out, settle
from acclimate_tools.packaging.wheels import fetch, run

SCRIPTS = ("postinst", "prerm", "postrm")
Compression = Literal["xz", "zstd", "none"]
LEVELS = {"xz": "6", "zstd": "19", "none": "0"}
KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to build; ``bare`` leaves third-party libraries out, for tests of all the rest."""

    target: Target
    revision: int = 1
    compression: Compression = "xz"
    bare: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A package: its file, its bytes, the bytes that its files take installed."""

    path: Path
    packed_bytes: int
    installed_bytes: int


def control(recipe: Recipe, order: Order, installed_bytes: int) -> str:
    """Return the control file (Debian Policy, section 5.3)."""
    major, minor = order.target.python.split(".")
    python = [f"python3 (>= {order.target.python})", f"python3 (<< {major}.{int(minor) + 1})"]
    paragraphs = [" ".join(part.split()) for part in recipe.description.strip().split("\n\n")]
    fields = {
        "Package": recipe.name,
        "Version": version_of(order.revision),
        "Architecture": order.target.arch,
        "Maintainer": recipe.maintainer,
        "Installed-Size": str(-(-installed_bytes // KIB)),
        "Depends": ", ".join([*python, *recipe.depends]),
        "Section": recipe.section,
        "Priority": "optional",
        "Homepage": recipe.homepage,
        "Description": recipe.summary + "\n " + "\n .\n ".join(paragraphs),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


def describe(tree: Path, recipe: Recipe, order: Order) -> int:
    """Write ``DEBIAN/``: control, sums, files that belong to the administrator, scripts; return the installed bytes."""
    files = [path for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files]  # noqa: S324 (dpkg's own list, no signature)
    folder = tree / "DEBIAN"
    folder.mkdir()
    (folder / "control").write_text(control(recipe, order, size), encoding="utf-8")
    (folder / "md5sums").write_text("".join(sums), encoding="utf-8")
    (folder / "conffiles").write_text("".join(f"{path}\n" for path in CONFFILES), encoding="utf-8")
    for script in SCRIPTS:
        (folder / script).write_bytes((DEBIAN / script).read_bytes())
        (folder / script).chmod(0o755)
    return size


def build(order: Order, *, scratch: Path, wheels: Path, out: Path, root: Path = ROOT) -> Built:
    """Build a package from locked wheels that lie in ``wheels``.

    Raises:
        PackageError: a library is for another processor, or the package is larger than the recipe allows.
        UsageError: a program is missing or fails.
    """
    recipe, time_s, tree = read_recipe(), epoch(), empty(scratch) / "tree"
    tree.mkdir()
    lay_out(tree, order.target, recipe, None if order.bare else wheels, root)
    size = describe(tree, recipe, order)
    settle(tree, time_s)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{recipe.name}_{version_of(order.revision)}_{order.target.arch}.deb"
    words = ["env", f"SOURCE_DATE_EPOCH={time_s}", "DPKG_DEB_THREADS_MAX=1", "dpkg-deb", "--root-owner-group"]
    run([*words, f"-Z{order.compression}", f"-z{LEVELS[order.compression]}", "--build", str(tree), str(path)])
    packed = path.stat().st_size
    if packed > recipe.most_bytes and order.compression != "none":
        remedy = "see what is new in it: dpkg-deb --contents"
        raise PackageError("the package is too large", field="most_bytes", value=packed, remedy=remedy)
    return Built(path=path, packed_bytes=packed, installed_bytes=size)


def differing(first: Path, second: Path) -> bool:
    """Return whether two files have different bytes."""
    return first.read_bytes() != second.read_bytes()


@click.command()
@click.option("--arch", default=native(), show_default=True, help="amd64 or arm64.")
@click.option("--revision", type=click.IntRange(1), default=1, show_default=True, help="Of the packaging.")
@click.option("--compression", type=click.Choice(["xz", "zstd", "none"]), default="xz", show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("dist"), show_default=True)
@click.option("--scratch", type=click.Path(file_okay=False, path_type=Path), default=Path("build/deb"))
@click.option("--check", is_flag=True, help="Build twice, and compare.")
def main(arch: str, revision: int, compression: Compression, out: Path, scratch: Path, check: bool) -> None:  # noqa: FBT001
    """Build the package; wheels are fetched once, by the hashes of the lock."""
    started = time.monotonic()
    try:
        order = Order(target=Target(arch), revision=revision, compression=compression)
        wheels = scratch / f"wheels-{arch}"
        fetch(order.target, wheels)
        built = build(order, scratch=scratch / arch, wheels=wheels, out=out)
        if check:
            again = build(order, scratch=scratch / f"{arch}-again", wheels=wheels, out=scratch / "again")
            if differing(built.path, again.path):
                raise PackageError("two builds differ", field="bytes", value=f"{built.path} {again.path}")
            click.echo("two builds, the same bytes")
    except AcclimateError as error:
        raise click.ClickException(str(error)) from error
    digest = hashlib.sha256(built.path.read_bytes()).hexdigest()
    sizes = f"{built.packed_bytes:,} bytes, {built.installed_bytes:,} installed"
    click.echo(f"{built.path}  {sizes}, {time.monotonic() - started:.0f} s\nsha256 {digest}")


if __name__ == "__main__":
    main()
