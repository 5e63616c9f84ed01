"""A whole chain of releases for tests: an author's folder, a hub's repository, keys in memory, a clock that is told."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from securesystemslib.signer import CryptoSigner

from acclimate_hub.releases.keys import load_public
from acclimate_hub.releases.repository import Lifetimes, Repository
from acclimate_hub.releases.shelf import Shelf
from acclimate_shared.bundle import digest_of
from acclimate_shared.release import Listed
from acclimate_tools.author.release.repository import AuthorRepository
from tests.bundles import bundle_bytes

START = datetime(2027, 3, 1, tzinfo=UTC)


class World:
    """An author and a hub.

    Attributes:
        now: What their clocks say.
        keys: Signers by role.
        bundles: What was released, by digest.
        before: What the hub served at an earlier time, where a test needs it.
    """

    def __init__(self, folder: Path, now: datetime = START) -> None:
        """Make keys, a root (2 of 3) and empty targets, and hand them to the hub."""
        self.folder, self.now = folder, now
        names = {"root": 3, "targets": 1, "snapshot": 1, "timestamp": 1}
        self.keys = {role: [CryptoSigner.generate_ed25519() for _ in range(n)] for role, n in names.items()}
        self.author = AuthorRepository(folder / "author")
        self.author.init({role: [key.public_key for key in keys] for role, keys in self.keys.items()}, self.now)
        self.sign("root", "targets")
        self.bundles: dict[str, bytes] = {}
        self.before: dict[str, bytes] = {}
        self.hub = self.new_hub()
        self.publish()

    def new_hub(self) -> Repository:
        """Return the hub's repository with the keys of now."""
        snapshot, timestamp = self.keys["snapshot"][0], self.keys["timestamp"][0]
        return Repository(
            self.folder / "tuf", snapshot=snapshot, timestamp=timestamp, clock=lambda: self.now, lifetimes=Lifetimes()
        )

    def sign(self, *roles: str) -> None:
        """Sign with as many keys of each role as it takes."""
        for role in roles:
            for key in self.keys[role][: 2 if role == "root" else 1]:
                self.author.sign(key)

    def publish(self) -> None:
        """Hand what is signed to the hub."""
        self.hub.accept(self.author.signed(), lambda digest, length: len(self.bundles.get(digest, b"")) == length)

    def release(self, data: bytes | None = None) -> Listed:
        """Release a bundle."""
        data = bundle_bytes() if data is None else data
        item = self.author.add(data, self.now)
        self.sign("targets")
        self.bundles[digest_of(data)] = data
        self.publish()
        return item

    def rotate(self, role: str) -> CryptoSigner:
        """Replace the first key of a role; return the old one."""
        old, new = self.keys[role][0], CryptoSigner.generate_ed25519()
        self.author.rotate(role, self.now, add=[new.public_key], remove=[old.public_key.keyid])
        # A root is signed by two keys of the old one and two of the new: the two that both have, for its own role.
        for key in self.keys["root"][1:]:
            self.author.sign(key)
        self.keys[role] = [*self.keys[role][1:], new] if role == "root" else [new]
        if role == "targets":
            self.sign("targets")
        self.hub = self.new_hub()
        self.publish()
        return old

    def hand_over(self, shelf: Shelf, data: bytes) -> Listed:
        """Release a bundle on the shelf of a hub, whose keys replace those that the hub of tests has."""
        for role in ("snapshot", "timestamp"):
            old = self.keys[role][0].public_key.keyid
            self.author.rotate(role, self.now, add=[load_public(shelf.keys / role)], remove=[old])
            for key in self.keys["root"][1:]:
                self.author.sign(key)
        item = self.author.add(data, self.now)
        self.sign("targets")
        (listed,) = shelf.publish(self.author.signed(), {item.digest: data})
        return listed

    def pass_time(self, **how: float) -> None:
        """Move the clock on."""
        self.now += timedelta(**how)

    @property
    def first_root(self) -> bytes:
        """What a device is given when it is set up."""
        return self.author.signed()["1.root.json"]

    def served(self) -> dict[str, bytes]:
        """Return all files of the hub, old ones too."""
        return {path.name: path.read_bytes() for path in (self.folder / "tuf").iterdir()}


def only(files: Mapping[str, bytes], *endings: str) -> dict[str, bytes]:
    """Return the files whose names end so."""
    return {name: data for name, data in files.items() if name.endswith(endings)}
