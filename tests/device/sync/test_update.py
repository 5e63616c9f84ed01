import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from acclimate_device.sync import step
from acclimate_device.sync.source import FolderSource, MemorySource, MetadataSource, UpdateFileSource
from acclimate_device.sync.update import Places, Received, receive, receive_file
from acclimate_shared.bundle import digest_of
from acclimate_shared.constraints import ConstraintError, Facts
from acclimate_shared.container import ContainerError, pack
from acclimate_shared.errors import (
    AcclimateError,
    DigestError,
    LinkError,
    MissingFileError,
    PackageError,
    UsageError,
)
from acclimate_shared.release import ExpiredError, TrustError, UnlistedError
from acclimate_shared.update_file import KIND, open_update, write_update
from tests.bundles import bundle_bytes
from tests.device.sync.links import FakeLink
from tests.trust import World

FACTS = Facts(features={"load": "number", "shift": "category"}, memory_mib=128, agent="0.1.0")
DATA = bundle_bytes(rows=60_000)
DIGEST = digest_of(DATA)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "world")
    world.release(DATA)
    return world


@pytest.fixture
def places(world: World, tmp_path: Path) -> Places:
    places = Places.under(tmp_path / "state")
    places.root.parent.mkdir(parents=True)
    places.root.write_bytes(world.first_root)
    return places


def by_link(world: World, places: Places, facts: Facts | None = FACTS, data: bytes = DATA) -> Received:
    link = FakeLink(data)
    source = MemorySource(world.served())
    return receive(source, link, DIGEST, places=places, facts=facts, rtc=lambda: world.now, clock=link.clock)


def update_file(world: World, path: Path, bundle: bytes = DATA) -> Path:
    path.write_bytes(write_update(world.hub.served(), bundle))
    return path


def by_file(world: World, places: Places, facts: Facts | None = FACTS, data: bytes = DATA) -> Received:
    path = update_file(world, places.bundles.with_name("stick.update"), data)
    return receive_file(path, places=places, facts=facts, rtc=lambda: world.now)


WAYS = pytest.mark.parametrize("take", [by_link, by_file])
Way = Callable[..., Received]


@WAYS
@pytest.mark.slow
def test_the_same_bundle_by_link_and_by_file(world: World, places: Places, take: Way) -> None:
    found = take(world, places)
    assert found.path.read_bytes() == DATA
    assert found.listed.release.version == "1.0"
    assert found.bundle.package.digest == found.listed.release.package
    assert found.report.fetched == 8
    assert take(world, places).report.fetched == 0  # it is here


@WAYS
@pytest.mark.slow
def test_a_bundle_for_another_device_is_not_even_fetched(world: World, places: Places, take: Way) -> None:
    poor = Facts(features={"load": "number"}, memory_mib=1, agent="0.1.0")
    with pytest.raises(ConstraintError, match="not made for this device"):
        take(world, places, poor)
    assert not list(places.bundles.glob("*"))
    assert take(world, places, None).path.exists()


@WAYS
@pytest.mark.slow
def test_another_bundle_under_its_name(world: World, places: Places, take: Way) -> None:
    """A hostile mirror, or a stick with good metadata and a bundle of its own: nothing of it is stored."""
    evil = bundle_bytes(seed=9, rows=60_000)
    with pytest.raises((LinkError, UnlistedError)):
        take(world, places, FACTS, evil)
    assert sum(path.stat().st_size for path in places.bundles.glob("*")) == 0


@pytest.mark.slow
def test_expired_metadata_keep_what_is_here_and_refuse_what_is_new(world: World, places: Places) -> None:
    kept = by_link(world, places)
    world.pass_time(days=8)
    for take in (by_link, by_file):
        with pytest.raises(ExpiredError, match="what runs goes on"):
            take(world, places)
    assert kept.path.read_bytes() == DATA


@pytest.mark.slow
def test_a_stick_brings_the_roots_that_a_device_slept_through(world: World, places: Places) -> None:
    for role in ("root", "targets", "timestamp", "root"):
        world.rotate(role)
    served = world.hub.served()
    assert [name for name in served if "root" in name] == [f"{i}.root.json" for i in range(1, 6)]
    assert by_file(world, places).listed.digest == DIGEST


def test_files_that_are_no_update_files(world: World, places: Places, tmp_path: Path) -> None:
    good = update_file(world, tmp_path / "good.update").read_bytes()
    for data, error in (
        (b"", PackageError),
        (DATA, ContainerError),
        (good[:-1], PackageError),
        (good.replace(b'"target":"', b'"target":"x'), ContainerError),
        (write_update(world.hub.served(), b"").replace(b"bundle", b"bundel"), ContainerError),
    ):
        (tmp_path / "bad.update").write_bytes(data)
        with pytest.raises(error):
            receive_file(tmp_path / "bad.update", places=places, facts=None)
    with pytest.raises(PackageError, match="cannot be read"):
        receive_file(tmp_path / "none.update", places=places, facts=None)
    with pytest.raises(ContainerError):
        write_update({"../x.json": b""}, DATA)


