"""What signed metadata says about a released bundle: which model and version, and the hash of every chunk.

In TUF (The Update Framework, specification 1.0, §4.5) a target has a length, hashes and a field ``custom`` that is
signed with the rest; a `Release` is what stands in it. A device verifies each chunk before it stores it, so nothing
unsigned ever reaches its disk, whoever sent it.

Example:
    >>> hashes = chunk_hashes(b"a" * 70_000)
    >>> len(hashes) // 32, hashes[32:] == hashlib.sha256(b"a" * (70_000 - CHUNK_BYTES)).digest()
    (2, True)
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from acclimate_shared.constraints import Constraints
from acclimate_shared.errors import NewerFormatError, RefusedError

FORMAT = 1
MAX_BUNDLE_BYTES = 128 << 20
CHUNK_BYTES = 1 << 16
HASH_BYTES = 32
CUSTOM = "acclimate"  # the key in the custom field of a target
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\Z")
_MODEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}\Z")
_SUFFIX = ".bundle"


class TrustError(RefusedError):
    """Signed metadata does not prove what is asked: a signature, a version or a hash is not right."""


class ExpiredError(TrustError):
    """Signed metadata is older than it may be: what runs goes on, nothing new is taken."""


class UnlistedError(TrustError):
    """Signed metadata does not list such a release."""


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. Versions are ``major.minor``; digests have 64 hex digits."""

    format: int = FORMAT
    model: str
    version: str
    package: str
    architecture: str
    plan: str
    chunk_bytes: Literal[65536] = 65536
    chunks: str  # SHA-256 of each chunk in order, one behind the other, base64
    constraints: Constraints


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A release that signed metadata lists: digest and length in bytes of the bundle, and what it is."""

    digest: str
    length: int
    release: Release

    @property
    def count(self) -> int:
        """How many chunks the bundle has."""
        return -(-self.length // CHUNK_BYTES)

    def size(self, index: int) -> int:
        """Return the bytes of a chunk; all but the last have ``CHUNK_BYTES``."""
        return min(CHUNK_BYTES, self.length - index * CHUNK_BYTES)

    def hashes(self) -> tuple[bytes, ...]:
        """Return the SHA-256 of each chunk, 32 bytes each."""
        joined = base64.b64decode(self.release.chunks)
        return tuple(joined[i : i + HASH_BYTES] for i in range(0, len(joined), HASH_BYTES))


def chunk_hashes(data: bytes) -> bytes:
    """Return the SHA-256 of each chunk of a file, one behind the other."""
    parts = (data[i : i + CHUNK_BYTES] for i in range(0, len(data), CHUNK_BYTES))
    return b"".join(hashlib.sha256(part).digest() for part in parts)


def path_of(digest: str) -> str:
    """Return the target path of a bundle."""
    return digest + _SUFFIX


def from_target(path: str, length: int, hashes: Mapping[str, str], custom: Mapping[str, Any] | None) -> Listed:
    """Return what a target of verified metadata says.

    Args:
        path: Of the target.
        length: Bytes of the bundle.
        hashes: By algorithm; sha256 must be there.
        custom: The signed custom field.

    Raises:
        NewerFormatError: If a newer version of Acclimate signed it.
        TrustError: If it does not describe a bundle.
    """
    raw = (custom or {}).get(CUSTOM)
    if isinstance(raw, Mapping) and isinstance(raw.get("format"), int) and raw["format"] > FORMAT:
        raise NewerFormatError("the release has a newer format", field="format", value=raw["format"])
    try:
        release = msgspec.convert(raw, Release)
    except msgspec.ValidationError as exc:
        raise TrustError(f"the target is not a bundle: {exc}", field="custom", remedy="ask its author") from exc
    listed = Listed(digest=hashes.get("sha256", ""), length=length, release=release)
    check(listed)
    if path != path_of(listed.digest):
        raise TrustError("the target has another name than its digest", field="path", value=path)
    return listed


def check(listed: Listed) -> None:
    """Check the rules that types cannot say.

    Raises:
        TrustError: Naming the first field that breaks one.
        ConstraintError: If the constraints make no sense.
    """
    release = listed.release
    try:
        joined = base64.b64decode(release.chunks, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise TrustError(f"not base64: {exc}", field="chunks") from exc
    rules = [
        ("format", release.format == FORMAT, release.format),
        ("digest", _HEX.match(listed.digest), listed.digest),
        ("length", 0 < listed.length <= MAX_BUNDLE_BYTES, listed.length),
        ("model", _MODEL.match(release.model), release.model),
        ("version", _VERSION.match(release.version), release.version),
        ("package", _HEX.match(release.package), release.package),
        ("architecture", _HEX.match(release.architecture), release.architecture),
        ("plan", _HEX.match(release.plan), release.plan),
        ("chunks", len(joined) == HASH_BYTES * listed.count, len(joined)),
    ]
    for field, good, value in rules:
        if not good:
            raise TrustError("the release is not described as it must be", field=field, value=value)
    release.constraints.check()


def number(version: str) -> tuple[int, int]:
    """Return major and minor of a version.

    Raises:
        TrustError: If it is not one.
    """
    found = _VERSION.match(version)
    if found is None:
        raise TrustError("not a version", field="version", value=version, remedy="write it as 1.2")
    return int(found[1]), int(found[2])


def next_version(released: Iterable[Release], model: str, architecture: str) -> str:
    """Return the version of the bundle of a model that is released next; nobody types it.

    The same architecture and features as the newest release of the model is new data: the next minor version. Any other
    one is a new model: the next major version.
    """
    mine = sorted((r for r in released if r.model == model), key=lambda r: number(r.version))
    if not mine:
        return "1.0"
    major, minor = number(mine[-1].version)
    return f"{major}.{minor + 1}" if mine[-1].architecture == architecture else f"{major + 1}.0"
