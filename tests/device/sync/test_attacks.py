"""The attacks that the TUF specification 1.0 names in §1.5, over a source of metadata that is the attacker's.

A device has taken an honest release; then the attacker serves. Each attack is a function of what the honest hub served
before and after; the device must refuse with the error named, and an honest refresh afterwards must work.
"""

import shutil
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, TargetFile, Targets, Timestamp

from acclimate_device.sync import trust
from acclimate_device.sync.source import MemorySource
from acclimate_device.sync.trust import verify_release
from acclimate_shared.bundle import describe, digest_of
from acclimate_shared.durable import write_file
from acclimate_shared.errors import LinkError, NewerFormatError, RefusedError, StateError
from acclimate_shared.release import CUSTOM, ExpiredError, Listed, TrustError, UnlistedError, path_of
from tests.bundles import bundle_bytes
from tests.trust import World

EVIL = bundle_bytes(seed=666)
EVIL_DIGEST = digest_of(EVIL)
HUGE = b" " * 6_000_000


class Device:
    """What a device keeps, and what it is told."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder, self.root = world, folder, world.first_root
        self.asked: list[str] = []

    def take(self, files: dict[str, bytes], digest: str, now: datetime | None = None) -> Listed:
        source = MemorySource(files)

        def fetch(name: str, max_bytes: int) -> bytes | None:
            self.asked.append(name)
            return MemorySource(files).fetch(name, max_bytes)

        source.fetch = fetch  # type: ignore[method-assign]
        return verify_release(source, self.folder, self.root, digest, now or self.world.now)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world")


@pytest.fixture
def device(world: World, tmp_path: Path) -> Device:
    return Device(world, tmp_path / "device")


def evil_target() -> TargetFile:
    listed = describe(EVIL, "9.9")
    return TargetFile(
        len(EVIL),
        {"sha256": EVIL_DIGEST},
        path_of(EVIL_DIGEST),
        {"custom": {CUSTOM: msgspec.to_builtins(listed.release)}},
    )


class Thief:
    """Has what the honest hub serves, and keys; makes metadata of its own, ``step`` versions later."""

    def __init__(self, world: World, *roles: str) -> None:
        """Steal the keys of these roles; for the others use keys of its own."""
        own = CryptoSigner.generate_ed25519()
        self.world, self.files, self.step = world, world.served(), 1
        self.keys = {role: world.keys[role] if role in roles else [own] for role in world.keys}

    def stamp(self) -> Timestamp:
        return deepcopy(Metadata[Timestamp].from_bytes(self.files["timestamp.json"]).signed)

    def snapshot(self) -> Snapshot:
        return Metadata[Snapshot].from_bytes(self.files[f"{self.stamp().snapshot_meta.version}.snapshot.json"]).signed

    def targets(self) -> Targets:
        version = self.snapshot().meta["targets.json"].version
        return Metadata[Targets].from_bytes(self.files[f"{version}.targets.json"]).signed

    def signed(self, role: str, signed: Signed, count: int = 1) -> bytes:
        metadata: Metadata[Any] = Metadata(signed)
        for key in self.keys[role][:count]:
            metadata.sign(key, append=True)
        return metadata.to_bytes()

    def announce(self, targets: bytes, version: int) -> dict[str, bytes]:
        """Return all files, with new targets under a new snapshot and a new timestamp."""
        snapshot, stamp = self.snapshot(), self.stamp()
        snapshot.version += self.step
        snapshot.meta["targets.json"] = MetaFile.from_data(version, targets, ["sha256"])
        data = self.signed("snapshot", snapshot)
        return self.files | {f"{version}.targets.json": targets} | self._stamped(snapshot.version, data, stamp)

    def _stamped(self, version: int, snapshot: bytes, stamp: Timestamp) -> dict[str, bytes]:
        stamp.version += self.step
        stamp.snapshot_meta = MetaFile.from_data(version, snapshot, ["sha256"])
        return {f"{version}.snapshot.json": snapshot, "timestamp.json": self.signed("timestamp", stamp)}

    def evil_release(self) -> dict[str, bytes]:
        """Announce targets that list the attacker's bundle, signed with whatever key there is."""
        targets = self.targets()
        targets.version += 1
        targets.targets[path_of(EVIL_DIGEST)] = evil_target()
        return self.announce(self.signed("targets", targets), targets.version)


