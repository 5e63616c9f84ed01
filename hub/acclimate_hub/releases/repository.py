"""The hub's side of a TUF repository: it holds the snapshot and timestamp keys, and no others.

An author hands in signed targets (and perhaps new roots). The hub checks them as a device will, then says with its own
keys that they are the newest: a snapshot, then a timestamp, which is signed again before it expires. What it cannot do
is change or add a release; a thief of its keys can hold releases back, no more.

Files lie in one folder under the names that devices ask for (``tuf/{name}``). The timestamp is written last, so that
whoever reads sees one consistent state or the one before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from acclimate_hub.releases import chain
from acclimate_shared.durable import write_file
from acclimate_shared.errors import MissingFileError, UsageError
from acclimate_shared.release import ExpiredError, Listed, TrustError
from acclimate_shared.update_file import METADATA_NAME

Clock = Callable[[], datetime]
HasBlob = Callable[[str, int], bool]  # digest and bytes of a bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long what the hub signs is good, and when it is signed again."""

    snapshot: timedelta = timedelta(days=14)
    timestamp: timedelta = timedelta(days=7)
    renew_before: timedelta = timedelta(days=5)  # of the end


class Repository:
    """See the module.

    Attributes:
        folder: Where the metadata lie.
    """

    def __init__(
        self, folder: Path, *, snapshot: Signer, timestamp: Signer, clock: Clock, lifetimes: Lifetimes | None = None
    ) -> None:
        """Open a repository.

        Args:
            folder: With at least ``1.root.json`` in it, or an empty one before the first ``accept``.
            snapshot: Signs snapshots.
            timestamp: Signs timestamps.
            clock: Returns now, with a time zone.
            lifetimes: Of what is signed here.
        """
        self.folder = folder
        self._snapshot, self._timestamp, self._clock = snapshot, timestamp, clock
        self._lifetimes = lifetimes or Lifetimes()

    def read(self, name: str) -> bytes | None:
        """Return a metadata file by the name that a device asks for, or None."""
        if not METADATA_NAME.fullmatch(name):
            return None
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def served(self) -> dict[str, bytes]:
        """Return what devices may need, by name: all roots, the timestamp, and the snapshot and targets it leads to.

        Raises:
            MissingFileError: If nothing has been accepted yet.
        """
        stamp = self._current_timestamp()
        if stamp is None:
            raise MissingFileError("nothing was released yet", field="timestamp.json", remedy="accept a release first")
        version = stamp.signed.snapshot_meta.version
        snapshot = Metadata[Snapshot].from_bytes(self._need(f"{version}.snapshot.json"))
        names = [f"{i + 1}.root.json" for i in range(self.root().version)]
        names += ["timestamp.json", f"{version}.snapshot.json"]
        names.append(f"{snapshot.signed.meta['targets.json'].version}.targets.json")
        return {name: self._need(name) for name in names}

    def root(self) -> Root:
        """Return the newest root, followed from the first.

        Raises:
            MissingFileError: If there is none yet.
            TrustError: If the chain is broken.
        """
        first = self._need("1.root.json")
        return chain.follow(first, self._later_roots(1)).signed

    def listed(self) -> list[Listed]:
        """Return the releases that the current targets list; none before the first ``accept``.

        Raises:
            TrustError: If the metadata are damaged.
        """
        targets = self._current_targets()
        return [] if targets is None else chain.listed(targets.signed)

    def accept(self, files: Mapping[str, bytes], has_blob: HasBlob) -> list[Listed]:
        """Take what an author has signed, and sign a snapshot and a timestamp over it.

        Args:
            files: ``N.root.json`` and ``N.targets.json`` by name; known ones are passed over. The very first root is
                taken on the word of whoever calls.
            has_blob: Whether a bundle is here; a release whose bundle is missing is not announced.

        Returns:
            All releases that are listed now.

        Raises:
            TrustError: If something is not signed as it must be, or older than what is here.
            ExpiredError: If root or targets have expired.
            MissingFileError: If there is no root or no targets, or a listed bundle is not here.
            UsageError: If the root does not name the hub's keys.
        """
        first = self.read("1.root.json") or files.get("1.root.json")
        if first is None:
            raise MissingFileError("no root of trust", field="1.root.json", remedy="hand it in with the first release")
        kept = self._later_roots(1)
        fresh = chain.roots_in(files, 1 + len(kept))
        root = chain.follow(first, kept + fresh).signed
        self._check_keys(root)
        self._check_fresh(root, "root")
        targets, data = self._newest_targets(root, files)
        releases = chain.listed(targets)
        for release in releases:
            if not has_blob(release.digest, release.length):
                raise MissingFileError("a listed bundle is not here", field="digest", value=release.digest)
        write_file(self.folder / "1.root.json", first)
        for number, new in enumerate(fresh, 2 + len(kept)):
            write_file(self.folder / f"{number}.root.json", new)
        write_file(self.folder / f"{targets.version}.targets.json", data)
        self._sign(targets.version, data)
        return releases

    def renew(self) -> bool:
        """Sign snapshot and timestamp again if one ends soon, or was signed with keys that the root has replaced.

        Returns:
            Whether there was anything to do.

        Raises:
            UsageError: If the root does not name the hub's keys.
            TrustError: If the metadata are damaged.
        """
        stamp, targets = self._current_timestamp(), self._current_targets()
        if stamp is None or targets is None:
            return False
        root = self.root()
        self._check_keys(root)
        snapshot = Metadata[Snapshot].from_bytes(self._need(f"{stamp.signed.snapshot_meta.version}.snapshot.json"))
        soon = self._clock() + self._lifetimes.renew_before
        known = self._snapshot.public_key.keyid in snapshot.signatures
        known = known and self._timestamp.public_key.keyid in stamp.signatures
        if known and min(stamp.signed.expires, snapshot.signed.expires) > soon:
            return False
        self._sign(targets.signed.version, self._need(f"{targets.signed.version}.targets.json"))
        return True

    def _newest_targets(self, root: Root, files: Mapping[str, bytes]) -> tuple[Targets, bytes]:
        """Return the newest targets, handed in or here, verified against the newest root."""
        here = self._current_targets()
        versions = [int(name.split(".")[0]) for name in files if name.endswith(".targets.json")]
        if here is not None:
            versions.append(here.signed.version)
        if not versions:
            raise MissingFileError("no targets", field="targets.json", remedy="hand in signed targets")
        name = f"{max(versions)}.targets.json"
        data = self.read(name) or files[name]
        if name in files and files[name] != data:
            raise TrustError("other targets of that version are here", field="version", value=max(versions))
        targets = chain.verified_targets(root, data).signed
        if targets.version != max(versions):
            raise TrustError("targets of another version than named", field="version", value=targets.version)
        self._check_fresh(targets, "targets")
        return targets, data

    def _check_fresh(self, signed: Root | Targets, what: str) -> None:
        if signed.is_expired(self._clock()):
            remedy = "let its author sign it again"
            raise ExpiredError(f"the {what} metadata has expired", field="expires", value=signed.expires, remedy=remedy)

    def _check_keys(self, root: Root) -> None:
        for role, signer in (("snapshot", self._snapshot), ("timestamp", self._timestamp)):
            if signer.public_key.keyid not in root.roles[role].keyids or root.roles[role].threshold > 1:
                remedy = "let the author rotate the root"
                raise UsageError(f"the root does not name this hub's {role} key", field=role, remedy=remedy)

    def _sign(self, version: int, targets: bytes) -> None:
        now, old = self._clock().replace(microsecond=0), self._current_timestamp()
        number = 1 if old is None else old.signed.snapshot_meta.version + 1
        meta = {"targets.json": MetaFile.from_data(version, targets, ["sha256"])}
        snapshot = Metadata(Snapshot(version=number, expires=now + self._lifetimes.snapshot, meta=meta))
        snapshot.sign(self._snapshot)
        data = snapshot.to_bytes()
        write_file(self.folder / f"{number}.snapshot.json", data)
        stamp = Timestamp(
            version=1 if old is None else old.signed.version + 1,
            expires=now + self._lifetimes.timestamp,
            snapshot_meta=MetaFile.from_data(number, data, ["sha256"]),
        )
        signed = Metadata(stamp)
        signed.sign(self._timestamp)
        write_file(self.folder / "timestamp.json", signed.to_bytes())

    def _current_timestamp(self) -> Metadata[Timestamp] | None:
        data = self.read("timestamp.json")
        return None if data is None else Metadata[Timestamp].from_bytes(data)

    def _current_targets(self) -> Metadata[Targets] | None:
        stamp = self._current_timestamp()
        if stamp is None:
            return None
        snapshot = Metadata[Snapshot].from_bytes(self._need(f"{stamp.signed.snapshot_meta.version}.snapshot.json"))
        return chain.parse_targets(self._need(f"{snapshot.signed.meta['targets.json'].version}.targets.json"))

    def _later_roots(self, after: int) -> list[bytes]:
        found: list[bytes] = []
        while (data := self.read(f"{after + len(found) + 1}.root.json")) is not None:
            found.append(data)
        return found

    def _need(self, name: str) -> bytes:
        data = self.read(name)
        if data is None:
            raise MissingFileError("a metadata file is missing", field=name, remedy="restore the folder of the hub")
        return data


def utc_now() -> datetime:
    """Return the time of this machine's clock."""
    return datetime.now(UTC)
