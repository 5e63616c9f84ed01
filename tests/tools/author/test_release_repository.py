from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from acclimate_hub.releases import chain
from acclimate_shared.bundle import digest_of
from acclimate_shared.errors import PackageError, UsageError
from acclimate_shared.release import TrustError, next_version
from acclimate_tools.author.release.repository import AuthorRepository
from tests.bundles import bundle, bundle_bytes
from tests.trust import START, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_root_needs_two_of_three(tmp_path: Path) -> None:
    keys = [CryptoSigner.generate_ed25519() for _ in range(6)]
    public = [key.public_key for key in keys]
    author = AuthorRepository(tmp_path / "a")
    author.init({"root": public[:3], "targets": [public[3]], "snapshot": [public[4]], "timestamp": [public[5]]}, START)
    assert author.sign(keys[0]) == ["root 1 signed, 1 more to go"]
    assert author.sign(keys[0]) == ["root 1 signed, 1 more to go"]  # the same key again is no second one
    assert author.sign(keys[3]) == ["targets 1 signed"]  # waits for the root
    assert author.signed() == {}
    assert author.status()["root, staged"] == "version 1, 1 signatures missing"
    assert author.sign(keys[2]) == ["root 1 signed", "root 1 is ready", "targets 1 is ready"]
    assert sorted(author.signed()) == ["1.root.json", "1.targets.json"]
    for key in (keys[4], CryptoSigner.generate_ed25519()):
        with pytest.raises(UsageError, match="nothing waits"):
            author.sign(key)
    with pytest.raises(UsageError, match="already"):
        author.init({}, START)


def test_what_a_repository_must_not_be(tmp_path: Path) -> None:
    public = [CryptoSigner.generate_ed25519().public_key for _ in range(5)]
    good = {"root": public[:2], "targets": public[2:3], "snapshot": public[3:4], "timestamp": public[4:]}
    for change, words in (
        ({"root": public[:1]}, "too few keys for root"),
        ({"timestamp": []}, "too few keys for timestamp"),
        ({"snapshot": public[2:3]}, "also one of root or targets"),
    ):
        with pytest.raises(UsageError, match=words):
            AuthorRepository(tmp_path / "a").init(good | change, START)
    for act in (AuthorRepository(tmp_path / "b").renew, AuthorRepository(tmp_path / "b").withdraw):
        with pytest.raises(UsageError, match="no repository"):
            act("root", START)


def test_versions_follow_from_what_was_released(world: World) -> None:
    first, second = world.release(bundle_bytes(0)), world.release(bundle_bytes(1))
    other = world.release(bundle_bytes(0, name="other"))
    assert [item.release.version for item in (first, second, other)] == ["1.0", "1.1", "1.0"]
    released = [item.release for item in world.author.listed()]
    assert next_version(released, "counter", bundle().architecture) == "1.2"
    assert next_version(released, "counter", "f" * 64) == "2.0"
    assert world.author.bundle_path(first.digest).read_bytes() == bundle_bytes(0)
    with pytest.raises(UsageError, match="released already"):
        world.author.add(bundle_bytes(0), world.now)
    with pytest.raises(PackageError):
        world.author.add(b"no bundle", world.now)


def test_a_release_is_withdrawn_by_the_author(world: World) -> None:
    item = world.release()
    world.author.withdraw(item.digest, world.now)
    world.sign("targets")
    assert world.author.listed() == []
    world.publish()
    assert world.hub.listed() == []
    with pytest.raises(UsageError, match="no such release"):
        world.author.withdraw(digest_of(b""), world.now)


def test_changes_are_staged_together(world: World) -> None:
    world.author.add(bundle_bytes(0), world.now)
    world.author.add(bundle_bytes(1), world.now)
    assert world.author.listed() == []
    world.sign("targets")
    assert len(world.author.listed()) == 2
    assert "2.targets.json" in world.author.signed()


def test_a_new_root_needs_the_old_keys_and_its_own(world: World) -> None:
    new = [CryptoSigner.generate_ed25519() for _ in range(3)]
    old = world.keys["root"]
    for key, gone in zip(new, old, strict=True):  # all three at once
        world.author.rotate("root", world.now, add=[key.public_key], remove=[gone.public_key.keyid])
    for key in new[:2]:
        world.author.sign(key)
    assert "2.root.json" not in world.author.signed()
    with pytest.raises(TrustError):
        chain.follow(world.first_root, [(world.folder / "author" / "staged" / "root.json").read_bytes()])
    for key in old[:2]:
        world.author.sign(key)
    assert chain.follow(world.first_root, [world.author.signed()["2.root.json"]]).signed.version == 2
    with pytest.raises(UsageError, match="no such key"):
        world.author.rotate("root", world.now, remove=[old[0].public_key.keyid])
    with pytest.raises(UsageError, match="too few"):
        world.author.rotate("targets", world.now, remove=[world.keys["targets"][0].public_key.keyid])


def test_roots_are_followed_without_a_gap(world: World) -> None:
    world.rotate("timestamp")
    world.rotate("snapshot")
    files = world.author.signed()
    assert chain.roots_in(files, 0) == [files[f"{i}.root.json"] for i in (1, 2, 3)]
    with pytest.raises(TrustError):
        chain.follow(files["1.root.json"], [files["3.root.json"]])
    with pytest.raises(TrustError):
        chain.follow(files["1.root.json"], [files["1.root.json"]])
    with pytest.raises(TrustError):
        chain.parse_root(files["1.targets.json"])
    for junk in (b"", b"{}", b"[" * 100_000, b" " * (chain.MAX_ROOT_BYTES + 1)):
        with pytest.raises(TrustError):
            chain.parse_root(junk)


def test_renewing_moves_the_end(world: World) -> None:
    before = chain.parse_targets(world.author.signed()["1.targets.json"]).signed.expires
    world.pass_time(days=100)
    world.author.renew("targets", world.now)
    world.author.renew("root", world.now)
    world.sign("root", "targets")
    after = chain.parse_targets(world.author.signed()["2.targets.json"]).signed.expires
    assert after - before == timedelta(days=100)
    assert world.author.status()["root"].startswith("version 2, good until")