def arbitrary(world: World) -> dict[str, bytes]:
    return Thief(world).evil_release()


def arbitrary_with_the_hubs_keys(world: World) -> dict[str, bytes]:
    return Thief(world, "snapshot", "timestamp").evil_release()


def forged_byte(world: World) -> dict[str, bytes]:
    files = world.served()
    name = max(name for name in files if name.endswith("targets.json"))
    return Thief(world, "snapshot", "timestamp").announce(
        files[name].replace(b'"1.0"', b'"9.0"'), int(name.split(".")[0])
    )


def endless(name: str) -> Callable[[World], dict[str, bytes]]:
    def attack(world: World) -> dict[str, bytes]:
        world.release(bundle_bytes(2))
        files = world.served()
        versions = [int(f.split(".")[0]) for f in files if f.endswith(f".{name}.json")]
        key = f"{max(versions, default=1) + (name == 'root')}.{name}.json" if name != "timestamp" else "timestamp.json"
        return files | {key: HUGE}

    return attack


def rolled_back(world: World) -> dict[str, bytes]:
    """Serve, correctly signed, what the hub served before."""
    return world.before


def rolled_back_targets(world: World) -> dict[str, bytes]:
    thief = Thief(world, "snapshot", "timestamp")
    return thief.announce(world.served()["2.targets.json"], 2)


def mixed(world: World) -> dict[str, bytes]:
    """Serve the newest timestamp with the older snapshot under its name."""
    world.release(bundle_bytes(2))
    files, version = world.served(), Thief(world).stamp().snapshot_meta.version
    return files | {f"{version}.snapshot.json": files[f"{version - 1}.snapshot.json"]}


def mixed_targets(world: World) -> dict[str, bytes]:
    world.release(bundle_bytes(2))
    files = world.served()
    return files | {"4.targets.json": files["3.targets.json"]}


def root_of_another(world: World) -> dict[str, bytes]:
    """Serve a second root that only the attacker, and one of the two keys it takes, have signed."""
    thief = Thief(world)
    root = Metadata[Root].from_bytes(world.first_root).signed
    root.version = 2
    for role in ("root", "targets", "snapshot", "timestamp"):
        root.add_key(thief.keys[role][0].public_key, role)
    root.roles["root"].threshold = 1
    metadata = Metadata(root)
    metadata.sign(world.keys["root"][0])
    metadata.sign(thief.keys["root"][0], append=True)
    return thief.evil_release() | {"2.root.json": metadata.to_bytes()}


def missing_snapshot(world: World) -> dict[str, bytes]:
    world.release(bundle_bytes(2))
    return {name: data for name, data in world.served().items() if "snapshot" not in name}


def garbage(world: World) -> dict[str, bytes]:
    return world.served() | {"timestamp.json": b"[" * 10_000}


ATTACKS: list[tuple[str, Callable[[World], dict[str, bytes]], type[Exception]]] = [
    ("arbitrary software", arbitrary, TrustError),
    ("arbitrary software, hub's keys stolen", arbitrary_with_the_hubs_keys, TrustError),
    ("arbitrary software, a signed byte changed", forged_byte, TrustError),
    ("endless data: root", endless("root"), TrustError),
    ("endless data: timestamp", endless("timestamp"), TrustError),
    ("endless data: snapshot", endless("snapshot"), TrustError),
    ("endless data: targets", endless("targets"), TrustError),
    ("rollback of everything", rolled_back, TrustError),
    ("rollback of targets, hub's keys stolen", rolled_back_targets, TrustError),
    ("mix and match: snapshot", mixed, TrustError),
    ("mix and match: targets", mixed_targets, TrustError),
    ("key compromise, one of two of three", root_of_another, TrustError),
    ("malicious mirror: withholds", missing_snapshot, LinkError),
    ("malicious mirror: garbage", garbage, TrustError),
]  # fmt: skip


