from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Snapshot, Timestamp

from acclimate_hub.releases.keys import load_key, load_public, new_key
from acclimate_shared.errors import MissingFileError, UsageError
from acclimate_shared.release import ExpiredError, TrustError
from tests.bundles import bundle_bytes
from tests.trust import World, only


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def versions(world: World) -> tuple[int, int]:
    stamp = Metadata[Timestamp].from_bytes(world.hub.read("timestamp.json") or b"").signed
    return stamp.version, stamp.snapshot_meta.version


def test_serves_what_an_author_signed(world: World) -> None:
    item = world.release()
    assert world.hub.listed() == [item]
    assert sorted(world.hub.served()) == ["1.root.json", "2.snapshot.json", "2.targets.json", "timestamp.json"]
    for name in ("../author/metadata/1.root.json", "1.root.json/", "x", "", "0.root.json", "root.json"):
        assert world.hub.read(name) is None
    assert versions(world) == (2, 2)


def test_refuses_what_an_author_did_not_sign(world: World) -> None:
    world.release()
    state = world.served()
    world.author.add(bundle_bytes(1), world.now)
    staged = (world.folder / "author" / "staged" / "targets.json").read_bytes()
    forged = Metadata.from_bytes(staged)
    forged.sign(world.keys["snapshot"][0])
    good = world.author.signed()["2.targets.json"]
    for data in (staged, forged.to_bytes(), good, good.replace(b"counter", b"countre"), b"{}", b""):
        with pytest.raises(TrustError):
            world.hub.accept({"3.targets.json": data}, lambda *_: True)
    with pytest.raises(TrustError, match="other targets of that version"):
        world.hub.accept({"2.targets.json": good + b" "}, lambda *_: True)
    assert world.served() == state


def test_an_older_release_is_passed_over(world: World) -> None:
    world.release()
    world.hub.accept(only(world.author.signed(), "1.targets.json"), lambda *_: True)
    assert len(world.hub.listed()) == 1


def test_announces_only_bundles_that_are_there(world: World) -> None:
    world.author.add(bundle_bytes(), world.now)
    world.sign("targets")
    with pytest.raises(MissingFileError, match="not here"):
        world.publish()
    assert world.hub.listed() == []


def test_needs_keys_that_the_root_names(world: World) -> None:
    other = World(world.folder / "other")
    world.keys["timestamp"] = other.keys["timestamp"]
    with pytest.raises(UsageError, match="timestamp key"):
        world.new_hub().accept(world.author.signed(), lambda *_: True)
    with pytest.raises(UsageError, match="timestamp key"):
        world.new_hub().renew()
    with pytest.raises(TrustError):  # the roots of somebody else
        world.hub.accept({"2.root.json": other.first_root}, lambda *_: True)


def test_signs_again_before_the_end(world: World) -> None:
    world.release()
    assert not world.hub.renew()
    world.pass_time(days=3)
    assert world.hub.renew()
    assert not world.hub.renew()
    world.rotate("snapshot")
    snapshot = Metadata[Snapshot].from_bytes(world.hub.served()[f"{versions(world)[1]}.snapshot.json"])
    assert set(snapshot.signatures) == {world.keys["snapshot"][0].public_key.keyid}
    assert not world.hub.renew()


def test_does_not_announce_what_has_expired(world: World) -> None:
    world.release()
    world.pass_time(days=366)
    with pytest.raises(ExpiredError, match="targets"):
        world.publish()
    world.author.renew("targets", world.now)
    world.sign("targets")
    world.publish()
    world.pass_time(days=400)
    with pytest.raises(ExpiredError, match="root"):
        world.publish()


def test_an_empty_hub(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.folder = tmp_path / "new"
    hub = world.new_hub()
    assert hub.listed() == []
    assert not hub.renew()
    for act in (hub.served, hub.root, lambda: hub.accept({}, lambda *_: True)):
        with pytest.raises(MissingFileError):
            act()
    with pytest.raises(MissingFileError, match="no targets"):
        hub.accept(only(world.author.signed(), "root.json"), lambda *_: True)


def test_keys_in_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = "correct horse battery"
    public = new_key(tmp_path / "k" / "targets", words)
    file = tmp_path / "k" / "targets.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in file.read_bytes()
    assert load_public(tmp_path / "k" / "targets") == load_public(tmp_path / "k" / "targets.pub.json") == public
    assert load_key(file, words).public_key == load_key(tmp_path / "k" / "targets", words).public_key == public
    for path, phrase in ((file, "wrong horse battery"), (file, ""), (tmp_path / "none", words), (tmp_path, words)):
        with pytest.raises(UsageError, match="cannot be opened") as caught:
            load_key(path, phrase)
        assert words not in str(caught.value)
        assert caught.value.__cause__ is None
    with pytest.raises(UsageError, match="already"):
        new_key(tmp_path / "k" / "targets", words)
    with pytest.raises(UsageError, match="too short"):
        new_key(tmp_path / "k" / "short", "seven77")
    assert words not in caplog.text


def test_files_that_are_no_keys(tmp_path: Path) -> None:
    plain = World(tmp_path / "w").keys["root"][0].private_bytes
    (tmp_path / "plain.pem").write_bytes(plain)
    with pytest.raises(UsageError, match="must be encrypted"):
        load_key(tmp_path / "plain.pem", "some passphrase")
    (tmp_path / "big.pem").write_bytes(bytes(1 << 20))
    with pytest.raises(UsageError, match="cannot be opened"):
        load_key(tmp_path / "big.pem", "some passphrase")
    for text in (b"{}", b"x", b'{"keyid":"a","keytype":"rsa","scheme":"ed25519","public":"00"}', b" " * (1 << 20)):
        (tmp_path / "a.pub.json").write_bytes(text)
        with pytest.raises(UsageError):
            load_public(tmp_path / "a")
