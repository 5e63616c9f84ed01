"""Roots of trust and what they delegate, as a hub or an author checks them before taking anything.

A root is trusted because the root before it signed it, and because it signs itself (TUF specification 1.0, §5.3).
"""

from collections.abc import Iterable, Mapping

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from acclimate_shared.release import Listed, TrustError, from_target

ROLES = ("root", "targets", "snapshot", "timestamp")
MAX_ROOT_BYTES = 512_000
MAX_TARGETS_BYTES = 5_000_000


def parse_root(data: bytes) -> Metadata[Root]:
    """Return a root, not verified.

    Raises:
        TrustError: If it is not one.
    """
    return _parsed(data, Root, MAX_ROOT_BYTES)


def parse_targets(data: bytes) -> Metadata[Targets]:
    """Return targets metadata, not verified.

    Raises:
        TrustError: If it is not one.
    """
    return _parsed(data, Targets, MAX_TARGETS_BYTES)


def follow(first: bytes, later: Iterable[bytes]) -> Metadata[Root]:
    """Return the newest root that the first leads to.

    Args:
        first: A trusted root.
        later: The following versions in order.

    Raises:
        TrustError: If one does not follow: another version, or a signature short of a threshold.
    """
    trusted = parse_root(first)
    _verify(trusted.signed, trusted, "root")
    for data in later:
        root = parse_root(data)
        _verify(trusted.signed, root, "root")
        _verify(root.signed, root, "root")
        if root.signed.version != trusted.signed.version + 1:
            raise TrustError("not the next version of the root", field="version", value=root.signed.version)
        trusted = root
    return trusted


def verified_targets(root: Root, data: bytes) -> Metadata[Targets]:
    """Return targets metadata that the root's keys have signed.

    Raises:
        TrustError: If it is not, or is not targets metadata.
    """
    found = parse_targets(data)
    _verify(root, found, "targets")
    return found


def listed(targets: Targets) -> list[Listed]:
    """Return the releases of targets metadata, in order of their paths.

    Raises:
        TrustError: If a target is not a bundle.
        NewerFormatError: If a newer version of Acclimate signed it.
    """
    return [
        from_target(path, target.length, target.hashes, target.custom)
        for path, target in sorted(targets.targets.items())
    ]


def roots_in(files: Mapping[str, bytes], after: int) -> list[bytes]:
    """Return the roots after a version, in order, as far as they follow without a gap."""
    found: list[bytes] = []
    while (data := files.get(f"{after + len(found) + 1}.root.json")) is not None:
        found.append(data)
    return found


def _verify(delegator: Root, metadata: Metadata[Root] | Metadata[Targets], role: str) -> None:
    try:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError) as exc:
        raise TrustError(f"not signed as it must be: {exc}", field=role, remedy="ask its author") from exc


def _parsed(data: bytes, kind: type[Root] | type[Targets], max_bytes: int) -> Metadata:  # type: ignore[type-arg]
    if len(data) > max_bytes:
        raise TrustError("metadata is too large", field=kind.type, value=len(data))
    try:
        found = Metadata[kind].from_bytes(data)  # type: ignore[valid-type]
    except (DeserializationError, RepositoryError, ValueError, RecursionError) as exc:
        raise TrustError(f"metadata cannot be read: {exc}", field=kind.type) from exc
    if not isinstance(found.signed, kind):
        raise TrustError("metadata of another role", field=kind.type, value=found.signed.type)
    return found