@pytest.mark.parametrize(("attack", "error"), [case[1:] for case in ATTACKS], ids=[case[0] for case in ATTACKS])
def test_attacks(
    world: World, device: Device, attack: Callable[[World], dict[str, bytes]], error: type[Exception]
) -> None:
    world.release(bundle_bytes(0))
    world.before = world.served()
    world.release(bundle_bytes(1))
    good = digest_of(bundle_bytes(1))
    fresh = Device(world, device.folder.with_name("fresh"))  # one that has never seen anything but its root
    assert device.take(world.served(), good).release.version == "1.1"
    files = attack(world)
    for wanted in (EVIL_DIGEST, good):
        with pytest.raises((error, UnlistedError)) as caught:
            device.take(files, wanted)
        assert wanted == EVIL_DIGEST or not isinstance(caught.value, UnlistedError)
    with pytest.raises((RefusedError, LinkError)):
        fresh.take(files, EVIL_DIGEST)
    world.pass_time(hours=1)
    world.release(bundle_bytes(3))
    world.release(bundle_bytes(4))
    assert device.take(world.served(), digest_of(bundle_bytes(4))).digest == digest_of(bundle_bytes(4))


def test_who_holds_the_targets_key_can_release(world: World, device: Device) -> None:
    """The control: the same attack with the author's targets key succeeds, so the tests above can fail."""
    world.release(bundle_bytes(0))
    files = Thief(world, "snapshot", "timestamp", "targets").evil_release()
    assert device.take(files, EVIL_DIGEST).digest == EVIL_DIGEST


def test_a_stolen_targets_key_is_revoked_by_a_root(world: World, device: Device) -> None:
    world.release(bundle_bytes(0))
    old = world.rotate("targets")
    thief = Thief(world, "snapshot", "timestamp")
    thief.keys["targets"] = [old]
    with pytest.raises(TrustError):
        device.take(thief.evil_release(), EVIL_DIGEST)


def test_indefinite_freeze_ends_with_the_timestamp(world: World, device: Device) -> None:
    item = world.release(bundle_bytes(0))
    frozen = world.served()
    world.release(bundle_bytes(1))
    device.take(frozen, item.digest, world.now + timedelta(days=6))
    with pytest.raises(ExpiredError, match="what runs goes on"):
        device.take(frozen, item.digest, world.now + timedelta(days=8))
    device.take(world.served(), item.digest)  # until the hub is heard again


def test_fast_forward_is_healed_by_a_root_with_new_keys(world: World, device: Device) -> None:
    item = world.release(bundle_bytes(0))
    device.take(world.served(), item.digest)
    thief = Thief(world, "snapshot", "timestamp")
    snapshot, stamp = thief.snapshot(), thief.stamp()
    snapshot.version = stamp.version = 2**31
    data = thief.signed("snapshot", snapshot)
    stamp.snapshot_meta = MetaFile.from_data(2**31, data, ["sha256"])
    files = {f"{2**31}.snapshot.json": data, "timestamp.json": thief.signed("timestamp", stamp)}
    device.take(world.served() | files, item.digest)  # correctly signed: it works, and harms
    world.release(bundle_bytes(1))
    with pytest.raises(TrustError):
        device.take(world.served(), item.digest)
    world.rotate("snapshot")
    world.rotate("timestamp")
    assert device.take(world.served(), digest_of(bundle_bytes(1))).release.version == "1.1"


def test_extraneous_dependencies_and_wrong_software(world: World, device: Device) -> None:
    """A device takes the one bundle that it was told to, of the model whose name is signed; there are no others."""
    pump, fan = world.release(bundle_bytes(0, name="pump")), world.release(bundle_bytes(0, name="fan"))
    found = device.take(world.served(), pump.digest)
    assert (found.digest, found.release.model) == (pump.digest, "pump")
    assert found.digest != fan.digest
    assert {name.split(".", 1)[-1] for name in device.asked} <= {"root.json", "json", "snapshot.json", "targets.json"}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({}, TrustError),
        ({CUSTOM: 5}, TrustError),
        ({CUSTOM: {"format": 2}}, NewerFormatError),
        ({CUSTOM: {"chunks": "AAAA"}}, TrustError),
        ({CUSTOM: {"chunks": "not base64!"}}, TrustError),
        ({CUSTOM: {"model": "../../x"}}, TrustError),
        ({CUSTOM: {"version": "01.0"}}, TrustError),
        ({CUSTOM: {"chunk_bytes": 1}}, TrustError),
        ({CUSTOM: {"constraints": None}}, TrustError),
    ],
)
def test_an_author_who_signs_nonsense(
    world: World, device: Device, change: dict[str, object], error: type[Exception]
) -> None:
    thief = Thief(world, "snapshot", "timestamp", "targets")
    target = evil_target()
    custom = target.unrecognized_fields["custom"]
    inner = change.get(CUSTOM)
    target.unrecognized_fields["custom"] = {CUSTOM: custom[CUSTOM] | inner} if isinstance(inner, dict) else change
    targets = thief.targets()
    targets.version += 1
    targets.targets[path_of(EVIL_DIGEST)] = target
    with pytest.raises(error):
        device.take(thief.announce(thief.signed("targets", targets), targets.version), EVIL_DIGEST)


