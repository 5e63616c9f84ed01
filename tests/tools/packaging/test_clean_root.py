"""The whole package in a Debian of its own: installed, used, killed, upgraded, removed, purged."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acclimate_tools.packaging.base_model import all_folders
from acclimate_tools.packaging.bundles import build_all
from acclimate_tools.packaging.deb import Built, Compression, Order, build, differing
from acclimate_tools.packaging.lock import ARCHES
from acclimate_tools.packaging.recipe import ROOT, Target, native, read_recipe, version_of
from acclimate_tools.packaging.wheels import fetch, read_lock
from tests import streams
from tests.results import Record
from tests.tools.packaging.clean_root import CleanRoot, changed, clean_root, options
from tests.tools.packaging.programs import needs

pytestmark = pytest.mark.long

ROWS = 12_000
INSIDE = "/tmp"  # noqa: S108 (of the clean root)
STATE = "/var/lib/acclimate/replay"
REPLAY = ("acclimate", "replay", f"{INSIDE}/stream.csv", "--label", "label", "--delay", "20")
MEASURED = {"wall_s", "cpu_s", "peak_rss_mib", "throughput_events_per_s"}
STORE_BYTES = 300_000  # after which something has been committed


def wheels_for(target: Target) -> Path:
    """Return the folder of the locked wheels, shared with `make deb`."""
    folder = ROOT / "build" / "deb" / f"wheels-{target.arch}"
    fetch(target, folder)
    return folder


def built(folder: Path, arch: str, revision: int = 1, compression: Compression = "xz") -> tuple[Built, float]:
    """Build a package; return it and the seconds that took."""
    target, started = Target(arch), time.monotonic()
    if read_lock()[0] != target.python:
        pytest.skip("the lock is for another Python")
    wheels = wheels_for(target)
    order = Order(target=target, revision=revision, compression=compression)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1800000000")  # not that of a commit, which may be made meanwhile
        package = build(order, scratch=folder / "scratch", wheels=wheels, out=folder / "out")
    return package, time.monotonic() - started


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two revisions for this machine."""
    needs("dpkg-deb")
    folder = tmp_path_factory.mktemp("packages")
    return [built(folder / str(revision), native(), revision)[0].path for revision in (1, 2)]


def test_two_builds_have_the_same_bytes(packages: list[Path], tmp_path: Path, record: Record) -> None:
    again, seconds = built(tmp_path / "elsewhere", native())
    assert not differing(packages[0], again.path)
    kept(record, native(), again, seconds)


def test_the_other_processor(tmp_path: Path, record: Record) -> None:
    needs("dpkg-deb")
    other = next(arch for arch in ARCHES if arch != native())
    first, seconds = built(tmp_path / "first", other)
    second, _ = built(tmp_path / "second" / "elsewhere", other)
    assert not differing(first.path, second.path)
    kept(record, other, first, seconds)


def kept(record: Record, arch: str, package: Built, seconds: float) -> None:
    assert package.packed_bytes <= read_recipe().most_bytes
    record("package", f"{arch}, bytes", package.packed_bytes)
    record("package", f"{arch}, bytes installed", package.installed_bytes)
    record("seconds", f"build {arch}", round(seconds, 1))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[CleanRoot]:
    with clean_root(tmp_path / "root") as made:
        yield made


def result(root: CleanRoot, name: str) -> dict[str, Any]:
    """Return the result of a replay without what was measured."""
    found: dict[str, Any] = json.loads((root.folder / "tmp" / name).read_text())
    return {key: value for key, value in found.items() if key not in MEASURED}


def kill_when_it_has_committed(root: CleanRoot) -> None:
    """Start a replay, and end it by SIGKILL in the middle."""
    process = root.start(*REPLAY, "--state", STATE)
    folder, until = root.folder / STATE[1:].replace("lib/acclimate", "lib/private/acclimate"), time.monotonic() + 120
    while sum(path.stat().st_size for path in folder.glob("*")) < STORE_BYTES:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until, "nothing is kept"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def timed(record: Record, what: str, root: CleanRoot, *command: str) -> str:
    started = time.monotonic()
    said = root.run(*command)
    record("seconds", what, round(time.monotonic() - started, 2))
    return said


def test_from_installation_to_purge(root: CleanRoot, packages: list[Path], tmp_path: Path, record: Record) -> None:
    for package in packages:
        shutil.copy(package, root.folder / "tmp")
    streams.write_csv(root.folder / "tmp" / "stream.csv", streams.classification(ROWS))
    first, second = (f"{INSIDE}/{package.name}" for package in packages)
    (root.folder / "var/lib/private").mkdir(mode=0o700)  # systemd's, and it stays
    before = root.census()

    timed(record, "install", root, *options(["install", first]))
    assert version_of(1) in root.run("dpkg-query", "-W", "acclimate")
    installed = root.census()
    key = changed(before, installed)["etc/acclimate/acclimate.key"][1]
    assert key is not None
    assert key.startswith("100600 0:0 ")
    assert root.holds("etc/systemd/system/multi-user.target.wants/acclimate.service")

    # What systemd does for a service with a dynamic user and a state directory.
    (root.folder / "var/lib/private/acclimate").mkdir(mode=0o700)
    (root.folder / "var/lib/acclimate").symlink_to("private/acclimate")
    timed(record, "acclimate --version", root, "acclimate", "--version")
    timed(record, f"replay of {ROWS} rows", root, *REPLAY, "--json", f"{INSIDE}/whole.json")
    kill_when_it_has_committed(root)
    halfway = json.loads(root.run("acclimate", "status", STATE, "--json"))
    assert halfway["version"] != "1.0"

    timed(record, "upgrade", root, *options(["install", second]))
    assert version_of(2) in root.run("dpkg-query", "-W", "acclimate")
    assert root.census()["etc/acclimate/acclimate.key"] == key
    after = json.loads(root.run("acclimate", "status", STATE, "--json"))
    assert after == halfway | {"bytes_on_disk": after["bytes_on_disk"]}
    root.run(*REPLAY, "--state", STATE, "--json", f"{INSIDE}/resumed.json")
    assert result(root, "resumed.json") == result(root, "whole.json")
    update(root, tmp_path)
    used = changed(installed, root.census())
    assert {name.split("/")[0] for name in used} <= {"usr", "var"}  # usr: the changelog, nothing else may differ
    assert not [name for name in used if name.startswith("usr/lib/acclimate")]

    timed(record, "remove", root, *options(["remove", "acclimate"]))
    removed = root.census()
    assert not root.holds("usr/lib/acclimate")
    assert not root.holds("usr/bin/acclimate")
    assert removed["etc/acclimate/acclimate.key"] == key
    assert root.holds("etc/acclimate/acclimate.toml")
    assert root.holds(f"var/lib/private{STATE.removeprefix('/var/lib')}")

    timed(record, "purge", root, *options(["purge", "acclimate"]))
    assert changed(before, root.census()) == {}


def update(root: CleanRoot, tmp_path: Path) -> None:
    """Take a signed bundle inside: signatures, chunks and sanity set, with the libraries of the package."""
    build_all([folder for folder in all_folders() if folder.name == "tabular"], tmp_path / "bundles", None, short=True)
    for name in ("tabular.update", "1.root.json"):
        shutil.copy(tmp_path / "bundles" / name, root.folder / "tmp")
    words = (
        "acclimate",
        "update",
        f"{INSIDE}/tabular.update",
        "--state",
        "/var/lib/acclimate",
        "--root",
        f"{INSIDE}/1.root.json",
    )
    assert "is verified" in root.run(*words)
