"""The author's side of a TUF repository: root and targets, signed offline, a threshold of keys at a time.

A folder with ``metadata/`` (what is signed and may be handed to a hub), ``staged/`` (what still lacks signatures) and
``bundles/``. A change is staged, then signed with one key after another, on as many machines as there are keys; the
signature that meets the threshold moves it to ``metadata/``. A new root must be signed by a threshold of the old root's
keys as well (TUF specification 1.0, §6.1).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from securesystemslib.signer import Signer, SSlibKey
from tuf.api.metadata import Metadata, Root, TargetFile, Targets

from acclimate_hub.releases import chain
from acclimate_shared.bundle import describe, digest_of, read_bundle
from acclimate_shared.durable import sync_folder, write_file
from acclimate_shared.errors import UsageError
from acclimate_shared.release import CUSTOM, Listed, next_version, path_of

HUB_ROLES = ("snapshot", "timestamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long signatures are good, and how many keys must sign."""

    root: timedelta = timedelta(days=730)
    targets: timedelta = timedelta(days=365)
    root_threshold: int = 2
    targets_threshold: int = 1


class AuthorRepository:
    """See the module."""

    def __init__(self, folder: Path, terms: Terms | None = None) -> None:
        """Open the folder; ``init`` makes its first content."""
        self._folder, self._terms = folder, terms or Terms()

    def init(self, keys: Mapping[str, list[SSlibKey]], now: datetime) -> None:
        """Stage the first root and empty targets.

        Args:
            keys: Public keys of ``root``, ``targets``, ``snapshot`` and ``timestamp``.
            now: Where lifetimes start.

        Raises:
            UsageError: If the folder is in use, a role has fewer keys than its threshold, or the hub's keys are the
                author's.
        """
        if self._latest("root") or self._staged("root").exists():
            raise UsageError("there is a repository already", field="folder", value=str(self._folder))
        root = Root(expires=_end(now, self._terms.root), consistent_snapshot=True)
        root.roles["root"].threshold = self._terms.root_threshold
        root.roles["targets"].threshold = self._terms.targets_threshold
        for role in chain.ROLES:
            for key in keys.get(role, []):
                root.add_key(key, role)
        _check_roles(root)
        self._stage("root", Metadata(root))
        self._stage("targets", Metadata(Targets(expires=_end(now, self._terms.targets))))

    def add(self, data: bytes, now: datetime) -> Listed:
        """Stage targets that list one bundle more; its version follows from what was released before.

        Raises:
            PackageError: If it is not a bundle.
            UsageError: If it is listed already.
        """
        targets = self._next_targets(now)
        digest = digest_of(data)
        if path_of(digest) in targets.targets:
            raise UsageError("the bundle is released already", field="digest", value=digest)
        bundle = read_bundle(data, digest=digest)
        released = (item.release for item in chain.listed(targets))
        item = describe(data, next_version(released, bundle.package.manifest.name, bundle.architecture))
        custom = {CUSTOM: msgspec.to_builtins(item.release)}
        targets.targets[path_of(digest)] = TargetFile(
            item.length, {"sha256": digest}, path_of(digest), {"custom": custom}
        )
        write_file(self.bundle_path(digest), data)
        self._stage("targets", Metadata(targets))
        return item

    def withdraw(self, digest: str, now: datetime) -> None:
        """Stage targets without a bundle: no device takes it from then on.

        Raises:
            UsageError: If it is not listed.
        """
        targets = self._next_targets(now)
        if targets.targets.pop(path_of(digest), None) is None:
            raise UsageError("no such release", field="digest", value=digest, remedy="see: release list")
        self._stage("targets", Metadata(targets))

    def renew(self, role: str, now: datetime) -> None:
        """Stage the next version of root or targets, with nothing changed but its end.

        Raises:
            UsageError: If there is none yet.
        """
        if role == "root":
            self._stage("root", Metadata(self._next_root(now)))
        else:
            self._stage("targets", Metadata(self._next_targets(now)))

    def rotate(self, role: str, now: datetime, *, add: Iterable[SSlibKey] = (), remove: Iterable[str] = ()) -> None:
        """Stage a root with other keys for a role; targets are staged again if theirs change.

        Args:
            role: root, targets, snapshot or timestamp.
            now: Where its lifetime starts.
            add: Keys to add.
            remove: Ids of keys to revoke.

        Raises:
            UsageError: If a key to remove is not there, or too few are left.
        """
        root = self._next_root(now)
        for keyid in remove:
            if keyid not in root.roles[role].keyids:
                raise UsageError("the role has no such key", field=role, value=keyid, remedy="see: release status")
            root.revoke_key(keyid, role)
        for key in add:
            root.add_key(key, role)
        _check_roles(root)
        self._stage("root", Metadata(root))
        if role == "targets":
            self.renew("targets", now)

    def sign(self, signer: Signer) -> list[str]:
        """Sign whatever is staged and waits for this key; move what has enough signatures to ``metadata/``.

        Returns:
            What was done, a sentence each.

        Raises:
            UsageError: If nothing waits for this key.
        """
        done = []
        for role in ("root", "targets"):
            path = self._staged(role)
            if not path.exists():
                continue
            metadata = _read(role, path.read_bytes())
            delegators = self._delegators(role, metadata)
            if not any(signer.public_key.keyid in root.roles[role].keyids for root in delegators):
                continue
            metadata.sign(signer, append=True)
            write_file(path, metadata.to_bytes())
            missing = _missing(role, metadata, delegators)
            done.append(f"{role} {metadata.signed.version} signed" + (f", {missing} more to go" if missing else ""))
        if not done:
            remedy = "see what is staged, and which keys it needs: release status"
            raise UsageError("nothing waits for this key", field="key", value=signer.public_key.keyid, remedy=remedy)
        return done + self._publish_ready()

    def status(self) -> dict[str, str]:
        """Return, for root and targets, version, end, and how many signatures are missing."""
        found = {}
        for role in ("root", "targets"):
            if latest := self._latest(role):
                signed = _read(role, latest).signed
                found[role] = f"version {signed.version}, good until {signed.expires:%Y-%m-%d}"
            if self._staged(role).exists():
                metadata = _read(role, self._staged(role).read_bytes())
                missing = _missing(role, metadata, self._delegators(role, metadata))
                found[f"{role}, staged"] = f"version {metadata.signed.version}, {missing} signatures missing"
        for role in chain.ROLES:
            if root := self._root():
                keys, threshold = root.roles[role].keyids, root.roles[role].threshold
                found[f"keys of {role}"] = f"{threshold} of " + ", ".join(key[:16] for key in keys)
        return found

    def listed(self) -> list[Listed]:
        """Return the releases that are signed."""
        latest = self._latest("targets")
        return chain.listed(chain.parse_targets(latest).signed) if latest else []

    def signed(self) -> dict[str, bytes]:
        """Return all that may be handed to a hub, by name."""
        return {path.name: path.read_bytes() for path in sorted(self._metadata.glob("[0-9]*.json"))}

    def bundle_path(self, digest: str) -> Path:
        """Return where the file of a bundle lies."""
        return self._folder / "bundles" / path_of(digest)

    @property
    def _metadata(self) -> Path:
        return self._folder / "metadata"

    def _staged(self, role: str) -> Path:
        return self._folder / "staged" / f"{role}.json"

    def _stage(self, role: str, metadata: Metadata[Root] | Metadata[Targets]) -> None:
        write_file(self._staged(role), metadata.to_bytes())

    def _publish_ready(self) -> list[str]:
        """Move what has all its signatures; targets wait for a staged root, which may name other keys for them."""
        done = []
        for role in ("root", "targets"):
            if not self._staged(role).exists() or (role == "targets" and self._staged("root").exists()):
                continue
            metadata = _read(role, self._staged(role).read_bytes())
            if _missing(role, metadata, self._delegators(role, metadata)):
                continue
            write_file(self._metadata / f"{metadata.signed.version}.{role}.json", metadata.to_bytes())
            self._staged(role).unlink()
            sync_folder(self._staged(role).parent)
            done.append(f"{role} {metadata.signed.version} is ready")
        return done

    def _latest(self, role: str) -> bytes | None:
        numbers = [int(path.name.split(".")[0]) for path in self._metadata.glob(f"[0-9]*.{role}.json")]
        return (self._metadata / f"{max(numbers)}.{role}.json").read_bytes() if numbers else None

    def _root(self) -> Root | None:
        latest = self._latest("root")
        return chain.parse_root(latest).signed if latest else None

    def _delegators(self, role: str, metadata: Metadata[Root] | Metadata[Targets]) -> list[Root]:
        """Return the roots whose thresholds the metadata must meet."""
        root, staged = self._root(), self._staged("root")
        if role == "root" and isinstance(metadata.signed, Root):
            return [metadata.signed] if root is None else [root, metadata.signed]
        if staged.exists():
            return [chain.parse_root(staged.read_bytes()).signed]
        return [root] if root else []

    def _next_root(self, now: datetime) -> Root:
        if self._staged("root").exists():
            staged = chain.parse_root(self._staged("root").read_bytes()).signed
            staged.expires = _end(now, self._terms.root)
            return staged
        root = self._root()
        if root is None:
            raise UsageError("there is no repository", field="folder", value=str(self._folder), remedy="release init")
        root.version += 1
        root.expires = _end(now, self._terms.root)
        return root

    def _next_targets(self, now: datetime) -> Targets:
        """Return the staged targets to go on with, signatures dropped, or the next version."""
        if self._staged("targets").exists():
            staged = chain.parse_targets(self._staged("targets").read_bytes()).signed
            staged.expires = _end(now, self._terms.targets)
            return staged
        latest = self._latest("targets")
        if latest is None:
            raise UsageError("there is no repository", field="folder", value=str(self._folder), remedy="release init")
        targets = chain.parse_targets(latest).signed
        targets.version += 1
        targets.expires = _end(now, self._terms.targets)
        return targets


def _end(now: datetime, lifetime: timedelta) -> datetime:
    return now.replace(microsecond=0) + lifetime


def _read(role: str, data: bytes) -> Metadata[Root] | Metadata[Targets]:
    return chain.parse_root(data) if role == "root" else chain.parse_targets(data)


def _missing(role: str, metadata: Metadata[Root] | Metadata[Targets], delegators: list[Root]) -> int:
    """Return how many signatures the strictest delegator still wants."""
    results = [root.get_verification_result(role, metadata.signed_bytes, metadata.signatures) for root in delegators]
    return max((max(0, result.threshold - len(result.signed)) for result in results), default=1)


def _check_roles(root: Root) -> None:
    offline = {keyid for role in ("root", "targets") for keyid in root.roles[role].keyids}
    for name, role in root.roles.items():
        if len(role.keyids) < role.threshold:
            remedy = f"give at least {role.threshold} keys"
            raise UsageError(f"too few keys for {name}", field=name, value=len(role.keyids), remedy=remedy)
        if name in HUB_ROLES and offline & set(role.keyids):
            remedy = "give the hub keys of its own: they lie on a server"
            raise UsageError(f"a key of {name} is also one of root or targets", field=name, remedy=remedy)