@pytest.mark.slow
def test_roots_1_to_5_for_a_device_that_slept(world: World, device: Device) -> None:
    item = world.release(bundle_bytes(0))
    world.rotate("root")  # 2
    device.take(world.served(), item.digest)
    device.asked.clear()
    for role in ("root", "targets", "root"):  # 3, 4, 5 while the device is off; by then every first key has gone
        world.pass_time(days=100)
        world.rotate(role)
    late = world.release(bundle_bytes(1))
    assert world.hub.root().version == 5
    gap = {name: data for name, data in world.served().items() if name != "4.root.json"}
    with pytest.raises(TrustError):  # a mirror that leaves one out
        device.take(gap, late.digest)
    assert device.take(world.served(), late.digest).digest == late.digest
    assert {"3.root.json", "4.root.json", "5.root.json", "6.root.json"} <= set(device.asked)
    fresh = Device(world, device.folder.with_name("fresh"))
    assert fresh.take(world.served(), late.digest).digest == late.digest


def test_the_clock_is_never_earlier_than_what_is_known(world: World, device: Device) -> None:
    item = world.release(bundle_bytes(0))
    dead = datetime(1970, 1, 1, tzinfo=UTC)
    device.take(world.served(), item.digest, dead)  # as if built today: nothing has expired by then
    device.take(world.served(), item.digest, world.now + timedelta(days=6))
    frozen = world.served()
    world.pass_time(days=8)
    world.hub.renew()
    device.take(world.served(), item.digest)
    shutil.rmtree(device.folder / "metadata")  # or the older version would be refused as a rollback
    with pytest.raises(ExpiredError):  # the battery is dead, but the device remembers
        Device(world, device.folder).take(frozen, item.digest, dead)


def test_a_clock_that_ran_ahead_does_not_lock_out(world: World, device: Device) -> None:
    item = world.release(bundle_bytes(0))
    with pytest.raises(ExpiredError):
        device.take(world.served(), item.digest, datetime(2090, 1, 1, tzinfo=UTC))
    device.take(world.served(), item.digest)


def test_trust_is_flushed_before_it_counts(world: World, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    item = world.release(bundle_bytes(0))
    written: list[str] = []

    def watched(path: Path, data: bytes) -> None:
        written.append(path.name)
        write_file(path, data)

    monkeypatch.setattr(trust, "write_file", watched)
    device.take(world.served(), item.digest)
    assert written == ["1.root.json", "timestamp.json", "snapshot.json", "targets.json", "clock.json"]


def test_a_folder_that_is_not_ours(world: World, device: Device) -> None:
    item = world.release(bundle_bytes(0))
    device.folder.mkdir()
    (device.folder / "clock.json").write_bytes(b'{"trusted_s": 1e300}')
    with pytest.raises(StateError, match="kept time"):
        device.take(world.served(), item.digest)
    (device.folder / "clock.json").unlink()
    (device.folder / "metadata").write_bytes(b"")
    with pytest.raises(StateError, match="cannot be kept"):
        device.take(world.served(), item.digest)
    device.root = b"{}"
    (device.folder / "metadata").unlink()
    with pytest.raises(TrustError):
        device.take(world.served(), item.digest)


def test_nothing_signed_lists_it(world: World, device: Device) -> None:
    with pytest.raises(UnlistedError):
        device.take(world.served(), EVIL_DIGEST)
    world.release(bundle_bytes(0))
    with pytest.raises(UnlistedError):
        device.take(world.served(), "../../etc/passwd")