def test_an_update_file_without_its_parts(tmp_path: Path) -> None:
    for meta, parts, error in (
        ({}, {"bundle": b""}, ContainerError),
        ({"target": 5}, {"bundle": b""}, ContainerError),
        ({"target": DIGEST}, {"timestamp.json": b""}, MissingFileError),
    ):
        (tmp_path / "u").write_bytes(pack(KIND, meta, parts))
        with (tmp_path / "u").open("rb") as file, pytest.raises(error):
            open_update(file)


def test_sources_give_only_metadata_and_only_so_much(world: World, tmp_path: Path) -> None:
    path = update_file(world, tmp_path / "u")
    with path.open("rb") as file:
        sources: list[MetadataSource] = [UpdateFileSource(open_update(file)[0]), FolderSource(world.folder / "tuf")]
        for source in sources:
            assert source.fetch("1.root.json", 10_000) == world.first_root
            for name in ("bundle", "9.root.json", "../tuf/1.root.json", "/etc/passwd"):
                assert source.fetch(name, 10_000) is None
            with pytest.raises(TrustError, match="larger"):
                source.fetch("1.root.json", 100)


def test_without_root_or_tuf(world: World, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    places.root.unlink()
    with pytest.raises(UsageError, match="no root of trust"):
        by_link(world, places)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="python-tuf"):
        by_link(world, places)


class Silent:
    """Does not answer, or only after a while."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s

    def fetch(self, name: str, max_bytes: int) -> bytes | None:
        del max_bytes
        time.sleep(self._wait_s)  # another process waits on this: no fake clock reaches it
        raise LinkError("silence", field=name)


@pytest.mark.slow
def test_a_source_that_does_not_answer_in_time(world: World, places: Places) -> None:
    with pytest.raises(LinkError, match="did not answer"):
        step.verify(Silent(0), places.trust, places.root, DIGEST, world.now)
    with pytest.raises(LinkError, match="too slowly"):
        step.verify(Silent(0.2), places.trust, places.root, DIGEST, world.now, time_limit_s=0.1)


@pytest.mark.slow
def test_errors_cross_the_process_whole(world: World, places: Places) -> None:
    with pytest.raises(UnlistedError) as caught:
        step.verify(MemorySource(world.served()), places.trust, places.root, "f" * 64, world.now)
    assert (caught.value.field, bool(caught.value.value), bool(caught.value.remedy)) == ("digest", True, True)
    files = {name: data for name, data in world.served().items() if name != "timestamp.json"}
    with pytest.raises(LinkError):
        step.verify(MemorySource(files), places.trust, places.root, DIGEST, world.now)
    assert issubclass(TrustError, AcclimateError)
    assert not issubclass(DigestError, LinkError)


def fresh(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_agent_never_loads_tuf(world: World, places: Places) -> None:
    """Neither the agent, nor its command line, nor a whole update, which happens in the other process."""
    path = update_file(world, places.bundles.with_name("u"))
    code = f"""
import sys
import acclimate_device.agent, acclimate_device.daemon, acclimate_device.cli
from datetime import datetime
from pathlib import Path
from acclimate_device.sync.update import Places, receive_file
places = Places.under(Path({str(places.trust.parent)!r}))
now = datetime.fromisoformat({world.now.isoformat()!r})
print(receive_file(Path({str(path)!r}), places=places, facts=None, rtc=lambda: now).listed.release.version)
heavy = {{"tuf", "securesystemslib", "urllib3"}} & set(sys.modules)
print(sorted(heavy))
"""
    done = fresh(code)
    assert done.stdout.split("\n")[:2] == ["1.0", "[]"], done.stderr
    control = fresh("import acclimate_device.sync.trust, sys; print('tuf' in sys.modules)")
    assert control.stdout == "True\n"


@pytest.mark.slow
def test_verifies_without_cryptography(world: World, places: Places, tmp_path: Path) -> None:
    """python-tuf has Ed25519 of its own; a small device need not install 20 MiB for a few signatures."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text("import sys\nsys.modules['cryptography'] = None\n")
    files = tmp_path / "files"
    files.mkdir()
    for name, data in world.served().items():
        (files / name).write_bytes(data)
    (files / "2.targets.json").write_bytes((files / "2.targets.json").read_bytes().replace(b"counter", b"countre"))
    code = f"""
import sys
assert sys.modules["cryptography"] is None
from datetime import datetime
from pathlib import Path
from acclimate_device.sync.source import FolderSource
from acclimate_device.sync.trust import verify_release
now, root = datetime.fromisoformat({world.now.isoformat()!r}), Path({str(places.root)!r}).read_bytes()
for source in ({str(world.folder / "tuf")!r}, {str(files)!r}):
    try:
        found = verify_release(FolderSource(Path(source)), Path({str(tmp_path)!r}, source[-5:]), root, {DIGEST!r}, now)
        print(found.release.version)
    except Exception as error:
        print(type(error).__name__)
"""
    path = os.pathsep.join([str(tmp_path / "path"), *sys.path])
    done = fresh(code, PYTHONPATH=path)
    assert done.stdout.split() == ["1.0", "TrustError"], done.stderr
