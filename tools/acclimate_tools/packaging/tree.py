"""The tree of files that the package puts on a device.

    usr/bin/acclimate                       the command: a line of Python, run by the interpreter below
    usr/lib/acclimate/pyvenv.cfg, bin/      an isolated environment (PEP 405) over the device's own Python: processes
                                            that the agent starts find the same libraries, and nothing else
    usr/lib/acclimate/lib/python3.x/site-packages/   the agent and its libraries, bytecode beside them
    usr/lib/systemd/system/acclimate.service, acclimate.socket
    etc/acclimate/acclimate.toml            what the service does, for a person to change
    usr/share/doc/acclimate/                README, copyright, changelog

The same sources and wheels give the same bytes: file times are given, modes are ours, and bytecode is compiled in a
process with a fixed hash seed, unchecked (PEP 552), with the paths of the device in it.
"""

import gzip
import os
import re
import shutil
import stat
import sys
from email import policy
from email.parser import BytesParser
from pathlib import Path

from acclimate_tools.packaging.recipe import DEBIAN, HOME, ROOT, Recipe, Target
from acclimate_tools.packaging.wheels import Run, install, ours, run

CONFFILES = ("/etc/acclimate/acclimate.toml",)
_COMMAND = """\
#!/{home}/bin/python3 -I
from acclimate_device.cli import main

main()
"""
_COMPILE = (
    "import compileall, py_compile, sys; "
    "done = compileall.compile_dir(sys.argv[1], quiet=1, workers=1, stripdir=sys.argv[2], prependdir='/', "
    "invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH); "
    "sys.exit(0 if done else 1)"
)


def lay_out(
    tree: Path, target: Target, recipe: Recipe, wheels: Path | None, root: Path = ROOT, call: Run = run
) -> None:
    """Write all files of the package below ``tree``, but for those of ``DEBIAN/``.

    Args:
        tree: an empty folder, the root of the device.
        target: which device.
        recipe: what to leave out.
        wheels: folder of the locked wheels; None leaves the libraries out, for a package that only shows its shape.
        root: of the sources.
        call: runs pip and the compiler.

    Raises:
        PackageError: a library is for another processor.
        UsageError: a program fails.
    """
    site = tree / target.site
    site.mkdir(parents=True)
    if wheels is not None:
        install(wheels, target, site, recipe, call=call)
    ours(root, site)
    call([sys.executable, "-I", "-c", _COMPILE, str(site), str(tree)])
    _environment(tree, target)
    _put(tree / "usr/bin/acclimate", _COMMAND.format(home=HOME).encode(), 0o755)
    for unit in ("acclimate.service", "acclimate.socket"):
        _put(tree / "usr/lib/systemd/system" / unit, (DEBIAN / unit).read_bytes())
    _put(tree / HOME / "back-off", (DEBIAN / "back-off").read_bytes(), 0o755)
    _put(tree / "etc/acclimate/acclimate.toml", (DEBIAN / "acclimate.toml").read_bytes())
    documents = tree / "usr/share/doc" / recipe.name
    _put(documents / "README.md", (DEBIAN / "README.md").read_bytes())
    _put(documents / "copyright", copyright_of(site, root).encode())
    _put(documents / "changelog.gz", gzip.compress((root / "CHANGELOG.md").read_bytes(), 9, mtime=0))


def settle(tree: Path, time_s: int) -> None:
    """Give every file and folder its mode and its time, so that nothing of this machine is left in the package."""
    for path in [tree, *sorted(tree.rglob("*"))]:
        if not path.is_symlink():
            runs = path.is_dir() or bool(path.stat().st_mode & stat.S_IXUSR)
            path.chmod(0o755 if runs else 0o644)
        os.utime(path, (time_s, time_s), follow_symlinks=False)


def copyright_of(site: Path, root: Path = ROOT) -> str:
    """Return the copyright file: our licence, and that of every library with where its text lies."""
    lines = ["Acclimate is under the Apache License 2.0, whose text follows.", "", "It carries these libraries:", ""]
    for folder in sorted(site.glob("*.dist-info")):
        facts = BytesParser(policy=policy.compat32).parsebytes((folder / "METADATA").read_bytes(), headersonly=True)
        licence = facts["License-Expression"] or facts["License"] or "see its files"
        short = re.split(r"[\r\n]", str(licence).strip())[0][:80]
        texts = [p.relative_to(site) for p in sorted(folder.rglob("*")) if re.match("(?i)licen[cs]e|copying", p.name)]
        where = ", ".join(f"/{HOME}/lib/*/site-packages/{text}" for text in texts if (site / text).is_file())
        lines.append(f"{facts['Name']} {facts['Version']}: {short}" + (f"\n  {where}" if where else ""))
    return "\n".join([*lines, "", (root / "LICENSE").read_text(encoding="utf-8")])


def _environment(tree: Path, target: Target) -> None:
    """Write an isolated environment by hand: two files are all that Python looks for."""
    _put(tree / HOME / "pyvenv.cfg", b"home = /usr/bin\ninclude-system-site-packages = false\n")
    link = tree / HOME / "bin" / "python3"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"/usr/bin/python{target.python}")


def _put(path: Path, data: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def empty(folder: Path) -> Path:
    """Return a folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
