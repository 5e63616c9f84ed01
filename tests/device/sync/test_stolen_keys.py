"""Drill: the hub's keys, snapshot and timestamp, are stolen, and the thief serves metadata and chunks to a fleet.

Each device gets a seeded sequence of attacks, all correctly signed with what was stolen. The control is the same drill
with the author's targets key stolen as well: then devices do install, so the drill can tell.
"""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from acclimate_device.sync.chunks import ChunkStore
from acclimate_device.sync.pull import pull
from acclimate_device.sync.source import MemorySource
from acclimate_device.sync.trust import verify_release
from acclimate_shared.bundle import digest_of, read_bundle
from acclimate_shared.errors import AcclimateError
from tests.bundles import bundle_bytes
from tests.device.sync.conftest import Record
from tests.device.sync.links import FakeLink
from tests.device.sync.test_attacks import EVIL, EVIL_DIGEST, Thief, root_of_another
from tests.trust import World

Attack = Callable[[World, Thief], tuple[dict[str, bytes], str, bytes]]
OLD, GOOD = bundle_bytes(0), bundle_bytes(1)


def own_targets(_: World, thief: Thief) -> tuple[dict[str, bytes], str, bytes]:
    return thief.evil_release(), EVIL_DIGEST, EVIL


def own_chunks(_: World, thief: Thief) -> tuple[dict[str, bytes], str, bytes]:
    return thief.files, digest_of(GOOD), EVIL


def old_targets(world: World, thief: Thief) -> tuple[dict[str, bytes], str, bytes]:
    return thief.announce(world.served()["2.targets.json"], 2), digest_of(OLD), EVIL


def own_root(world: World, thief: Thief) -> tuple[dict[str, bytes], str, bytes]:
    return thief.evil_release() | {"2.root.json": root_of_another(world)["2.root.json"]}, EVIL_DIGEST, EVIL


def edited_targets(_: World, thief: Thief) -> tuple[dict[str, bytes], str, bytes]:
    data = thief.files["3.targets.json"].replace(digest_of(GOOD).encode(), EVIL_DIGEST.encode())
    return thief.announce(data, 3), EVIL_DIGEST, EVIL


def next_edited_targets(_: World, thief: Thief) -> tuple[dict[str, bytes], str, bytes]:
    data = thief.files["3.targets.json"].replace(digest_of(GOOD).encode(), EVIL_DIGEST.encode())
    return thief.announce(data.replace(b'"version":3', b'"version":4'), 4), EVIL_DIGEST, EVIL


ATTACKS: list[Attack] = [own_targets, own_chunks, old_targets, own_root, edited_targets, next_edited_targets]


def installed(folder: Path, world: World, files: dict[str, bytes], digest: str, data: bytes) -> str | None:
    """Do what a device does; return the digest of what it would install."""
    try:
        listed = verify_release(MemorySource(files), folder, world.first_root, digest, world.now)
        link = FakeLink(data)
        with ChunkStore(folder / "bundles", listed) as store:
            pull(store, link, clock=link.clock)
            path = store.finish()
        read_bundle(path.read_bytes(), digest=listed.digest)
    except AcclimateError:
        return None
    return digest_of(path.read_bytes())


def drill(folder: Path, devices: int, *stolen: str) -> Counter[str]:
    """Return how many devices installed the attacker's bundle, and how many what is honest before and after."""
    world, found = World(folder / "world"), Counter({"attacker's": 0})
    world.release(OLD)
    world.release(GOOD)
    for number in range(devices):
        rng = random.Random(number)  # noqa: S311 - not for secrets
        place = folder / str(number)
        before = rng.random() < 0.5  # half of the devices have never seen the honest hub
        if before:
            found["honest before"] += installed(place, world, world.served(), digest_of(GOOD), GOOD) == digest_of(GOOD)
        for turn, attack in enumerate(rng.sample(ATTACKS, k=4), 1):
            thief = Thief(world, "snapshot", "timestamp", *stolen)
            thief.step = turn  # each newer than the last, or the device would not even look
            files, digest, data = attack(world, thief)
            if installed(place, world, files, digest, data) not in (None, digest_of(OLD), digest_of(GOOD)):
                found["attacker's"] += 1
                break
        found["devices"] += 1
    healed = world.rotate("snapshot"), world.rotate("timestamp")
    assert all(healed)
    world.pass_time(hours=1)
    for number in range(devices):
        found["honest after"] += (
            installed(folder / str(number), world, world.served(), digest_of(GOOD), GOOD) is not None
        )
    return found


@pytest.mark.slow
def test_20_devices_install_nothing_of_a_thief(tmp_path: Path) -> None:
    found = drill(tmp_path, 20)
    assert found["attacker's"] == 0
    assert found["honest after"] == found["devices"] == 20


@pytest.mark.slow
def test_the_drill_can_tell(tmp_path: Path) -> None:
    assert drill(tmp_path, 10, "targets")["attacker's"] >= 5


@pytest.mark.long
def test_200_devices_install_nothing_of_a_thief(tmp_path: Path, record: Record) -> None:
    found = drill(tmp_path, 200)
    record("stolen hub keys", "200 devices, 4 attacks each", dict(found))
    control = drill(tmp_path / "control", 200, "targets")
    record("stolen hub keys", "control: targets key stolen too", dict(control))
    assert found["attacker's"] == 0
    assert found["honest after"] == 200
    assert control["attacker's"] >= 100
